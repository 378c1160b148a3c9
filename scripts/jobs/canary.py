"""`canary start` and `canary stop`: let a candidate answer a share of production's queries, or answer beside production unseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts import canary, catalogue
from scripts.canary import Canary, Mode
from scripts.errors import KitError, Refused
from scripts.ports import Parts


@dataclass(frozen=True)
class Started:
    canary: Canary
    production: str
    replaced: Canary | None
    exit_code: int = 0

    def lines(self) -> list[str]:
        what = "answers" if self.canary.mode is Mode.SPLIT else "is asked, unseen, beside production in"
        lines = [f"Canary {self.canary.id}: {self.canary.pair} {what} {self.canary.share:.2%} of the queries to {self.production}."]
        if self.replaced:
            lines.append(f"It replaces canary {self.replaced.id} ({self.replaced.pair}, {self.replaced.share:.2%}).")
        return [*lines, "Clients follow with their next look; it ends with `canary stop`, or by itself when production switches."]

    def facts(self) -> dict[str, Any]:
        return self.canary.model_dump(mode="json") | {"production": self.production, "replaced": self.replaced.id if self.replaced else None}


@dataclass(frozen=True)
class Stopped:
    production: str
    canary: Canary | None
    exit_code: int = 0

    def lines(self) -> list[str]:
        if self.canary is None:
            return [f"No canary runs on {self.production}."]
        return [f"Canary {self.canary.id} has ended: {self.production} answers every query.", "`canary report` tells how it went."]

    def facts(self) -> dict[str, Any]:
        return {"production": self.production, "canary": self.canary.model_dump(mode="json") if self.canary else None}


def start(parts: Parts, pair: str, *, share: float, mode: Mode) -> Started:
    """Safe to run again: a canary that runs already is replaced by the new one, and with the same pair everyone stays where they were.

    Raises Refused for a pair that is not validated, not loaded, half caught up, or production itself.
    """
    store = parts.store
    world = catalogue.read(store, parts.settings)
    entry = world.find(pair)
    planned = canary.plan(world, entry, share=share, mode=mode, now=parts.now(), by=parts.settings.environment.actor)
    if not store.open(pair).is_loaded():
        raise Refused(f"{pair} is not loaded, so its share of the queries would fail.", hint=f"Run `finish --pair {pair}`.")
    production = world.production.pair.collection
    replaced = _running(parts, production)
    store.set_properties(production, planned.property())
    if (found := store.target(world.alias)) != production:
        raise Refused(f"Production switched to {found or 'nothing'} meanwhile, which ends the canary.", hint="Look at `status` and start it again.")
    return Started(planned, production, replaced)


def stop(parts: Parts) -> Stopped:
    """Safe to run again, and where no canary runs. Ends also one that cannot be read."""
    store = parts.store
    production = store.target(parts.settings.alias)
    if production is None:
        raise Refused(f"The alias {parts.settings.alias} points to nothing, so no canary runs.")
    running = _running(parts, production)
    if (store.properties(production) or {}).get(canary.PROPERTY):
        store.set_properties(production, canary.NONE)
    return Stopped(production, running)


def _running(parts: Parts, production: str) -> Canary | None:
    try:
        return Canary.read(production, parts.store.properties(production) or {})
    except KitError:  # it is about to be replaced or removed
        return None
