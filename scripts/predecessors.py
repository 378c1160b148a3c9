"""Where a rollback would go: the pairs that were production before, the one that it would take first at the front."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from scripts.catalogue import Catalogue, Entry
from scripts.errors import Refused
from scripts.pair import Stamp


@dataclass(frozen=True)
class Place:
    """`number` 1 is the predecessor. One that is not sound has the number of the next that is: it is kept beside that one, not instead of it."""

    number: int
    sound: bool

    def __str__(self) -> str:
        return f"{self.number}" if self.sound else f"{self.number} (not up to date: `catch-up` was interrupted)"


def after(catalogue: Catalogue, now: datetime) -> dict[str, Place]:
    """The places of production's predecessors, by collection.

    First the chain: the pair that production replaced, the one that this replaced, and so on while a rollback would go there by itself. It asks no
    clock. Then the others that have served, who retired last before who retired first; of these a clock decides, so one whose stamp is from
    the future takes nobody's place. A sound one holds what it is stamped with, and no rollback took production from it.
    """
    places: dict[str, Place] = {}
    number = 1
    chain = _chain(catalogue)
    for entry in chain + _others(catalogue, chain, now):
        sound = _is_whole(entry) and not entry.reservation
        places[entry.pair.collection] = Place(number, sound)
        number += sound
    return places


def _chain(catalogue: Catalogue) -> list[Entry]:
    by_name = {entry.pair.collection: entry for entry in catalogue.entries}
    chain: list[Entry] = []
    step = catalogue.production
    while step and (step := by_name.get(step.stamp.replaces)):
        if step.is_production or step in chain or _was_rolled_back(catalogue, step):
            break
        chain.append(step)
    return chain


def _others(catalogue: Catalogue, chain: list[Entry], now: datetime) -> list[Entry]:
    others = [
        entry
        for entry in catalogue.entries
        if entry.stamp.has_served and not entry.is_production and entry not in chain and not _was_rolled_back(catalogue, entry)
        if _is_whole(entry) and entry.stamp.last_active <= now
    ]
    return sorted(others, key=lambda entry: entry.stamp.last_active, reverse=True)


def _was_rolled_back(catalogue: Catalogue, entry: Entry) -> bool:
    """Also where the rollback was interrupted before it could stamp the pair that it left."""
    production = catalogue.production.stamp if catalogue.production else None
    leaving = production is not None and production.unfinished == "rollback" and production.came_from == entry.pair.collection
    return entry.stamp.rolled_back or leaving


def _is_whole(entry: Entry) -> bool:
    try:
        entry.refuse_half_caught_up()
    except Refused:
        return False
    return True


def judged_at(stamp: Stamp) -> datetime | None:
    """When the evidence stamped on a pair was gathered; None where there is none, or it cannot be read. What else is in it is nobody's business
    here, so that evidence of another version of the kit counts as well."""
    try:
        moment = datetime.fromisoformat(json.loads(stamp.evidence)["judged_at"])
    except (ValueError, TypeError, KeyError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
