"""Which index to choose, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scripts.capacity.moments import Window, moments
from scripts.capacity.needs import Need, Shape, need, segment_memory
from scripts.capacity.nodes import Fit, Nodes, fit
from scripts.layout import Index, IndexType, Metric

# So many vectors are compared one by one within some ten milliseconds: about 100 MB, at the 10 GB/s that a core reads. A rule, not a measurement.
_COMPARED_BYTES = 100 * 10**6

# In the order of what they give up. What `why` says of each is Milvus's documentation of its indexes; how much an index really loses, golden
# queries and exact search tell.
_WHY = {
    IndexType.FLAT: "so few vectors are compared one by one in milliseconds, and the answer is exact",
    IndexType.HNSW: "the best recall at a low latency",
    IndexType.IVF_FLAT: "the vectors as they are, without HNSW's links; slower than HNSW at the same recall",
    IndexType.IVF_SQ8: "a quarter of the vectors' size for a small loss of recall, which golden queries have to show",
    IndexType.DISKANN: "vectors and graph lie on the query nodes' disks, which have to be NVMe: slower than memory, better recall than codes",
    IndexType.IVF_PQ: "the smallest, with a loss of recall that golden queries will notice",
}


@dataclass(frozen=True, slots=True)
class Option:
    index: Index
    need: Need
    promotion: int
    """Memory during a promotion."""
    fit: Fit | None
    """None where no nodes were named."""


@dataclass(frozen=True, slots=True)
class Choice:
    """None where nothing fits."""

    index: Index | None
    why: str


def options(shape: Shape, rows: int, window: Window, nodes: Nodes | None) -> tuple[Option, ...]:
    """Every index with its usual parameters, in the order of what it gives up; where `shape` has one of the type, with its own."""
    found = []
    for kind in _WHY:
        index = shape.index if shape.index.type is kind else usual(kind, shape.dimension, shape.index.metric)
        if index is None:
            continue
        of_this = replace(shape, index=index)
        pair = need(of_this, rows)
        memory = moments(pair, window)[-1].memory
        found.append(Option(index, pair, memory, fit(nodes, memory, segment_memory(of_this, rows)) if nodes else None))
    return tuple(found)


def choose(found: Sequence[Option]) -> Choice:
    """The first that the nodes hold during a promotion; exact search is for few vectors alone. Without nodes HNSW, for which nodes can be bought."""
    few = found[0].need.vectors <= _COMPARED_BYTES
    for option in found:
        kind = option.index.type
        if kind is IndexType.FLAT and not few:
            continue
        if option.fit is None or option.fit.holds:
            larger = [str(other.index.type) for other in found[1 : found.index(option)]]
            after = f"; {' and '.join(larger)} would not fit" if larger else ""
            return Choice(option.index, f"{_WHY[kind]}{after}")
    return Choice(None, "no index fits: more memory is needed, or fewer pairs loaded (retention.keep_loaded, replicas)")


def usual(kind: IndexType, dimension: int, metric: Metric) -> Index | None:
    """With the parameters that a stamp would have; IVF_PQ with codes of a sixteenth of the vector. None where that does not divide the dimension."""
    if kind is IndexType.IVF_PQ:
        if dimension % 4:
            return None
        return Index(type=kind, metric=metric, params={"m": dimension // 4})
    return Index(type=kind, metric=metric)
