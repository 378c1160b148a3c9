"""Real logged queries, asked of both pairs: what changes for people, without any judgments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scripts.encoding import Encoder
from scripts.errors import UnfitModel
from scripts.ports import Collection
from scripts.quality.facts import Change, Latency, Replayed
from scripts.quality.latency import interleaved
from scripts.quality.overlap import overlap, rank_biased_overlap
from scripts.quality.query_log import Log, read_log

__all__ = ["Answers", "Log", "Side", "ask", "compare", "read_log", "titles"]

SHOWN_CHANGES = 20

Ranking = tuple[str, ...]
"""Keys, best first."""


class Side(Protocol):
    """One pair: its collection, and its own model with its own prompts."""

    @property
    def collection(self) -> Collection: ...

    @property
    def encoder(self) -> Encoder: ...


@dataclass(frozen=True)
class Answers:
    """What one pair gave for each query of a log."""

    collection: Collection
    vectors: np.ndarray
    """Float32 [queries, dimension]; NaN where the model has no vector for a query."""
    rankings: tuple[Ranking, ...]


def ask(side: Side, queries: Sequence[str], k: int = 10) -> Answers:
    """The first k keys for each query. What the model cannot encode finds nothing, as it would for the person who asked it.

    Raises UnfitModel where it can encode none of them.
    """
    vectors = _encoded(side.encoder, queries)
    known = np.flatnonzero(np.isfinite(vectors[:, 0]))
    rankings: list[Ranking] = [()] * len(queries)
    for position, hits in zip(known, side.collection.search(vectors[known], k), strict=True):
        rankings[position] = tuple(str(hit.key) for hit in hits)
    return Answers(side.collection, vectors, tuple(rankings))


def compare(log: Log, candidate: Answers, production: Answers, k: int = 10) -> Replayed:
    """With the latency of single searches, over queries that both models can encode."""
    facts = compare_rankings(log.queries, candidate.rankings, production.rankings, k)
    return facts.model_copy(update={"log": log.name, "log_digest": log.digest, "latency": _latency(candidate, production, k)})


def compare_rankings(queries: Sequence[str], candidate: Sequence[Ranking], production: Sequence[Ranking], k: int) -> Replayed:
    """All but latency. There is at least one query."""
    pairs = list(zip(candidate, production, strict=True))
    overlaps = [overlap(ours, theirs, k) for ours, theirs in pairs]
    biased = [rank_biased_overlap(ours[:k], theirs[:k]) for ours, theirs in pairs]
    changed = [position for position, (ours, theirs) in enumerate(pairs) if ours[:k] != theirs[:k]]
    most = sorted(changed, key=biased.__getitem__)[:SHOWN_CHANGES]
    return Replayed(
        queries=len(queries),
        k=k,
        overlap=float(np.mean(overlaps)),
        rbo=float(np.mean(biased)),
        top_changed=float(np.mean([ours[:1] != theirs[:1] for ours, theirs in pairs])),
        empty=float(np.mean([not ours for ours in candidate])),
        production_empty=float(np.mean([not theirs for theirs in production])),
        most_changed=tuple(
            Change(text=queries[i], overlap=overlaps[i], rbo=biased[i], candidate=candidate[i][:k], production=production[i][:k]) for i in most
        ),
    )


def titles(facts: Replayed, log: Log, answers: Answers, column: str) -> dict[str, str]:
    """What this stored column says of the documents that `most_changed` shows, by key. Asked again, because titles of everything would cost more."""
    shown = {change.text for change in facts.most_changed}
    known = [i for i, query in enumerate(log.queries) if query in shown and np.isfinite(answers.vectors[i, 0])]
    if not column or not known:
        return {}
    found = answers.collection.search(answers.vectors[known], facts.k, fields=[column])
    return {str(hit.key): str(hit.fields.get(column) or "") for hits in found for hit in hits}


def _latency(candidate: Answers, production: Answers, k: int) -> Latency | None:
    both = np.isfinite(candidate.vectors[:, 0]) & np.isfinite(production.vectors[:, 0])
    return interleaved((candidate.collection, candidate.vectors[both]), (production.collection, production.vectors[both]), k)


def _encoded(encoder: Encoder, queries: Sequence[str]) -> np.ndarray:
    """NaN for those that the model fails on. They are found by halving: such queries are few among many, and a batch at a time is ten times
    as fast as one."""
    try:
        return encoder.queries(queries)
    except UnfitModel:
        if len(queries) == 1 or encoder.dimension is None:
            raise
    half = len(queries) // 2
    parts: list[np.ndarray] = []
    failures: list[UnfitModel] = []
    for some in (queries[:half], queries[half:]):
        try:
            parts.append(_encoded(encoder, some))
        except UnfitModel as error:
            failures.append(error)
            parts.append(np.full((len(some), encoder.dimension), np.nan, dtype=np.float32))
    if len(failures) == 2:
        raise failures[0]
    return np.concatenate(parts)
