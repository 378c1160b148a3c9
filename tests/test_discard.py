"""What goes with a pipeline whose gate said no, or whose approval was cancelled; and what never goes."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner

from scripts import canary, ledger, lock
from scripts.adapters.milvus import MilvusStore
from scripts.canary import Mode
from scripts.ci_commands import discard as command
from scripts.errors import Refused, UsageError
from scripts.heartbeat import new_token
from scripts.jobs.cleanup import cleanup
from scripts.jobs.discard import Discarded, discard
from scripts.jobs.history import history
from scripts.ledger import Holder
from scripts.pair import Build, Pair, State
from tests.retention_world import ALIAS, LAYOUT, WithoutMlflow, World

NOW = timedelta()
PIPELINE = "5034460f-c7c4-4c43-9457-de07e2029e7b"


class Pipeline:
    """A service with one pair in production, and a pipeline that has made another."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.production = world.build(NOW)
        world.judge(self.production, True, NOW)
        world.promote(self.production, NOW)
        world.now += timedelta(days=1)
        self.pair = self.made()

    def made(self) -> str:
        name = self.world.build(NOW)
        build = Build(id=PIPELINE, created_at=self.world.now)
        self.world.store.set_properties(name, self.world.stamp(name).changes(build=build))
        return name

    def parts(self, build_id: str = PIPELINE) -> WithoutMlflow:
        environment = self.world.settings.environment.model_copy(update={"build_id": build_id, "actor": "ann", "build_url": "https://ci.test/1"})
        return WithoutMlflow(self.world.store, self.world.settings.model_copy(update={"environment": environment}), self.world.now)

    def discard(self, pair: str | None = None, **how) -> Discarded:
        return discard(self.parts(), pair, **{"cancelled": True, "reason": "", "dry_run": False} | how)


@pytest.fixture
def pipeline(milvus, tmp_path):
    with MilvusStore(milvus.uri, milvus.token) as store:
        yield Pipeline(World(store, tmp_path))


@pytest.fixture
def lite_pipeline(tmp_path):
    """For what depends on our own code alone."""
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        yield Pipeline(World(store, tmp_path))


@pytest.mark.parametrize("passed", [True, False])
def test_a_rejected_pair_goes_and_so_does_one_whose_approval_was_cancelled(pipeline, passed):
    """Under the lock, recorded with who and why; run again there is nothing left to do."""
    pipeline.world.judge(pipeline.pair, passed, NOW)
    told = []
    result = pipeline.discard(reason="approval cancelled", tell=lambda step, remark: told.append(step.name))
    assert (result.exit_code, result.facts()["dropped"]) == (0, [pipeline.pair])
    assert told == ["lock", "begin", f"drop {pipeline.pair}", "record", "registry", "unlock"]
    assert pipeline.world.names() == [pipeline.production]
    (act,) = history(pipeline.parts(), limit=5).acts
    assert (act.kind, act.by, act.url, act.outcome) == ("discard", "ann", "https://ci.test/1", "done")
    assert act.why == f"approval cancelled; drop {pipeline.pair}"
    again = pipeline.discard()
    assert (again.exit_code, again.lines()) == (0, [f"There is no pair of build {PIPELINE}: nothing is left to discard."])
    assert pipeline.discard(pipeline.pair).lines() == [f"There is no pair {pipeline.pair}: nothing is left to discard."]


def test_without_a_no_at_its_approval_a_validated_pair_stays(lite_pipeline):
    """A job after its validation may have failed, or another workflow of the pipeline may wait for its approval. One that the gates rejected goes."""
    lite_pipeline.world.judge(lite_pipeline.pair, True, NOW)
    kept = lite_pipeline.discard(cancelled=False)
    assert kept.done == () and "may still be approved" in kept.lines()[0]
    lite_pipeline.world.judge(lite_pipeline.pair, False, NOW)
    assert lite_pipeline.discard(cancelled=False).facts()["dropped"] == [lite_pipeline.pair]


