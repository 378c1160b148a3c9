"""A plan for so many rows: what it needs, when, where it fits and which index suits it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scripts.capacity import choice, quantities
from scripts.capacity.choice import Choice, Option
from scripts.capacity.moments import Moment, Window, moments
from scripts.capacity.needs import Need, Shape, need, segment_memory
from scripts.capacity.nodes import Fit, Nodes, fit, sized
from scripts.errors import UsageError
from scripts.layout import Index, IndexType, Metric

MAX_LINKS, MAX_LISTS = 2_048, 65_536  # knowhere's own limits
MAX_COLUMN_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class Plan:
    """`nodes` are those that were named, else those that it takes. `choice` is told whatever index the plan is made with."""

    shape: Shape
    window: Window
    pair: Need
    moments: tuple[Moment, ...]
    nodes: Nodes
    fit: Fit
    options: tuple[Option, ...]
    choice: Choice

    @property
    def promotion(self) -> Moment:
        return self.moments[-1]


def asked_index(name: str, dimension: int, metric: Metric, m: int | None) -> Index:
    """`m` is HNSW's links or IVF_PQ's number of codes. Raises UsageError where the index does not take it, or it makes no sense."""
    kind = IndexType(name)
    if kind is IndexType.IVF_PQ:
        m = m if m is not None else next(count for count in (dimension // 4, dimension // 2, dimension) if count and dimension % count == 0)
        if quantities.within(m, "--m", 1, dimension) and dimension % m:
            raise UsageError(f"--m: {dimension} numbers cannot be cut into {m} equal parts, as IVF_PQ does.", hint="Give a divisor of --dim.")
        return Index(type=kind, metric=metric, params={"m": m})
    if m is None:
        return Index(type=kind, metric=metric)
    if kind is not IndexType.HNSW:
        raise UsageError(f"--m does not go with {kind}.", hint="It is for HNSW (links) and IVF_PQ (parts of a vector).")
    return Index(type=kind, metric=metric, params={"M": quantities.within(m, "--m", 2, MAX_LINKS)})


def planned(shape: Shape, rows: int, window: Window, nodes: Nodes | None) -> Plan:
    """With the index of `shape`; what would suit better is told beside it."""
    found = choice.options(shape, rows, window, nodes)
    pair = need(shape, rows)
    all_moments = moments(pair, window)
    memory, segment = all_moments[-1].memory, segment_memory(shape, rows)
    named = nodes or sized(memory, segment, at_least=window.replicas)
    return Plan(shape, window, pair, all_moments, named, fit(named, memory, segment), found, choice.choose(found))


def suited(shape: Shape, rows: int, window: Window, nodes: Nodes | None) -> Shape:
    """The same rows with the index that suits them and these nodes; as it was where none fits."""
    chosen = choice.choose(choice.options(shape, rows, window, nodes)).index
    return replace(shape, index=chosen) if chosen else shape
