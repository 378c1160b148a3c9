"""Whether a pair that is about to be made, or to be restored, has room on this cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from scripts import catalogue
from scripts.backup.manifest import Manifest
from scripts.capacity.admission import Admission, Coming, enforced, unknown, weigh
from scripts.capacity.needs import Shape
from scripts.capacity.nodes import Nodes
from scripts.capacity.occupancy import Occupancy, Occupant
from scripts.capacity.policy import CapacitySettings, Policy
from scripts.catalogue import Catalogue, Entry
from scripts.errors import KitError
from scripts.footprint import rows_of
from scripts.layout import Layout
from scripts.ports import Parts
from scripts.predecessors import after


class Roomed(Parts, Protocol):
    """The parts of a job, with what the cluster holds."""

    @property
    def occupancy(self) -> Occupancy: ...


def admitted(parts: Roomed, layout: Layout) -> Admission | None:
    """Whether the promotion of a new pair would fit. Reads only. None where nobody wants to know, and where it cannot be told to somebody who
    would only be warned.

    Raises Refused where it would not fit and the policy is to refuse.
    """
    return _answered(parts, lambda world: Coming(Shape.of(layout), *_rows(parts, world)))


def readmitted(parts: Roomed, backup: Manifest, occasion: str) -> Admission | None:
    """The same of a pair that is restored: the backup says what it is like, and how many rows it has."""
    coming = Coming(Shape.of(backup.read_stamp().layout), backup.content.rows, "the backup's", occasion=occasion, index_is_open=False)
    return _answered(parts, lambda world: coming)


def _answered(parts: Roomed, coming: Callable[[Catalogue], Coming]) -> Admission | None:
    asked = parts.settings.capacity
    if asked.policy is Policy.OFF:
        return None
    try:
        admission = _looked_at(parts, coming, asked)
    except KitError as error:
        admission = unknown(error.what.rstrip("."))  # not permitted, say: building goes on without an answer
    if admission.holds is None and asked.policy is Policy.WARN:
        return None
    return enforced(admission, asked.policy)


def _looked_at(parts: Roomed, coming: Callable[[Catalogue], Coming], asked: CapacitySettings) -> Admission:
    """What is loaded is asked for last: of thousands of collections each is a call."""
    nodes = _nodes(parts.occupancy, asked)
    world = catalogue.read(parts.store, parts.settings)
    one = replace(coming(world), replicas=asked.replicas)
    beside = _beside(parts, world, asked) if nodes and one.rows is not None else []
    return weigh(one, beside, nodes)


def _rows(parts: Parts, world: Catalogue) -> tuple[int | None, str]:
    if (told := parts.source.rows_estimate()) is not None:
        return told, "the source's"
    production = world.production
    return (rows_of(production.stamp), "as production has") if production else (None, "")


def _beside(parts: Roomed, world: Catalogue, asked: CapacitySettings) -> list[Occupant]:
    """What is loaded, and what of this service has its place in memory though it is not loaded now."""
    held = {each.name: each for each in parts.occupancy.loaded()}
    for entry in _kept_loaded(parts, world):
        if entry.pair.collection not in held and (rows := rows_of(entry.stamp)) is not None:
            held[entry.pair.collection] = Occupant(entry.pair.collection, rows, (Shape.of(entry.stamp.layout),), asked.replicas)
    return list(held.values())


def _kept_loaded(parts: Parts, world: Catalogue) -> list[Entry]:
    places, most = after(world, parts.now()), parts.settings.retention.keep_loaded
    names = {name for name, place in places.items() if place.number <= most}
    return [entry for entry in world.entries if entry.is_production or entry.pair.collection in names]


def _nodes(occupancy: Occupancy, asked: CapacitySettings) -> Nodes | None:
    """Of nodes that differ, each counts as the smallest."""
    if asked.nodes:
        return asked.nodes
    memory = occupancy.query_nodes()
    return Nodes(len(memory), min(memory)) if memory else None
