"""A query of a suite."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for; `slices` are the kinds of query that it is counted among, `weight` its share in means."""

    id: str
    text: str
    slices: tuple[str, ...] = ()
    weight: float = 1.0
    line: int = field(default=0, compare=False)
    """Where its file has it; 0 where it comes from none."""


def normalised(text: str) -> str:
    """Equal for texts that a person would call the same query: whatever their case, spaces and Unicode forms (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())
