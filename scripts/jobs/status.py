"""`status`: alias → pair → model version, every pair, and whether MLflow agrees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts import catalogue, ledger
from scripts.canary import Canary
from scripts.catalogue import Catalogue, Entry
from scripts.errors import KitError, Refused, UsageError
from scripts.heartbeat import is_dead
from scripts.ledger import Holder
from scripts.ports import Parts, VectorStore


@dataclass(frozen=True)
class PairStatus:
    entry: Entry
    loaded: bool
    rows: int | None
    """The true count; None while the collection is not loaded, because only then can it be counted."""
    age_days: float

    def facts(self) -> dict[str, Any]:
        stamp = self.entry.stamp
        return {
            "pair": self.entry.pair.collection,
            "state": self.entry.state.value,
            "model": stamp.model.model_dump(),
            "rows": self.rows,
            "expected_rows": stamp.content.rows if stamp.content else None,
            "loaded": self.loaded,
            "age_days": self.age_days,
            "verdict": stamp.verdict,
            "evidence": stamp.evidence_digest,
            "replaces": stamp.replaces,
            "unfinished": stamp.unfinished,
            "untold": stamp.untold,
            "retired_because": stamp.retired_because,
            "aliases": list(self.entry.aliases),
        }


@dataclass(frozen=True)
class WayBack:
    """Whether a rollback could be made now. `target` is None where there is none, and `why` says why."""

    target: PairStatus | None
    why: str = ""
    model: str = ""
    """Whether its model is still in the registry, in words."""
    freshness: str = ""
    """How far it is behind the source, in words."""
    changes_behind: int | None = None
    """Counted, where that was asked for, or known to be none."""

    def line(self) -> str:
        if self.target is None:
            return f"rollback: NOT POSSIBLE: {self.why}"
        loaded = "loaded" if self.target.loaded else "NOT LOADED (a rollback loads it first)"
        return f"rollback: to {self.target.entry.pair}, {loaded}, {self.model}, {self.freshness}"

    def facts(self) -> dict[str, Any]:
        pair = self.target.entry.pair.collection if self.target else None
        loaded = self.target.loaded if self.target else False
        return {"to": pair, "why_not": self.why, "loaded": loaded, "model": self.model, "freshness": self.freshness, "changes_behind": self.changes_behind}


@dataclass(frozen=True)
class Status:
    catalogue: Catalogue
    pairs: tuple[PairStatus, ...]
    way_back: WayBack | None
    """None where nothing was ever in production."""
    canary: Canary | None
    holder: Holder | None
    drift: str
    exit_code: int = 0

    def lines(self) -> list[str]:
        production = self.catalogue.production
        if production:
            model = production.stamp.model
            lines = [f"{self.catalogue.alias} → {production.pair} → {model.name} version {model.version}"]
        else:
            target = self.catalogue.target
            nothing = "nothing any more" if self.catalogue.lost_production() else "nothing yet"
            lines = [f"{self.catalogue.alias} → {f'{target} (not a pair of the kit)' if target else nothing}"]
        if self.pairs:
            width = max(len(p.entry.pair.collection) for p in self.pairs)
            lines.append(f"{'pair':{width}}  {'state':10}  {'version':>7}  {'rows':>11}  {'loaded':6}  {'age':>7}")
            lines += [self._row(p, width) for p in self.pairs]
        lines += [f"UNREADABLE: {broken.why}" for broken in self.catalogue.unreadable]
        if self.way_back:
            lines.append(self.way_back.line())
        if self.canary:
            lines.append(f"canary {self.canary.id}: {self.canary.pair}, {self.canary.share:.2%} of the queries ({self.canary.mode}), begun by {self.canary.by}")
        if self.holder:
            lines.append(f"LOCKED: {self.holder}{', which is dead: the next command passes over it' if is_dead(self.holder.token) else ''}")
        return [*lines, self.drift or "MLflow agrees."]

    @staticmethod
    def _row(p: PairStatus, width: int) -> str:
        rows = "?" if p.rows is None else f"{p.rows:,}"
        stamp = p.entry.stamp
        note = f"  {stamp.unfinished} not finished" if stamp.unfinished and not stamp.rolled_back else ""
        note = note or ("  MLflow was not told" if stamp.untold and p.entry.is_production else "")
        return (
            f"{p.entry.pair.collection:{width}}  {p.entry.state:10}  {p.entry.pair.version:>7}  {rows:>11}  "
            f"{'yes' if p.loaded else 'no':6}  {p.age_days:>5.1f} d{note}"
        )

    def facts(self) -> dict[str, Any]:
        return {
            "alias": self.catalogue.alias,
            "production": self.catalogue.target,
            "pairs": [p.facts() for p in self.pairs],
            "unreadable": [broken.why for broken in self.catalogue.unreadable],
            "rollback": self.way_back.facts() if self.way_back else None,
            "canary": self.canary.model_dump(mode="json") if self.canary else None,
            "holder": self.holder.model_dump(mode="json") if self.holder else None,
            "drift": self.drift,
        }


def status(parts: Parts, *, count: bool = False) -> Status:
    """Reads only. With MLflow down it tells everything else and says so. With `count`, the source is read to count how many of its changes the pair
    lacks that a rollback goes to."""
    world = catalogue.read(parts.store, parts.settings)
    moment = parts.now()
    looks = tuple(_look(parts.store, entry, moment) for entry in world.entries)
    found = ledger.read(parts.store, parts.settings.alias)
    return Status(world, looks, _way_back(parts, world, looks, count), _canary(parts, world), found.holder if found else None, _drift(world, parts))


def _canary(parts: Parts, world: Catalogue) -> Canary | None:
    """One that cannot be read runs nowhere: clients leave it alone as well."""
    production = world.production
    if production is None:
        return None
    name = production.pair.collection
    try:
        return Canary.in_force(name, parts.store.properties(name) or {}, production.stamp)
    except Refused:
        return None


def _way_back(parts: Parts, world: Catalogue, looks: tuple[PairStatus, ...], count: bool) -> WayBack | None:
    production = world.production
    if lost := world.lost_production():
        return WayBack(None, f"{lost.why}. {world.alternatives()}")
    if world.target is None:
        return None
    try:
        entry = world.rollback_target()
        world.refuse_unreadable_production()
    except KitError as error:
        return WayBack(None, str(error))
    target = next(look for look in looks if look.entry.pair == entry.pair)
    changes, freshness = _freshness(parts, production, entry, count)
    return WayBack(target, model=_model(parts, entry), freshness=freshness, changes_behind=changes)


def _freshness(parts: Parts, production: Entry | None, entry: Entry, count: bool) -> tuple[int | None, str]:
    if count:
        from scripts.jobs.catch_up import behind_source  # which brings the gates along

        try:
            found = behind_source(parts, entry)
        except KitError as error:
            return None, f"changes not counted: {error}"
        return found.total, f"{found} behind the source"
    theirs, mine = production.stamp.content if production else None, entry.stamp.content
    if entry.is_half_caught_up or theirs is None or mine is None:
        return None, "with an unknown part of the source's changes"
    if mine.fingerprint == theirs.fingerprint:
        return None, f"with the same rows as production (source of {mine.read_at:%Y-%m-%d %H:%M})"
    when = f"source of {mine.read_at:%Y-%m-%d %H:%M}, production's is of {theirs.read_at:%Y-%m-%d %H:%M}"
    return None, f"BEHIND production ({when}; `status --count` counts the changes, `catch-up {entry.pair}` brings them in)"


def _model(parts: Parts, entry: Entry) -> str:
    model = entry.stamp.model
    try:
        parts.registry.version(model.name, model.version)
    except UsageError:
        return f"model {model.name} version {model.version} is GONE from MLflow"
    except KitError:
        return "MLflow was not asked for its model"
    return "its model is in MLflow"


def _look(store: VectorStore, entry: Entry, moment: datetime) -> PairStatus:
    age = (moment - entry.stamp.build.created_at).total_seconds() / 86_400
    try:
        collection = store.open(entry.pair.collection)
        loaded = collection.is_loaded()
        return PairStatus(entry, loaded, collection.count() if loaded else None, age)
    except Refused:  # dropped or released a moment ago
        return PairStatus(entry, False, None, age)


def _drift(world: Catalogue, parts: Parts) -> str:
    """How the registry's word differs from what the alias serves; empty where it does not."""
    where, name = parts.settings.model.production, parts.settings.model.name
    served = world.production.stamp.model if world.production else None
    try:
        told = parts.registry.at(name, where)
    except KitError as error:
        return f"MLflow was not asked: {error}"
    if (served is None and told is None) or (served and (served.name, served.version) == (name, told)):
        return ""
    says = f"version {told}" if told else "nothing"
    serves = f"version {served.version}{f' of {served.name}' if served.name != name else ''}" if served else "no pair"
    mend = f" Run `promote --pair {world.production.pair}` to tell MLflow." if world.production and served.name == name else ""
    return f"DRIFT: MLflow has {says} of {name} at {where}, production serves {serves}.{mend}"
