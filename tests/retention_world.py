"""A service whose production is changed at random, to see what retention leaves of it: the real switch, retention and catalogue, on a store that is
either milvus-lite or a few dictionaries."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scripts import catalogue, config, retention, switch
from scripts.catalogue import Catalogue
from scripts.errors import Refused, Unreachable
from scripts.layout import Column, FieldType, Index, Layout
from scripts.pair import Build, Content, Pair, Stamp, State
from scripts.ports import VectorStore
from scripts.retention import Fate, Policy, RetentionPlan, Seen
from scripts.settings import Settings
from scripts.switch import SwitchPlan
from tests.test_pair import stamp

ALIAS = "shop_prod"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LAYOUT = Layout(key=Column(name="id", type=FieldType.INT64), columns=(), dimension=2, index=Index())


@dataclass
class WithoutMlflow:
    """The parts of a job that drops; no MLflow answers."""

    store: VectorStore
    settings: Settings
    moment: datetime

    @property
    def runs(self):
        raise Unreachable("no MLflow here")

    def now(self) -> datetime:
        return self.moment


class Dictionaries:
    """What the switch and retention ask of a VectorStore, without a server: fast enough for many examples."""

    def __init__(self) -> None:
        self._properties: dict[str, dict[str, str]] = {}
        self._aliases: dict[str, str] = {}
        self._loaded: set[str] = set()

    def collections(self) -> list[str]:
        return sorted(self._properties)

    def aliases(self) -> dict[str, str]:
        return dict(self._aliases)

    def target(self, alias: str) -> str | None:
        return self._aliases.get(alias)

    def properties(self, collection: str) -> dict[str, str] | None:
        return dict(self._properties[collection]) if collection in self._properties else None

    def create(self, collection: str, layout: Layout, properties: dict[str, str]) -> None:
        self._properties[collection] = dict(properties)

    def set_properties(self, collection: str, properties: dict[str, str]) -> None:
        self._properties[collection] |= properties

    def point(self, alias: str, collection: str, check: Callable[[], None] = lambda: None) -> None:
        check()
        assert collection in self._properties
        self._aliases[alias] = collection

    def withdraw(self, alias: str, check: Callable[[], None] = lambda: None) -> None:
        check()
        self._aliases.pop(alias, None)

    def drop(self, collection: str) -> None:
        assert collection not in self._aliases.values()
        del self._properties[collection]

    def open(self, collection: str) -> Shelf:
        return Shelf(self._loaded, collection)


class Shelf:
    def __init__(self, loaded: set[str], name: str) -> None:
        self._loaded, self._name = loaded, name

    def build_index(self) -> None: ...

    def load(self) -> None:
        self._loaded.add(self._name)

    def release(self) -> None:
        self._loaded.discard(self._name)

    def is_loaded(self) -> bool:
        return self._name in self._loaded


class World:
    """One service. `now` is the true time; every act happens on a machine whose clock is wrong by its `skew`."""

    def __init__(self, store: VectorStore, folder: Path) -> None:
        self.store = store
        (folder / "promotion.yaml").write_text("service: shop\nmodel: {name: m}\nsource: {uri: p.csv, key: id, text: '{name}'}\ngolden: g\n")
        self.settings = config.load(folder / "promotion.yaml", environ={})
        self.now = BEGAN
        self.built: dict[str, datetime] = {}
        self.judged: dict[str, datetime] = {}

    def read(self) -> Catalogue:
        return catalogue.read(self.store, self.settings)

    def build(self, skew: timedelta) -> str:
        name = Pair("shop", len(self.built) + 1, uuid.uuid5(uuid.NAMESPACE_OID, str(len(self.built))).hex[:8]).collection
        content = Content(rows=0, fingerprint="0" * 16, skipped=0, read_at=self.now + skew)
        made = stamp(layout=LAYOUT, state=State.BUILT, shards={"0-of-1": content}, content=content, build=Build(id="b", created_at=self.now + skew))
        self.store.create(name, LAYOUT, made.properties())
        collection = self.store.open(name)
        collection.build_index()
        collection.load()
        self.built[name] = self.now
        return name

    def judge(self, name: str, passed: bool, skew: timedelta) -> None:
        entry = self.read().find(name)
        if entry.is_production:
            return
        evidence = json.dumps({"judged_at": (self.now + skew).isoformat()})
        told = {"state": State.VALIDATED if passed else State.REJECTED, "evidence": evidence, "rolled_back": False}
        self.store.set_properties(name, entry.stamp.changes(**told))
        self.judged.pop(name, None)
        if passed:
            self.judged[name] = self.now

    def begin_catch_up(self, name: str) -> None:
        """Which nobody brings to its end."""
        self.store.set_properties(name, self.stamp(name).changes(shards={"0-of-1": None}))

    def end_catch_up(self, name: str) -> None:
        self.store.set_properties(name, self.stamp(name).changes(shards={"0-of-1": self.stamp(name).content}))

    def promote(self, name: str, skew: timedelta, steps: int = 4) -> None:
        self._switch(switch.plan_promotion(self.read(), self.read().find(name)), skew, steps)

    def rollback(self, to: str | None, skew: timedelta, steps: int = 4) -> str:
        plan = switch.plan_rollback(self.read(), to=to, reason="why")
        collection = self.store.open(plan.to.pair.collection)
        if not collection.is_loaded():
            collection.load()
        self._switch(plan, skew, steps)
        return plan.to.pair.collection

    def _switch(self, plan: SwitchPlan, skew: timedelta, steps: int) -> None:
        """The first so many of its steps, as where the process is killed after them."""
        now = self.now + skew
        if steps > 0 and not plan.switched_before:
            plan = switch.begin(plan, self.store, now=now)
        if steps > 1 and not plan.switched_before:
            switch.move(plan, self.store)
        if steps > 2:
            switch.settle(plan, self.store, now=now)
        if steps > 3:
            switch.finish(plan, self.store)

    def cleanup(self, policy: Policy, skew: timedelta, being_filled: frozenset[str] = frozenset(), steps: int | None = None) -> RetentionPlan:
        """Its first so many steps, or all of them."""
        world = self.read()
        loaded = frozenset(name for each in world.entries if self.store.open(name := each.pair.collection).is_loaded())
        plan = retention.plan(world, policy, now=self.now + skew, seen=Seen(being_filled=being_filled, loaded=loaded))
        kept = () if steps is None else plan.acts[steps:]
        retention.apply(replace(plan, decisions=tuple(each for each in plan.decisions if each not in kept)), self.store)
        return plan

    def stamp(self, name: str) -> Stamp:
        return self.read().find(name).stamp

    def loaded(self) -> set[str]:
        return {name for name in self.names() if self.store.open(name).is_loaded()}

    def names(self) -> list[str]:
        return [each.pair.collection for each in self.read().entries]


def way_back(world: Catalogue) -> Iterator[str]:
    """Where one rollback after the other would go, if each were carried out. It asks the code that `rollback` asks, not that of retention."""
    while True:
        try:
            target = world.rollback_target()
        except Refused:
            return
        yield target.pair.collection
        world = replace(world, target=target.pair.collection, entries=tuple(_rolled_back(each, target.pair) for each in world.entries))


def _rolled_back(entry: catalogue.Entry, to: Pair) -> catalogue.Entry:
    stamped = entry.stamp.changed(rolled_back=True) if entry.is_production else entry.stamp
    return replace(entry, stamp=stamped, is_production=entry.pair == to)


def kept(plan: RetentionPlan) -> list[str]:
    return [each.entry.pair.collection for each in plan.decisions if each.fate is not Fate.DROP]
