"""`ensure-loaded`: production and the predecessors that a rollback would go to are in memory, or are brought there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts import catalogue
from scripts.errors import KitError, Unreachable
from scripts.health.seen import Load
from scripts.health.upkeep import Upkeep
from scripts.ports import Parts
from scripts.predecessors import after
from scripts.retention import Policy

POLL_SECONDS = 0.5
INCONCLUSIVE, REFUSED = 3, 4


@dataclass(frozen=True)
class Ensured:
    """One collection. `failure` says why it is not loaded; empty where it is."""

    collection: str
    why: str
    was_loaded: bool
    failure: str = ""
    code: int = 0

    def line(self) -> str:
        told = f"NOT LOADED: {self.failure}" if self.failure else "was loaded" if self.was_loaded else "loaded"
        return f"{self.collection} ({self.why}): {told}"

    def facts(self) -> dict[str, Any]:
        return {"collection": self.collection, "why": self.why, "was_loaded": self.was_loaded, "loaded": not self.failure, "failure": self.failure}


@dataclass(frozen=True)
class EnsuredAll:
    alias: str
    collections: tuple[Ensured, ...]

    @property
    def exit_code(self) -> int:
        return max((each.code for each in self.collections), default=0)

    def lines(self) -> list[str]:
        return [each.line() for each in self.collections] or [f"The alias {self.alias} points to nothing: there is nothing to load."]

    def facts(self) -> dict[str, Any]:
        return {"alias": self.alias, "collections": [each.facts() for each in self.collections]}


def ensure_loaded(parts: Parts, upkeep: Upkeep, *, within: float, tell: Callable[[str], None] = lambda line: None) -> EnsuredAll:
    """Safe to run again, and beside anything else: it loads what retention keeps loaded, and nothing else. Production first; one that cannot be
    loaded keeps no other from it, and one that need not be any more when it could not is passed over. `within` is in seconds, for all of them.

    `tell` hears of progress. Raises Unreachable where the server is not there.
    """
    until = time.monotonic() + within
    ensured = [_ensure(upkeep, name, why, until, tell) for name, why in _wanted(parts).items()]
    if any(each.failure for each in ensured):  # it may have been dropped, or replaced, meanwhile
        still = _wanted(parts)
        ensured = [each for each in ensured if not each.failure or each.collection in still]
    return EnsuredAll(parts.settings.alias, tuple(ensured))


def _wanted(parts: Parts) -> dict[str, str]:
    """What should be loaded, and why, in order of need."""
    world, keep_loaded = catalogue.read(parts.store, parts.settings), Policy.of(parts.settings).keep_loaded
    wanted = {world.target: "production"} if world.target else {}
    for entry in world.entries:
        if entry.aliases and not entry.is_production:
            wanted[entry.pair.collection] = f"alias {', '.join(entry.aliases)}"
    for name, place in after(world, parts.now()).items():
        if place.number <= keep_loaded and name not in wanted:
            wanted[name] = f"predecessor {place.number} of {keep_loaded} to keep loaded"
    return wanted


def _ensure(upkeep: Upkeep, name: str, why: str, until: float, tell: Callable[[str], None]) -> Ensured:
    try:
        found = upkeep.loading(name)
        was_loaded = found.load is Load.LOADED
        if not was_loaded:
            tell(f"{name} ({why}) is being loaded")
            upkeep.begin_loading(name)
        told = None
        while (found := upkeep.loading(name)).load is not Load.LOADED:
            if time.monotonic() > until:
                far = f" at {found.progress}%" if found.progress is not None else ""
                return Ensured(name, why, was_loaded, f"it still stands{far}; are the query nodes up, and have they memory for it?", INCONCLUSIVE)
            if found.progress is not None and found.progress != told:
                told = found.progress
                tell(f"{name}: {told}%")
            time.sleep(POLL_SECONDS)
        return Ensured(name, why, was_loaded)
    except Unreachable:
        raise
    except KitError as error:
        return Ensured(name, why, False, str(error), REFUSED)
