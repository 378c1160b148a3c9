"""`capacity`: what pairs need in memory and on disk, as they are or as planned, and whether the query nodes hold them during a promotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scripts import catalogue
from scripts.capacity import plan as planning
from scripts.capacity.moments import Window
from scripts.capacity.needs import FORMULA, Need, Shape, need
from scripts.capacity.nodes import Nodes
from scripts.capacity.plan import Plan
from scripts.catalogue import Entry
from scripts.footprint import rows_of, shown
from scripts.layout import Index
from scripts.ports import Parts

_NO = 1


@dataclass(frozen=True)
class Planned:
    """A plan, of which nobody was asked."""

    plan: Plan

    @property
    def exit_code(self) -> int:
        """1 where the named nodes do not hold it."""
        return 0 if self.plan.fit.holds else _NO

    def lines(self) -> list[str]:
        plan, pair = self.plan, self.plan.pair
        return [
            f"{pair.rows:,} rows × {plan.shape.dimension} numbers, {told(plan.shape.index)}",
            "",
            *table(
                ("", "memory", "storage"),
                [
                    ("vectors", "in the index", shown(pair.vectors)),
                    ("index", shown(int(pair.index.memory)), shown(int(pair.index.stored))),
                    ("other columns", shown(pair.loaded_scalars), shown(pair.stored_scalars)),
                    ("one pair", shown(pair.memory), shown(pair.storage)),
                    *((f"{at.name} ({at.loaded} loaded, {at.kept} kept)", shown(at.memory), shown(at.storage)) for at in plan.moments),
                ],
            ),
            *([f"and {shown(plan.promotion.node_disk)} on the query nodes' own disks, which DISKANN searches"] if pair.node_disk else []),
            "",
            *table(
                ("index", "one pair", "during a promotion", *(("fits",) if plan.options[0].fit else ())),
                [
                    (told(each.index), shown(each.need.memory), shown(each.promotion), *(("yes" if each.fit.holds else "no",) if each.fit else ()))
                    for each in plan.options
                ],
            ),
            "",
            *_verdict(plan),
            f"This is {FORMULA}.",
        ]

    def facts(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "rows": plan.pair.rows,
            "dimension": plan.shape.dimension,
            "index": _index_facts(plan.shape.index),
            "pair": _need_facts(plan.pair),
            "moments": [asdict(at) for at in plan.moments],
            "query_nodes": {"count": plan.nodes.count, "memory": plan.nodes.memory},
            "needed": plan.fit.needed,
            "usable": plan.fit.usable,
            "fits": plan.fit.holds,
            "options": [
                _index_facts(each.index) | {"memory": each.need.memory, "promotion": each.promotion, "fits": each.fit.holds if each.fit else None}
                for each in plan.options
            ],
            "choice": {"index": _index_facts(plan.choice.index) if plan.choice.index else None, "why": plan.choice.why},
            "how": FORMULA,
        }


@dataclass(frozen=True)
class Measured:
    """A pair that is there. `need` is None where no pass over the source was completed."""

    entry: Entry
    is_loaded: bool
    need: Need | None


@dataclass(frozen=True)
class Present:
    """`next` is the promotion that comes: one more pair like the newest that was built, beside what is loaded now."""

    pairs: tuple[Measured, ...]
    window: Window
    next: Plan | None
    loaded: int
    kept: int
    nodes: Nodes | None

    @property
    def exit_code(self) -> int:
        """1 where the named nodes do not hold the next promotion."""
        return _NO if self.nodes and self.next and not self.next.fit.holds else 0

    def lines(self) -> list[str]:
        if not self.pairs:
            return ["There is no pair of this service. `capacity --rows 1M --dim 384` plans one."]
        listed = table(("pair", "state", "rows", "index", "memory", "storage"), [_row(each) for each in self.pairs])
        lines = [*listed, "", f"loaded now: {shown(self.loaded)} of memory; kept: {shown(self.kept)} of storage"]
        if self.next:
            head = f"the next promotion, of {self.next.pair.rows:,} rows like the newest pair ({self.next.window.keep_loaded} predecessor loaded):"
            lines += [head, *_verdict(self.next)]
        return [*lines, f"This is {FORMULA}; other collections of the server are not in it."]

    def facts(self) -> dict[str, Any]:
        return {
            "pairs": [_pair_facts(each) for each in self.pairs],
            "loaded": self.loaded,
            "kept": self.kept,
            "next": Planned(self.next).facts() if self.next else None,
            "how": FORMULA,
        }


def present(parts: Parts, nodes: Nodes | None, *, replicas: int | None = None) -> Present:
    """Reads only: the stamps of this service's pairs, and which of them are loaded. Where no nodes or replicas are named, those of the configuration."""
    world, kept = catalogue.read(parts.store, parts.settings), parts.settings.retention
    pairs = []
    for entry in world.entries:
        rows = rows_of(entry.stamp)
        size = None if rows is None else need(Shape.of(entry.stamp.layout), rows)
        pairs.append(Measured(entry, parts.store.open(entry.pair.collection).is_loaded(), size))
    replicas = replicas or parts.settings.capacity.replicas
    window, nodes = Window(kept.keep_loaded, kept.keep_previous, replicas), nodes or parts.settings.capacity.nodes
    filled = [each for each in pairs if each.need and each.need.rows]
    loaded = sum(each.need.memory * replicas for each in filled if each.is_loaded)
    storage = sum(each.need.storage for each in filled)
    return Present(tuple(pairs), window, _next(filled[-1], window, nodes) if filled else None, loaded, storage, nodes)


