"""What people, clocks and servers do to a promotion, a rollback or a cleanup: one clear line, the right exit code, nothing half switched."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts import ledger, lock
from scripts.adapters.milvus import MilvusStore
from scripts.errors import ProductionMoved, Refused
from scripts.evidence import Evidence
from scripts.heartbeat import new_token
from scripts.jobs.cleanup import cleanup
from scripts.jobs.promote import promote
from scripts.jobs.rollback import rollback
from scripts.layout import Column, FieldType, Index, Layout
from scripts.ledger import Holder
from scripts.pair import Pair, Stamp
from tests.safety.matrix import Matrix
from tests.safety.place import Place, Start
from tests.servers import MilvusServer
from tests.shop import refusal
from tests.test_pair import NOW, stamp

DEAD_MLFLOW = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
OTHER_ALIAS = "somebody_elses"


@pytest.fixture
def place(matrix: Matrix) -> Iterator[Place]:
    yield matrix.place
    matrix.place.configure()


@pytest.fixture
def worlds(matrix: Matrix):
    return matrix.worlds


def state(place: Place) -> dict[str, Any]:
    with place.store() as store:
        return place.state(store) | {"ledgers": ""}


@contextmanager
def nothing_changes(place: Place) -> Iterator[None]:
    """Neither alias nor stamps, rows, memory, history or MLflow, and nobody holds the lock."""
    before = state(place)
    yield
    assert state(place) == before


def stamped(start: Start, pair: str, **values: Any) -> Start:
    """The same world with other words in a pair's stamp."""
    changed = {f"promotion.{name}": value for name, value in values.items()}
    return dataclasses.replace(start, stamps=start.stamps | {pair: start.stamps[pair] | changed})


def judged(start: Start, pair: str, at: datetime) -> Start:
    """As if the pair had been validated then."""
    stamp = Stamp.read(pair, start.stamps[pair])
    evidence = Evidence.model_validate_json(stamp.evidence).model_copy(update={"judged_at": at})
    return stamped(start, pair, evidence=evidence.model_dump_json(), evidence_digest=evidence.digest)


def test_a_pair_of_another_service(place, worlds):
    """It is not there for this one, whatever its name and however sound it is."""
    place.reset(worlds.second)
    stranger = Pair("other", 1, "0000000a").collection
    with place.store() as store:
        like = Stamp.read("a", store.properties(place.pairs["a"]))
        store.create(stranger, like.layout, like.changed(service="other").properties())
    with nothing_changes(place):
        for words in (["promote", "--pair", stranger], ["rollback", "--to", stranger]):
            assert f"There is no pair {stranger} of this service." in refusal(place.shop.run(*words), 4)
    with place.store() as store:
        store.drop(stranger)


def test_a_pair_that_was_dropped_by_hand(place, worlds):
    """It is said not to be there; cleanup does not miss it."""
    place.reset(worlds.third)
    with place.store() as store:
        store.drop(place.pairs["x"])
    with nothing_changes(place):
        assert f"There is no pair {place.pairs['x']} of this service." in refusal(place.shop.run("promote", "--pair", place.pairs["x"]), 4)
    assert [gone["pair"] for gone in place.shop.do("cleanup")["dropped"]] == [place.pairs["y"]]


@pytest.mark.parametrize("step", ["lock", "check"])
@pytest.mark.parametrize("job", ["promote", "rollback"])
def test_an_alias_moved_by_hand_between_plan_and_switch(place, worlds, job, step):
    """Refused with both places named; it stays where the hand put it, nothing is stamped, and the lock is free."""
    place.reset(worlds.second)
    elsewhere = place.pairs["x"]
    before = state(place)
    with place.kit() as kit:

        def by_hand(done, remark):
            if done.name == step:
                kit.store.point(place.alias, elsewhere)

        with pytest.raises(ProductionMoved, match=f"the plan saw it at {place.pairs['b']}, now it points to {elsewhere}"):
            if job == "promote":
                promote(kit, place.pairs["c"], tell=by_hand)
            else:
                rollback(kit, to=None, reason="", dry_run=False, tell=by_hand)
        assert kit.store.target(place.alias) == elsewhere
        kit.store.point(place.alias, place.pairs["b"])
    assert state(place) == before


def test_an_alias_moved_by_hand_during_a_cleanup(place, worlds):
    """It stops before its next step: a pair that a hand put into production is never dropped."""
    place.reset(worlds.third)
    with place.kit() as kit:

        def by_hand(done, remark):
            if done.name == "begin":
                kit.store.point(place.alias, place.pairs["y"])

        with pytest.raises(ProductionMoved):
            cleanup(kit, dry_run=False, tell=by_hand)
        assert {place.pairs["x"], place.pairs["y"]} <= set(kit.store.collections())
        assert ledger.read(kit.store, place.alias).holder is None


