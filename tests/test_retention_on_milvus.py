"""A cleanup as it is carried out: on milvus-lite and on the real server, step by step, against a world that moves meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scripts import canary, filling, heartbeat, retention
from scripts.adapters.milvus import MilvusStore
from scripts.canary import Mode
from scripts.errors import ProductionMoved, Refused
from scripts.jobs.cleanup import cleanup
from scripts.pair import Content, State
from scripts.retention import Fate, Policy, Seen
from scripts.settings import RetentionSettings
from tests.retention_world import ALIAS, LAYOUT, WithoutMlflow, World

NOW = timedelta()
POLICY = Policy(keep_days=0, keep_previous=2, keep_loaded=1)


@dataclass
class Service:
    """Three pairs that served, 1 to 3, the last of them production; 4 rejected, 5 only built."""

    world: World
    pairs: list[str]

    @property
    def store(self) -> MilvusStore:
        return self.world.store

    def plan(self, policy: Policy = POLICY) -> retention.RetentionPlan:
        world = self.world.read()
        return retention.plan(world, policy, now=self.world.now, seen=Seen(loaded=frozenset(self.world.loaded())))

    def parts(self, now: datetime | None = None) -> WithoutMlflow:
        settings = self.world.settings.model_copy(update={"retention": RetentionSettings(keep_days=0, keep_previous=2, keep_loaded=1)})
        return WithoutMlflow(self.store, settings, now or self.world.now)


@contextmanager
def opened(uri: str, token: str, folder: Path) -> Iterator[Service]:
    with MilvusStore(uri, token) as store:
        world = World(store, folder)
        pairs = []
        for _ in range(3):
            pairs.append(world.build(NOW))
            world.judge(pairs[-1], True, NOW)
            world.promote(pairs[-1], NOW)
            world.now += timedelta(days=1)
        pairs += [world.build(NOW), world.build(NOW)]
        world.judge(pairs[3], False, NOW)
        world.now += timedelta(days=1)
        yield Service(world, pairs)


@pytest.fixture
def service(milvus, tmp_path):
    with opened(milvus.uri, milvus.token, tmp_path) as service:
        yield service


@pytest.fixture
def lite_service(tmp_path):
    """For what depends on our own code alone: five pairs on a server take a while."""
    with opened(str(tmp_path / "milvus.db"), "", tmp_path) as service:
        yield service


def test_what_goes_goes_and_what_leaves_memory_can_be_loaded_again(service):
    """The oldest predecessor is released, not dropped; a rollback still gets there, two steps back."""
    result = cleanup(service.parts(), dry_run=False)
    first, second, production, rejected, built = service.pairs
    assert [(each.entry.pair.collection, each.fate) for each in result.done] == [(rejected, Fate.DROP), (built, Fate.DROP), (first, Fate.RELEASE)]
    assert (service.world.names(), service.world.loaded()) == ([first, second, production], {second, production})
    assert [service.world.rollback(None, NOW) for _ in range(2)] == [second, first]
    assert first in service.world.loaded()


def test_a_dry_run_shows_the_steps_that_are_then_done(service):
    """With what they free, and changes nothing."""
    told = []
    dry = cleanup(service.parts(), dry_run=True)
    assert len(service.world.names()) == 5
    done = cleanup(service.parts(), dry_run=False, tell=lambda step, remark: told.append((step, remark)))
    names = [step.name for step, _ in told]
    assert names == ["lock", "begin", *(step.name for step in dry.plan.steps()), "record", "registry", "unlock"]
    assert told[2:-3] == [(step, "") for step in dry.plan.steps()]
    assert [line.removeprefix("would ") for line in dry.lines()[:3]] == done.lines()[:3]
    assert "an estimate from rows and layout" in done.lines()[-2]
    assert done.lines()[-1] == "MLflow has no run of this: no MLflow here"
    assert dry.facts()["steps"] == done.facts()["steps"]
    assert [each["pair"] for each in done.facts()["dropped"]] == service.pairs[3:]
    assert [each["pair"] for each in done.facts()["released"]] == service.pairs[:1]


class Killed(BaseException):
    """As a kill would be: nothing may catch it."""


@pytest.mark.parametrize("steps", range(8))
def test_a_cleanup_killed_after_any_step_is_finished_by_the_next(lite_service, steps):
    """It drops neither more nor less."""

    def kill(step, remark):
        nonlocal steps
        if steps == 0:
            raise Killed
        steps -= 1

    try:
        cleanup(lite_service.parts(), dry_run=False, tell=kill)
    except Killed:
        assert ALIAS in lite_service.store.aliases()
    cleanup(lite_service.parts(), dry_run=False)
    assert lite_service.world.names() == lite_service.pairs[:3]
    assert lite_service.world.loaded() == set(lite_service.pairs[1:3])
    assert cleanup(lite_service.parts(), dry_run=False).done == ()


def refused(service, plan, match, error=Refused):
    """The plan is not applied, and nothing has gone."""
    before = service.world.names()
    with pytest.raises(error, match=match):
        retention.apply(plan, service.store)
    assert service.world.names() == before


def test_a_pair_that_got_an_alias_meanwhile_stays(lite_service):
    """The aliases are read again directly before each drop."""
    plan = lite_service.plan()
    lite_service.store.point("somebody_elses", lite_service.pairs[3])
    refused(lite_service, plan, "has been given the alias somebody_elses since")


def test_a_pair_that_was_validated_again_meanwhile_stays(lite_service):
    """So is the stamp; what moved is named."""
    plan = lite_service.plan()
    lite_service.world.judge(lite_service.pairs[3], True, NOW)
    refused(lite_service, plan, r"has changed since the plan was made \(state, evidence\)")


def test_a_pair_that_somebody_begins_to_fill_meanwhile_stays(lite_service):
    """So are heartbeats."""
    plan = lite_service.plan()
    lite_service.store.set_properties(lite_service.pairs[3], {"promotion.lease.0-of-1": "elsewhere@1/17/abcdef/0"})
    refused(lite_service, plan, "begun to fill")


def test_nothing_goes_when_the_alias_was_moved_meanwhile(lite_service):
    """By hand, or by a rollback: the way back is another one then."""
    plan = lite_service.plan()
    lite_service.store.point(ALIAS, lite_service.pairs[0])
    refused(lite_service, plan, "the plan saw it at", ProductionMoved)


def test_what_somebody_else_dropped_meanwhile_is_passed_over(lite_service):
    """It is gone, as it was to be."""
    plan, remarks = lite_service.plan(), []
    lite_service.store.drop(lite_service.pairs[3])
    done = retention.apply(plan, lite_service.store, tell=lambda step, remark: remarks.append(remark))
    assert remarks == ["is gone already", "", ""]
    assert [each.entry.pair.collection for each in done] == [lite_service.pairs[4], lite_service.pairs[0]]


def test_a_lost_lock_stops_before_the_next_step(lite_service):
    """`check` is asked before each of them."""
    asked = []

    def check():
        asked.append(len(lite_service.world.names()))
        if len(asked) == 2:
            raise Refused("taken over")

    with pytest.raises(Refused, match="taken over"):
        retention.apply(lite_service.plan(), lite_service.store, check=check)
    assert (asked, lite_service.world.names()) == ([5, 4], [*lite_service.pairs[:3], lite_service.pairs[4]])


def test_a_stamp_of_a_newer_kit_is_never_touched_and_is_listed(service):
    """Nor is one that was edited, nor a collection without a stamp or of another service; of ledgers the newest stays."""
    service.store.set_properties(service.pairs[3], {"promotion.format": "2"})
    service.store.set_properties(service.pairs[4], {"promotion.service": "another"})
    service.store.create("shop_v7_00000000", LAYOUT, {})
    service.store.claim("shop_prod_ledger_1", "token", {"promotion.released": "yes"})
    result = cleanup(service.parts(), dry_run=False)
    assert [each.fate for each in result.done] == [Fate.RELEASE]
    assert [each["collection"] for each in result.facts()["untouched"]] == [service.pairs[3]]
    assert f"never touched: The stamp of {service.pairs[3]} has format 2" in "\n".join(result.lines())
    assert {*service.pairs, "shop_v7_00000000", "shop_prod_ledger_2"} == set(service.store.collections())


def test_nothing_is_done_while_the_alias_dangles(service):
    """Somebody dropped production by hand: what a rollback needs is not known, and stays."""
    service.store._milvus.call("drop_collection", service.pairs[2])
    result = cleanup(service.parts(), dry_run=False)
    assert result.done == ()
    assert "points to nothing, though" in result.plan.decisions[0].why
    service.store._milvus.call("drop_alias", ALIAS)


def test_a_clock_that_is_behind_drops_nothing(lite_service):
    """Every stamp is from its future."""
    assert cleanup(lite_service.parts(now=datetime.fromisoformat("2020-01-01T00:00:00+00:00")), dry_run=False).done == ()


def test_a_candidate_under_canary_stays_until_the_canary_ends(service):
    """It answers users, though no alias points to it and its approval has expired."""
    candidate, production = service.pairs[4], service.pairs[2]
    service.world.judge(candidate, True, NOW)
    world = service.world.read()
    running = canary.plan(world, world.find(candidate), share=0.1, mode=Mode.SPLIT, now=service.world.now, by="ann")
    service.store.set_properties(production, running.property())
    service.world.now += timedelta(days=100)
    result = cleanup(service.parts(), dry_run=False)
    assert candidate in service.world.names()
    assert f"keep {candidate}: canary {running.id} asks it" in result.lines()
    service.store.set_properties(production, canary.NONE)
    cleanup(service.parts(), dry_run=False)
    assert candidate not in service.world.names()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.4)
    monkeypatch.setattr(heartbeat, "SILENCE_SECONDS", 3.0)


def building(service, beat):
    """A build, old, with this beat."""
    name = service.pairs[4]
    stamp = service.world.stamp(name)
    content = Content(rows=0, fingerprint="0" * 16, skipped=0, read_at=service.world.now - timedelta(days=30))
    old = stamp.build.model_copy(update={"created_at": content.read_at})
    changed = stamp.changes(state=State.BUILDING, content=None, shards={"0-of-2": content, "1-of-2": None}, build=old)
    service.store.set_properties(name, changed | {"promotion.lease.1-of-2": beat})
    return name


def test_a_build_that_beats_stays_and_one_that_stopped_goes(service, quick):
    """However old it is. Two looks are compared, never clocks."""
    name = building(service, "elsewhere@1/17/abcdef/3")
    ended = threading.Event()

    def live():
        count = 3
        while not ended.wait(0.3):
            count += 1
            service.store.set_properties(name, {"promotion.lease.1-of-2": f"elsewhere@1/17/abcdef/{count}"})

    living = threading.Thread(target=live)
    living.start()
    try:
        result = cleanup(service.parts(), dry_run=False)
    finally:
        ended.set()
        living.join()
    assert name in service.world.names()
    assert next(each.why for each in result.plan.decisions if each.entry.pair.collection == name) == "somebody is filling it"
    cleanup(service.parts(), dry_run=False)
    assert name not in service.world.names()


def test_a_build_that_ends_while_it_is_watched_stays(service, quick):
    """Its stamp may have changed with its last beat."""
    name = building(service, "elsewhere@1/17/abcdef/3")
    timer = threading.Timer(0.6, lambda: service.store.set_properties(name, {"promotion.lease.1-of-2": ""}))
    timer.start()
    cleanup(service.parts(), dry_run=False)
    timer.join()
    assert name in service.world.names()


def test_nobody_waits_where_nothing_beats(lite_service):
    """Nor for a process of this machine that is known to be dead."""
    building(lite_service, f"{heartbeat.new_token().split('/')[0]}/{2**22 + 1}/abcdef/9")
    watched = filling.watch(lite_service.store, lite_service.pairs)
    assert (watched.alive, watched.silent) == (frozenset(), frozenset())
    assert lite_service.pairs[4] in [each["pair"] for each in cleanup(lite_service.parts(), dry_run=False).facts()["dropped"]]
