"""The alias switch: stale plans are refused, and a switch interrupted anywhere is finished by the same command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scripts import catalogue, config, switch
from scripts.adapters.milvus import MilvusStore
from scripts.errors import ProductionMoved, Refused
from scripts.layout import Column, FieldType, Index, Layout
from scripts.pair import Pair, State
from scripts.switch import Kind
from tests.test_pair import NOW, stamp

ALIAS = "shop_prod"
LATER = NOW + timedelta(days=1)
LAYOUT = Layout(key=Column(name="id", type=FieldType.INT64), columns=(), dimension=4, index=Index())


class World:
    """Validated pairs 1, 2, 3 of one service on a real milvus-lite."""

    def __init__(self, store: MilvusStore, folder) -> None:
        self.store = store
        (folder / "promotion.yaml").write_text("service: shop\nmodel: {name: m}\nsource: {uri: p.csv, key: id, text: '{name}'}\ngolden: g\n")
        self.settings = config.load(folder / "promotion.yaml", environ={})
        self.names = {version: Pair("shop", version, f"{version:08x}").collection for version in (1, 2, 3)}
        for name in self.names.values():
            store.create(name, LAYOUT, stamp(layout=LAYOUT, state=State.VALIDATED).properties())

    def read(self) -> catalogue.Catalogue:
        return catalogue.read(self.store, self.settings)

    def plan(self, version: int) -> switch.SwitchPlan:
        world = self.read()
        return switch.plan_promotion(world, world.find(self.names[version]))

    def promote(self, version: int) -> None:
        plan = self.plan(version)
        switch.apply(plan, self.store, now=NOW)
        switch.finish(plan, self.store)

    def rollback(self, to: str | None = None) -> switch.SwitchPlan:
        plan = switch.plan_rollback(self.read(), to=to, reason="why")
        switch.apply(plan, self.store, now=LATER)
        switch.finish(plan, self.store)
        return plan

    def states(self) -> list[str]:
        return [f"{entry.pair.version} {entry.state}" for entry in self.read().entries]

    def stamp(self, version: int):
        return self.read().find(self.names[version]).stamp


@pytest.fixture
def world(tmp_path):
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        yield World(store, tmp_path)


def test_a_promotion_creates_the_alias_and_the_next_one_moves_it(world):
    """The pair remembers what it replaced, the replaced one when and why it retired."""
    world.promote(1)
    assert world.states() == ["1 production", "2 validated", "3 validated"]
    world.promote(2)
    assert world.states() == ["1 retired", "2 production", "3 validated"]
    assert (world.stamp(2).replaces, world.stamp(2).unfinished) == (world.names[1], "")
    assert (world.stamp(1).retired_at, world.stamp(1).retired_because) == (NOW, f"promotion to {world.names[2]}")


def test_a_stale_plan_is_refused_and_changes_nothing(world):
    """The alias is not where the plan saw it."""
    world.promote(1)
    stale = world.plan(3)
    world.promote(2)
    before = world.store.properties(world.names[3])
    with pytest.raises(ProductionMoved, match=f"the plan saw it at {world.names[1]}, now it points to {world.names[2]}"):
        switch.apply(stale, world.store, now=LATER)
    assert world.store.properties(world.names[3]) == before
    assert world.read().production.pair.version == 2


def test_a_collection_that_is_not_loaded_is_refused(world):
    """Queries would fail from the moment of the switch."""
    world.promote(1)
    world.store.open(world.names[2]).build_index()
    world.store._milvus.call("release_collection", world.names[2])
    with pytest.raises(Refused, match="not loaded"):
        switch.apply(world.plan(2), world.store, now=LATER)
    assert world.read().production.pair.version == 1


@pytest.mark.parametrize("writes_done", range(4))
def test_a_promotion_interrupted_after_any_write_is_finished_by_the_same_command(world, monkeypatch, writes_done):
    """Writes: stamp begun, move the alias, stamp promoted, stamp retired."""
    world.promote(1)
    plan = world.plan(2)
    interrupt_after(monkeypatch, world.store, writes_done, lambda: switch.apply(plan, world.store, now=NOW))
    assert world.read().target in (world.names[1], world.names[2])
    world.promote(2)
    assert world.states() == ["1 retired", "2 production", "3 validated"]
    assert (world.stamp(2).replaces, world.stamp(2).unfinished) == (world.names[1], "")


@pytest.mark.parametrize("writes_done", range(4))
def test_an_interrupted_rollback_does_not_go_further_back(world, monkeypatch, writes_done):
    """Run again, it ends at the pair that it was going to."""
    for version in (1, 2, 3):
        world.promote(version)
    plan = switch.plan_rollback(world.read(), to=None, reason="why")
    interrupt_after(monkeypatch, world.store, writes_done, lambda: switch.apply(plan, world.store, now=LATER))
    assert world.rollback().to.pair.version == 2
    assert world.states() == ["1 retired", "2 production", "3 retired"]
    assert world.stamp(3).retired_because.startswith(f"rollback to {world.names[2]}")


def test_a_second_rollback_goes_to_the_predecessor_of_the_first(world):
    """When the first one is finished."""
    for version in (1, 2, 3):
        world.promote(version)
    assert [world.rollback().to.pair.version for _ in range(2)] == [2, 1]
    with pytest.raises(Refused, match="has no predecessor"):
        world.rollback()


def test_a_rollback_to_a_named_pair_goes_forward_too(world):
    """To any pair that was production or is validated."""
    world.promote(1)
    world.promote(2)
    world.rollback()
    assert world.rollback(to=world.names[2]).kind is Kind.ROLLBACK
    assert world.rollback(to=world.names[3]).to.pair.version == 3


def test_promoting_production_again_changes_nothing_of_its_history(world):
    """It is how a drift of MLflow is mended."""
    world.promote(1)
    world.promote(2)
    before = {version: world.stamp(version) for version in (1, 2)}
    plan = world.plan(2)
    assert plan.switched_before
    switch.apply(plan, world.store, now=datetime(2030, 1, 1, tzinfo=UTC))
    assert {version: world.stamp(version) for version in (1, 2)} == before


class Interrupted(BaseException):
    """As a kill would be: nothing may catch it."""


def interrupt_after(monkeypatch, store, writes: int, act) -> None:
    """Runs `act` and stops it at its write number `writes` + 1."""
    done = 0

    def counted(write):
        def call(*arguments):
            nonlocal done
            if done == writes:
                raise Interrupted
            done += 1
            write(*arguments)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(store, "set_properties", counted(store.set_properties))
        patch.setattr(store, "point", counted(store.point))
        with pytest.raises(Interrupted):
            act()