def test_an_alias_that_dangles(place, worlds):
    """Its collection was dropped by hand: a rollback needs to be told where to, and goes there; cleanup drops nothing until then."""
    place.reset(worlds.second)
    with place.store() as store:
        store.point(place.alias, place.pairs["x"])
        store._milvus.call("drop_collection", place.pairs["x"])
    said = refusal(place.shop.run("rollback"), 4)
    assert f"The alias {place.alias} points to nothing" in said and place.pairs["a"] in said
    assert f"{place.alias} → nothing any more" in place.shop.run("status").output
    assert place.shop.do("cleanup")["dropped"] == []
    assert place.shop.do("rollback", "--to", place.pairs["a"])["to"] == place.pairs["a"]
    assert place.shop.do("status")["production"] == place.pairs["a"]
    assert place.shop.do("cleanup", "--dry-run")["drop"] != []


def test_two_aliases_on_one_pair(place, worlds):
    """A switch moves the service's own alone, and what another one points to is not cleaned up."""
    place.reset(worlds.third)
    with place.store() as store:
        store.point(OTHER_ALIAS, place.pairs["c"])
    try:
        place.shop.do("rollback")
        with place.store() as store:
            assert store.aliases() == {place.alias: place.pairs["b"], OTHER_ALIAS: place.pairs["c"]}
        done = place.shop.do("cleanup")
        assert place.pairs["c"] not in [gone["pair"] for gone in done["dropped"]]
        assert f"alias {OTHER_ALIAS} points to it" in [kept["why"] for kept in done["keep"]]
    finally:
        with place.store() as store:
            store.withdraw(OTHER_ALIAS)


def test_evidence_older_than_may_be_approved(place, worlds):
    """How old it is and may be is told; a longer patience can be configured."""
    place.reset(judged(worlds.first, place.pairs["b"], datetime.now(UTC) - timedelta(days=15)))
    with nothing_changes(place):
        assert "15.0 days old; promotion.approval_max_age_days is 14." in refusal(place.shop.run("promote", "--pair", place.pairs["b"]), 4)
    place.configure(approval_max_age_days=16)
    assert place.shop.do("promote", "--pair", place.pairs["b"])["to"] == place.pairs["b"]


def test_evidence_from_a_clock_that_is_ahead(place, worlds):
    """Another machine's minutes do not matter; evidence of next week would never become too old, and is refused."""
    place.reset(judged(worlds.first, place.pairs["b"], datetime.now(UTC) + timedelta(days=7)))
    with nothing_changes(place):
        refusal(place.shop.run("promote", "--pair", place.pairs["b"]), 4)
    place.reset(judged(worlds.first, place.pairs["b"], datetime.now(UTC) + timedelta(minutes=5)))
    assert place.shop.do("promote", "--pair", place.pairs["b"])["to"] == place.pairs["b"]


@pytest.mark.parametrize("year", [1999, 2099])
def test_a_lock_from_a_machine_with_another_clock(place, worlds, year):
    """Whether a holder lives is seen by its beats: one of the far past who lives is not passed over, one of the future who is dead is."""
    place.reset(worlds.first)
    since = datetime(year, 1, 1, tzinfo=UTC)
    with place.store() as store:
        if year == 1999:
            with lock.held(store, place.alias, Holder(token=new_token(), doing="cleanup", by="ann", since=since)):
                with pytest.raises(Refused, match="is locked: cleanup, begun by ann at 1999-01-01"):
                    lock._take(store, place.alias, Holder(token=new_token(), doing="unlock", by="bob", since=since))
            return
        host = new_token().split("/")[0]
        lock.break_open(store, place.alias, Holder(token=f"{host}/{2**22 + 1}/abcdef01", doing="cleanup", by="ann", since=since))
    assert place.shop.do("promote", "--pair", place.pairs["b"])["to"] == place.pairs["b"]


@pytest.mark.parametrize("broken", [{"format": "2"}, {"layout": "{"}], ids=["of a newer kit", "unreadable"])
@pytest.mark.parametrize("whose", ["production", "candidate", "previous"])
def test_a_stamp_that_cannot_be_read(place, worlds, whose, broken):
    """Nobody acts on that pair, nor away from it; `status` says so, and production stays what it is."""
    name, words = {
        "production": ("b", ["promote", "--pair", place.pairs["c"]]),
        "candidate": ("c", ["promote", "--pair", place.pairs["c"]]),
        "previous": ("a", ["rollback"]),
    }[whose]
    place.reset(stamped(worlds.second, place.pairs[name], **broken))
    with nothing_changes(place):
        assert place.pairs[name] in refusal(place.shop.run(*words), 4)
        if whose == "production":
            assert place.pairs[name] in refusal(place.shop.run("rollback"), 4)
        assert f"UNREADABLE: The stamp of {place.pairs[name]}" in place.shop.run("status").stdout
    assert place.pairs[name] not in json.dumps(place.shop.do("cleanup", "--dry-run")["drop"])


