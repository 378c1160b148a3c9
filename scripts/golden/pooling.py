"""Pooling (Spärck Jones and van Rijsbergen, 1975): what any pair shows for a query is judged, whoever showed it.

A model that finds documents nobody has judged would otherwise be punished for finding them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.ports import Hit


@dataclass(frozen=True)
class Ranking:
    """What one pair answers. `title` is the stored column that names its documents; empty where there is none."""

    pair: str
    role: str
    hits: Sequence[Hit]
    title: str = ""


@dataclass(frozen=True)
class Pooled:
    """A document that at least one pair shows. `ranks` from 1, by pair; `grade` is None where nobody has judged it."""

    key: str
    title: str
    fields: Mapping[str, Any]
    ranks: Mapping[str, int] = field(repr=False)
    grade: int | None = None


def pool(query: str, rankings: Sequence[Ranking], grades: Mapping[str, int]) -> tuple[Pooled, ...]:
    """Every document of these rankings once, in an order that comes from query and key alone: it favours no pair, tells nobody which pair
    showed what, and is the same when somebody goes on later."""
    ranks: dict[str, dict[str, int]] = {}
    shown: dict[str, tuple[Hit, str]] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking.hits, start=1):
            ranks.setdefault(str(hit.key), {})[ranking.pair] = rank
            shown.setdefault(str(hit.key), (hit, ranking.title))
    order = sorted(ranks, key=lambda key: hashlib.sha256(f"{query}\0{key}".encode()).digest())
    return tuple(_pooled(key, *shown[key], ranks[key], grades.get(key)) for key in order)


def _pooled(key: str, hit: Hit, title: str, ranks: Mapping[str, int], grade: int | None) -> Pooled:
    others = {name: value for name, value in hit.fields.items() if name != title}
    return Pooled(key, str(hit.fields.get(title) or ""), others, ranks, grade)
