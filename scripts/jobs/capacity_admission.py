"""Whether the pair that `create` is about to make could be promoted on this cluster."""

from __future__ import annotations

from typing import Protocol

from scripts import catalogue
from scripts.capacity.admission import Admission, Coming, enforced, weigh
from scripts.capacity.needs import Shape
from scripts.capacity.nodes import Nodes
from scripts.capacity.occupancy import Held, Occupancy
from scripts.capacity.policy import AUTO, CapacitySettings, Policy
from scripts.catalogue import Catalogue, Entry
from scripts.footprint import rows_of
from scripts.layout import Layout
from scripts.ports import Parts
from scripts.predecessors import after


class Roomed(Parts, Protocol):
    """The parts of a job, with what the cluster holds."""

    @property
    def occupancy(self) -> Occupancy: ...


def admitted(parts: Roomed, layout: Layout) -> Admission | None:
    """Reads only. None where the configuration does not ask for it. Raises Refused where the promotion would not fit and the policy is to refuse."""
    asked = parts.settings.capacity
    if asked is None or asked.policy is Policy.OFF:
        return None
    world = catalogue.read(parts.store, parts.settings)
    rows, known_from = _rows(parts, world)
    coming = Coming(Shape.of(layout), rows, known_from, asked.replicas)
    return enforced(weigh(coming, _beside(parts, world, asked), _nodes(parts.occupancy, asked)), asked.policy)


def _rows(parts: Parts, world: Catalogue) -> tuple[int | None, str]:
    if (told := parts.source.rows_estimate()) is not None:
        return told, "the source's"
    production = world.production
    return (rows_of(production.stamp), "as production has") if production else (None, "")


def _beside(parts: Roomed, world: Catalogue, asked: CapacitySettings) -> list[Held]:
    """What is loaded, and what of this service has its place in memory though it is not loaded now."""
    held = {each.name: each for each in parts.occupancy.loaded()}
    for entry in _kept_loaded(parts, world):
        if entry.pair.collection not in held and (rows := rows_of(entry.stamp)) is not None:
            held[entry.pair.collection] = Held(entry.pair.collection, rows, (Shape.of(entry.stamp.layout),), asked.replicas)
    return list(held.values())


def _kept_loaded(parts: Parts, world: Catalogue) -> list[Entry]:
    places, most = after(world, parts.now()), parts.settings.retention.keep_loaded
    names = {name for name, place in places.items() if place.number <= most}
    return [entry for entry in world.entries if entry.is_production or entry.pair.collection in names]


def _nodes(occupancy: Occupancy, asked: CapacitySettings) -> Nodes | None:
    """Of nodes that differ, each counts as the smallest."""
    if asked.query_nodes != AUTO:
        return Nodes.parse(asked.query_nodes, "capacity.query_nodes")
    memory = occupancy.query_nodes()
    return Nodes(len(memory), min(memory)) if memory else None