def test_a_rollback_to_production_itself(place, worlds):
    """Refused, with the pairs that one could go to."""
    place.reset(worlds.second)
    with nothing_changes(place):
        said = refusal(place.shop.run("rollback", "--to", place.pairs["b"]), 4)
    assert f"{place.pairs['b']} is production already." in said and place.pairs["a"] in said


def test_an_alias_that_never_answers_in_time(place, worlds):
    """A promotion goes back; if that cannot be seen to work either, it says so, and the same command finishes it."""
    place.reset(worlds.first)
    place.configure(probe_seconds=0.001)
    said = refusal(place.shop.run("promote", "--pair", place.pairs["b"]), 3)
    assert "but does not answer with it after 0.001 seconds" in said
    place.configure()
    result = place.shop.run("promote", "--pair", place.pairs["b"])
    assert result.exit_code == 1, result.output
    assert f"{place.pairs['b']} was rolled back: " in result.stdout
    after = state(place)
    assert (after["alias"], after["held"]) == ("a", "")
    assert [(act["kind"], act["to"]) for act in after["acts"]] == [("promotion", "b"), ("rollback", "a")]
    assert after["pairs"]["a"]["promotion.unfinished"] == ""


def test_a_rollback_that_never_answers_in_time_stays(place, worlds):
    """There is nothing better to go to: inconclusive, to be run again."""
    place.reset(worlds.second)
    place.configure(probe_seconds=0.001)
    assert "Run the same command again" in refusal(place.shop.run("rollback"), 3)
    place.configure()
    assert place.shop.do("rollback")["to"] == place.pairs["a"]
    after = state(place)
    assert (after["alias"], [act["kind"] for act in after["acts"]]) == ("a", ["rollback"])


def test_mlflow_that_is_down_during_a_promotion(place, worlds):
    """The switch stands, what is left is said, `status` shows it, and the same command repairs it: MLflow then knows all acts, each once.
    The model is at hand, so the golden queries are asked all the same."""
    place.reset(worlds.first)
    result = place.shop.run("promote", "--pair", place.pairs["b"], **DEAD_MLFLOW)
    assert result.exit_code == 0, result.output
    assert re.search(r"^LEFT TO DO: .*MLflow: make \S+ version 2 the one at Production.*Nothing answers at", result.stdout, re.MULTILINE)
    half = state(place)
    assert (half["alias"], half["runs of acts"]) == ("b", [0])
    assert "DRIFT: MLflow has version 1" in place.shop.do("status")["drift"]
    assert "MLflow has not heard of it" in place.shop.run("history").stdout
    place.shop.do("promote", "--pair", place.pairs["b"])
    after = state(place)
    assert (after["runs of acts"], after["in MLflow"]["2"], after["in MLflow"]["1"]) == ([1], "Production", "Archived")
    assert place.shop.do("status")["drift"] == ""


def test_what_was_stamped_last_outlives_a_kill_of_the_server(tmp_path, milvus_wheel):
    """2.3.5 loses the last change of properties at a restart; the kit sends each twice. Stamp, act and lock are still there."""
    layout = Layout(key=Column(name="id", type=FieldType.INT64), columns=(), dimension=4, index=Index())
    act = ledger.Act(kind=ledger.ActKind.ROLLBACK, id="1", at=NOW, by="ann", alias="shop_prod")
    with MilvusServer(tmp_path / "milvus", milvus_wheel, {"COMMON_SESSION_TTL": "10"}) as milvus:
        with MilvusStore(milvus.uri, milvus.token) as store:
            store.create("shop_v1_00000001", layout, stamp(layout=layout).properties())
            held = lock.break_open(store, "shop_prod", Holder(token="elsewhere@1/1/a", doing="rollback", by="ann", since=NOW))
            held.record(act)
            store.set_properties("shop_v1_00000001", stamp(layout=layout).changes(unfinished="rollback"))
            milvus.kill()
            milvus.start()
            assert Stamp.read("shop_v1_00000001", store.properties("shop_v1_00000001")).unfinished == "rollback"
            found = ledger.read(store, "shop_prod")
            assert (found.acts, found.holder.by) == ((act,), "ann")
            held.release()
            milvus.kill()
            milvus.start()
            assert ledger.read(store, "shop_prod").holder is None
