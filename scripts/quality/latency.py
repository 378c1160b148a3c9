"""How long single searches take, candidate and production in turn."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from scripts.ports import Collection
from scripts.quality.facts import Latency, Metered

MEASURED_QUERIES = 100
"""At most. Of far fewer p99 is little more than the slowest."""
WARM_UP_QUERIES = 10
"""The first searches of a connection pay for what later ones find ready: on 2.3.5 the first takes several times as long."""

Asked = tuple[Collection, np.ndarray]
"""A pair's collection, and the same queries as vectors by its own model, float32 [queries, dimension]."""


def interleaved(candidate: Asked, production: Asked | None = None, depth: int = 10) -> Latency | None:
    """Searches one vector a call for `depth` hits, query by query in both pairs, and each goes first in turn: whatever else the machine does
    meanwhile strikes both alike. Every measured query is another; the warm-up takes others still, where there are enough. None without queries.

    Only the search itself is timed, not the encoding.
    """
    sides = [candidate] if production is None else [candidate, production]
    distinct = _distinct([vectors for _, vectors in sides])
    if not distinct:
        return None
    apart = min(WARM_UP_QUERIES, len(distinct) // 5)
    warm_up, measured = distinct[:apart] or distinct[:1], distinct[apart:][:MEASURED_QUERIES]
    for query in warm_up:
        for side in sides:
            _search(side, query, depth)
    taken: list[list[float]] = [[] for _ in sides]
    for turn, query in enumerate(measured):
        for number in _in_turn(len(sides), turn):
            taken[number].append(_search(sides[number], query, depth))
    return Latency(queries=len(measured), depth=depth, candidate=_metered(taken[0]), production=_metered(taken[1]) if production else None)


def _in_turn(sides: int, turn: int) -> Sequence[int]:
    return range(sides) if turn % 2 == 0 else range(sides - 1, -1, -1)


def _distinct(sides: Sequence[np.ndarray]) -> list[int]:
    """The position of each query that was not there before. Queries are alike where no model tells them apart."""
    first: dict[tuple[bytes, ...], int] = {}
    for position, vectors in enumerate(zip(*sides, strict=True)):
        first.setdefault(tuple(vector.tobytes() for vector in vectors), position)
    return list(first.values())


def _search(side: Asked, query: int, depth: int) -> float:
    """Milliseconds."""
    collection, vectors = side
    one = vectors[query : query + 1]
    began = perf_counter()
    collection.search(one, depth)
    return (perf_counter() - began) * 1000


def _metered(milliseconds: list[float]) -> Metered:
    """Percentiles interpolated between neighbours: definition 7 of Hyndman and Fan, numpy's own. Elsewhere the kit shows the nearest rank, which is a
    latency that somebody had; but gates compare these, and the nearest rank of few is one search. Of two pairs that are alike (simulated: lognormal,
    sigma 0.2, 90 queries each) p99 of one is above 1.2 times that of the other in 7% of runs by nearest rank, where it is the slowest search
    of each, and in 2% by this; p95 of 30 queries in 4% and 3%.
    """
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return Metered(p50=float(p50), p95=float(p95), p99=float(p99))
