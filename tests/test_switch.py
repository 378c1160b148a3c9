"""The alias switch: stale plans are refused, and a switch interrupted anywhere is finished by the same command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scripts import catalogue, config, switch
from scripts.adapters.milvus import MilvusStore
from scripts.errors import ProductionMoved, Refused, UsageError
from scripts.layout import Column, FieldType, Index, Layout
from scripts.pair import Content, Pair, State
from scripts.switch import Kind
from tests.test_pair import NOW, stamp

ALIAS = "shop_prod"
LATER = NOW + timedelta(days=1)
LAYOUT = Layout(key=Column(name="id", type=FieldType.INT64), columns=(), dimension=4, index=Index())


def apply(plan: switch.SwitchPlan, store: MilvusStore, now: datetime) -> None:
    """The steps of a switch that write to Milvus, as the jobs take them."""
    if not plan.switched_before:
        plan = switch.begin(plan, store, now=now)
        switch.move(plan, store)
    if not plan.is_settled:
        switch.settle(plan, store, now=now)


class World:
    """Validated pairs 1, 2, 3 of one service on a real milvus-lite."""

    def __init__(self, store: MilvusStore, folder) -> None:
        self.store = store
        (folder / "promotion.yaml").write_text("service: shop\nmodel: {name: m}\nsource: {uri: p.csv, key: id, text: '{name}'}\ngolden: g\n")
        self.settings = config.load(folder / "promotion.yaml", environ={})
        self.names = {version: Pair("shop", version, f"{version:08x}").collection for version in (1, 2, 3)}
        content = Content(rows=0, fingerprint="0" * 16, skipped=0, read_at=NOW)
        for name in self.names.values():
            store.create(name, LAYOUT, stamp(layout=LAYOUT, state=State.VALIDATED, shards={"0-of-1": content}, content=content).properties())

    def read(self) -> catalogue.Catalogue:
        return catalogue.read(self.store, self.settings)

    def plan(self, version: int) -> switch.SwitchPlan:
        world = self.read()
        return switch.plan_promotion(world, world.find(self.names[version]))

    def promote(self, version: int) -> None:
        plan = self.plan(version)
        apply(plan, self.store, NOW)
        switch.finish(plan, self.store)

    def rollback(self, to: str | None = None) -> switch.SwitchPlan:
        plan = switch.plan_rollback(self.read(), to=to, reason="why")
        apply(plan, self.store, LATER)
        switch.finish(plan, self.store)
        return plan

    def validate(self, version: int) -> None:
        self.store.set_properties(self.names[version], self.stamp(version).changes(rolled_back=False))

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
        apply(stale, world.store, LATER)
    assert world.store.properties(world.names[3]) == before
    assert world.read().production.pair.version == 2


def test_a_collection_that_is_not_loaded_is_refused(world):
    """Queries would fail from the moment of the switch."""
    world.promote(1)
    world.store.open(world.names[2]).build_index()
    world.store._milvus.call("release_collection", world.names[2])
    with pytest.raises(Refused, match="not loaded"):
        apply(world.plan(2), world.store, LATER)
    assert world.read().production.pair.version == 1


@pytest.mark.parametrize("writes_done", range(4))
def test_a_promotion_interrupted_after_any_write_is_finished_by_the_same_command(world, monkeypatch, writes_done):
    """Writes: stamp begun, move the alias, stamp promoted, stamp retired."""
    world.promote(1)
    plan = world.plan(2)
    interrupt_after(monkeypatch, world.store, writes_done, lambda: apply(plan, world.store, NOW))
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
    interrupt_after(monkeypatch, world.store, writes_done, lambda: apply(plan, world.store, LATER))
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


def test_a_first_promotion_that_replaced_somebody_elses_collection_says_how_to_go_back_there(world):
    """The kit does not go there by itself; but the collection is not gone, as that of a pair may be."""
    world.store._milvus.call("create_collection", "products_old", dimension=4)
    world.store.point(ALIAS, "products_old")
    world.promote(1)
    with pytest.raises(Refused, match="replaced products_old, which this kit did not build") as told:
        world.rollback()
    assert f"move the alias {ALIAS} by hand" in str(told.value) and "any more" not in str(told.value)


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
    apply(plan, world.store, datetime(2030, 1, 1, tzinfo=UTC))
    assert {version: world.stamp(version) for version in (1, 2)} == before


def test_what_was_rolled_back_is_not_promoted_again_by_a_rerun(world):
    """A rerun of yesterday's promote job must not undo the rollback of the night; another validation may."""
    world.promote(1)
    world.promote(2)
    world.rollback()
    with pytest.raises(Refused, match="taken out of production: rollback to shop_v1_00000001: why"):
        world.plan(2)
    world.validate(2)
    world.promote(2)
    assert world.read().production.pair.version == 2


def test_a_rollback_never_goes_by_itself_to_what_was_rolled_back(world):
    """Two pairs that replaced each other name each other; the bad one is gone to only by name."""
    for version in (1, 2):
        world.promote(version)
    world.promote(1)
    assert world.rollback().to.pair.version == 2
    with pytest.raises(Refused, match="which was itself rolled back"):
        world.rollback()
    assert world.rollback(to=world.names[1]).to.pair.version == 1


def test_another_promotion_in_between_is_refused(world, monkeypatch):
    """Also when it comes after the first look at the alias."""
    world.promote(1)
    plan, write = world.plan(3), world.store.set_properties

    def somebody_else_is_faster(name, properties):
        monkeypatch.setattr(world.store, "set_properties", write)
        world.promote(2)
        write(name, properties)

    monkeypatch.setattr(world.store, "set_properties", somebody_else_is_faster)
    with pytest.raises(ProductionMoved):
        apply(plan, world.store, LATER)
    assert world.read().production.pair.version == 2


@pytest.mark.parametrize("reason", ["x" * 501, "two\nlines", "caf\udcff"])
def test_a_reason_that_cannot_be_stamped_is_refused_before_the_switch(world, reason):
    """Not after it."""
    world.promote(1)
    world.promote(2)
    with pytest.raises(UsageError, match="--reason"):
        switch.plan_rollback(world.read(), to=None, reason=reason)


def test_one_unreadable_stamp_stops_nobody_but_its_own(world):
    """A rollback at night must not fail because of some old pair; but nobody switches away from production that cannot be read."""
    for version in (1, 2):
        world.promote(version)
    world.store.set_properties(world.names[3], {"promotion.layout": "{"})
    assert [broken.collection for broken in world.read().unreadable] == [world.names[3]]
    world.store.set_properties(world.names[2], {"promotion.layout": ""})
    with pytest.raises(Refused, match="cannot be read"):
        world.rollback()
    world.store.set_properties(world.names[2], {"promotion.layout": world.store.properties(world.names[1])["promotion.layout"]})
    assert world.rollback().to.pair.version == 1


def test_a_promotion_that_crashed_after_the_switch_comes_before_another(world, monkeypatch):
    """Nobody has seen yet that it works, so it is no pair to roll back to."""
    world.promote(1)
    plan = world.plan(2)
    interrupt_after(monkeypatch, world.store, 2, lambda: apply(plan, world.store, NOW))
    with pytest.raises(Refused, match=f"The promotion to {world.names[2]} is not finished"):
        world.plan(3)
    assert world.rollback().to.pair.version == 1


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
