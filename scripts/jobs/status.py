"""`status`: alias → pair → model version, every pair, and whether MLflow agrees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts import catalogue
from scripts.catalogue import Catalogue, Entry
from scripts.errors import KitError
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
            "retired_because": stamp.retired_because,
            "aliases": list(self.entry.aliases),
        }


@dataclass(frozen=True)
class Status:
    catalogue: Catalogue
    pairs: tuple[PairStatus, ...]
    drift: str
    exit_code: int = 0

    def lines(self) -> list[str]:
        production = self.catalogue.production
        if production:
            model = production.stamp.model
            lines = [f"{self.catalogue.alias} → {production.pair} → {model.name} version {model.version}"]
        else:
            target = self.catalogue.target
            lines = [f"{self.catalogue.alias} → {f'{target} (not a pair of the kit)' if target else 'nothing yet'}"]
        if self.pairs:
            width = max(len(p.entry.pair.collection) for p in self.pairs)
            lines.append(f"{'pair':{width}}  {'state':10}  {'version':>7}  {'rows':>11}  {'loaded':6}  {'age':>7}")
            lines += [self._row(p, width) for p in self.pairs]
        lines += [f"UNREADABLE: {broken.why}" for broken in self.catalogue.unreadable]
        return [*lines, self.drift or "MLflow agrees."]

    @staticmethod
    def _row(p: PairStatus, width: int) -> str:
        rows = "?" if p.rows is None else f"{p.rows:,}"
        note = f"  {p.entry.stamp.unfinished} unfinished" if p.entry.stamp.unfinished and p.entry.is_production else ""
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
            "drift": self.drift,
        }


def status(parts: Parts) -> Status:
    """Reads only. With MLflow down it tells everything else and says so."""
    world = catalogue.read(parts.store, parts.settings)
    moment = parts.now()
    return Status(world, tuple(_look(parts.store, entry, moment) for entry in world.entries), _drift(world, parts))


def _look(store: VectorStore, entry: Entry, moment: datetime) -> PairStatus:
    collection = store.open(entry.pair.collection)
    loaded = collection.is_loaded()
    age = (moment - entry.stamp.build.created_at).total_seconds() / 86_400
    return PairStatus(entry, loaded, collection.count() if loaded else None, age)


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