@pytest.mark.parametrize("state", [State.BUILDING, State.BUILT])
def test_what_a_rerun_may_go_on_with_stays(lite_pipeline, state):
    """Also where it is named; nobody is locked out meanwhile, and nothing is recorded."""
    store, pair = lite_pipeline.world.store, lite_pipeline.pair
    store.set_properties(pair, lite_pipeline.world.stamp(pair).changes(state=state))
    for result in (lite_pipeline.discard(), lite_pipeline.discard(pair)):
        assert (result.exit_code, result.done) == (0, ())
        assert "rerun from failed" in result.lines()[0] and "`cleanup` drops it" in result.lines()[0]
    assert pair in lite_pipeline.world.names()
    assert ledger.read(store, ALIAS) is None


def promoted(pipeline):
    pipeline.world.judge(pipeline.pair, True, NOW)
    pipeline.world.promote(pipeline.pair, NOW)


def retired(pipeline):
    promoted(pipeline)
    pipeline.world.rollback(None, NOW)
    pipeline.world.judge(pipeline.pair, False, NOW)


def aliased(pipeline):
    pipeline.world.judge(pipeline.pair, False, NOW)
    pipeline.world.store.point("somebody_elses", pipeline.pair)


def under_canary(pipeline):
    pipeline.world.judge(pipeline.pair, True, NOW)
    world = pipeline.world.read()
    running = canary.plan(world, world.find(pipeline.pair), share=0.1, mode=Mode.SPLIT, now=pipeline.world.now, by="ann")
    pipeline.world.store.set_properties(pipeline.production, running.property())


def half_promoted(pipeline):
    pipeline.world.judge(pipeline.pair, True, NOW)
    pipeline.world.promote(pipeline.pair, NOW, steps=1)


def taken_back(pipeline):
    pipeline.world.judge(pipeline.pair, False, NOW)
    pipeline.world.store.set_properties(pipeline.pair, pipeline.world.stamp(pipeline.pair).changes(rolled_back=True))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (promoted, f"alias {ALIAS} points to it"),
        (retired, "it has served"),
        (aliased, "alias somebody_elses points to it"),
        (under_canary, "canary .* asks it"),
        (half_promoted, "a promotion to it is not finished"),
        (taken_back, "it was taken out of production"),
    ],
)
def test_what_has_served_or_is_in_use_is_never_discarded(lite_pipeline, made, why):
    """The pipeline's own is kept, and the reason said; one that is named is refused."""
    made(lite_pipeline)
    result = lite_pipeline.discard()
    assert (result.exit_code, result.done) == (0, ())
    (kept,) = result.facts()["keep"]
    assert kept["pair"] == lite_pipeline.pair
    with pytest.raises(Refused, match=f"{lite_pipeline.pair} is not discarded: .*{why}"):
        lite_pipeline.discard(lite_pipeline.pair)
    assert lite_pipeline.pair in lite_pipeline.world.names()


def test_a_pair_that_somebody_fills_stays(pipeline, monkeypatch):
    """A rejected one may be caught up at this moment. Beats are watched: who is silent does not stand in the way."""
    monkeypatch.setattr("scripts.heartbeat.BEAT_SECONDS", 0.2)
    monkeypatch.setattr("scripts.heartbeat.SILENCE_SECONDS", 1.0)
    pipeline.world.judge(pipeline.pair, False, NOW)

    def beat(number):
        pipeline.world.store.set_properties(pipeline.pair, {"promotion.lease.0-of-1": f"elsewhere@1/17/abcdef/{number}"})

    beat(3)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr("scripts.heartbeat.time.sleep", lambda seconds: beat(4))
        assert [kept["why"] for kept in pipeline.discard().facts()["keep"]] == ["somebody is filling it"]
    assert pipeline.discard().facts()["dropped"] == [pipeline.pair]


def test_a_dry_run_changes_nothing(lite_pipeline):
    """And says what would go."""
    lite_pipeline.world.judge(lite_pipeline.pair, False, NOW)
    result = lite_pipeline.discard(dry_run=True)
    assert result.lines()[0].startswith(f"would drop {lite_pipeline.pair}: its gates rejected it")
    assert (result.done, lite_pipeline.pair in lite_pipeline.world.names(), ledger.read(lite_pipeline.world.store, ALIAS)) == ((), True, None)


def test_other_pipelines_pairs_are_left_alone(lite_pipeline):
    """Only a stamp says whose a pair is; a build that was pinned to two versions made two, and both go."""
    second, others = lite_pipeline.made(), lite_pipeline.world.build(NOW)
    for name in (lite_pipeline.pair, second, others):
        lite_pipeline.world.judge(name, False, NOW)
    assert lite_pipeline.discard().facts()["dropped"] == [lite_pipeline.pair, second]
    assert lite_pipeline.world.names() == [lite_pipeline.production, others]