def _next(newest: Measured, window: Window, nodes: Nodes | None) -> Plan:
    return planning.planned(Shape.of(newest.entry.stamp.layout), newest.need.rows, window, nodes)


def told(index: Index) -> str:
    """`HNSW (M 16)`: with what decides its size."""
    params = index.build_params()
    shows = [f"{name} {params[name]}" for name in ("M", "m", "nlist") if name in params]
    return f"{index.type} ({', '.join(shows)})" if shows else str(index.type)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    return ["  ".join((row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:]))).rstrip() for row in (head, *rows)]


def _verdict(plan: Plan) -> list[str]:
    fit = plan.fit
    shares = f"{shown(fit.needed)} during a promotion, of {shown(fit.usable)} that {fit.nodes} of query nodes can load"
    said = f"fits: {shares}" if fit.holds else f"does not fit: {shares}"
    suits = f"suits: {told(plan.choice.index)}: {plan.choice.why}" if plan.choice.index else f"suits: {plan.choice.why}"
    return [said, suits]


def _row(each: Measured) -> tuple[str, ...]:
    state = f"{each.entry.state}{', loaded' if each.is_loaded else ''}"
    index = told(each.entry.stamp.layout.index)
    if each.need is None:
        return (each.entry.pair.collection, state, "?", index, "?", "?")
    return (each.entry.pair.collection, state, f"{each.need.rows:,}", index, shown(each.need.memory), shown(each.need.storage))


def _pair_facts(each: Measured) -> dict[str, Any]:
    size = _need_facts(each.need) if each.need else None
    return {"pair": each.entry.pair.collection, "state": str(each.entry.state), "loaded": each.is_loaded, "need": size}


def _need_facts(pair: Need) -> dict[str, int]:
    return {
        "rows": pair.rows,
        "memory": pair.memory,
        "storage": pair.storage,
        "node_disk": pair.node_disk,
        "vectors": pair.vectors,
        "index_memory": int(pair.index.memory),
        "index_storage": int(pair.index.stored),
        "scalars_memory": pair.loaded_scalars,
        "scalars_storage": pair.stored_scalars,
    }


def _index_facts(index: Index) -> dict[str, Any]:
    return {"type": str(index.type), "metric": str(index.metric), "params": index.build_params()}