def test_a_stamp_that_cannot_be_read_is_never_touched(lite_pipeline):
    """It is told of where its name is the build's, and refused where it is named."""
    store = lite_pipeline.world.store
    name = Pair.of("shop", 9, PIPELINE).collection
    store.create(name, LAYOUT, lite_pipeline.world.stamp(lite_pipeline.pair).properties() | {"promotion.format": "2"})
    assert [each["collection"] for each in lite_pipeline.discard().facts()["untouched"]] == [name]
    with pytest.raises(Refused, match="has format 2"):
        lite_pipeline.discard(name)
    assert name in store.collections()


def test_a_pair_is_not_dropped_while_another_process_changes_production(lite_pipeline, monkeypatch):
    """A promotion of this very pair may be at work."""
    monkeypatch.setattr("scripts.heartbeat.BEAT_SECONDS", 0.2)
    lite_pipeline.world.judge(lite_pipeline.pair, True, NOW)
    promoting = Holder(token=new_token(), doing="promotion", by="bob", since=lite_pipeline.world.now)
    with lock.held(lite_pipeline.world.store, ALIAS, promoting), pytest.raises(Refused, match="is locked: promotion, begun by bob"):
        lite_pipeline.discard()
    assert lite_pipeline.pair in lite_pipeline.world.names()


def test_outside_a_pipeline_a_pair_has_to_be_named(lite_pipeline):
    """And it has to be one of this service."""
    with pytest.raises(UsageError, match="no pipeline"):
        discard(lite_pipeline.parts(build_id=""), None, cancelled=True, reason="", dry_run=False)
    with pytest.raises(Refused, match="is no pair of shop"):
        lite_pipeline.discard("other_v1_00000000")


class Killed(BaseException):
    """As a kill would be: nothing may catch it."""


@pytest.mark.parametrize("at", ["lock", "begin", "drop", "record", "registry"])
def test_one_that_was_killed_is_finished_by_the_next(lite_pipeline, at):
    """By itself or by a cleanup; the history knows of it."""

    def kill(step, remark):
        if step.name.startswith(at):
            raise Killed

    lite_pipeline.world.judge(lite_pipeline.pair, False, NOW)
    with pytest.raises(Killed):
        lite_pipeline.discard(tell=kill)
    lite_pipeline.discard()
    cleanup(lite_pipeline.parts(), dry_run=False)
    assert lite_pipeline.world.names() == [lite_pipeline.production]
    assert {act.outcome for act in history(lite_pipeline.parts(), limit=9).acts} <= {"done", "interrupted"}


def test_the_command_takes_the_pipeline_from_the_environment(tmp_path):
    """CIRCLE_PIPELINE_ID names the build; facts are for machines."""
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        pipeline = Pipeline(World(store, tmp_path))
        pipeline.world.judge(pipeline.pair, False, NOW)
    environment = {"MILVUS_URI": str(tmp_path / "milvus.db"), "CIRCLE_PIPELINE_ID": PIPELINE}
    done = CliRunner().invoke(command, ["--config", str(tmp_path / "promotion.yaml"), "--json", "--dry-run"], env=environment)
    assert done.exit_code == 0, done.output
    assert [each["pair"] for each in json.loads(done.stdout)["drop"]] == [pipeline.pair]


def test_cleanup_drops_old_ledgers_of_requests_and_never_the_newest(pipeline):
    """Receivers may not drop anything. What the newest says is carried on; who holds it is left alone."""
    store, requests = pipeline.world.store, f"{ALIAS}_requests"
    for number in (1, 2, 3):
        store.claim(ledger.name_of(requests, number), f"t{number}", {ledger.RELEASED: "yes", "promotion.act.a": "kept"})
    cleanup(pipeline.parts(), dry_run=False)
    (number,) = ledger.numbers(store, requests)
    assert number > 3
    assert ledger.read(store, requests).written == {"promotion.act.a": "kept"}
    assert len(ledger.numbers(store, ALIAS)) == 1
    cleanup(pipeline.parts(), dry_run=False)
    assert ledger.numbers(store, requests) == [number]
