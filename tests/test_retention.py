"""The retention plan, which is pure."""

from datetime import UTC, datetime, timedelta

from scripts import retention
from scripts.catalogue import Catalogue, Entry
from scripts.pair import Build, Pair, State
from scripts.settings import RetentionSettings
from tests.test_pair import stamp

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def entry(version, *, days=30, production=False, promoted=False, aliases=(), **changes):
    then = NOW - timedelta(days=days)
    changes = {"state": State.VALIDATED, "build": Build(id="b", created_at=then)} | ({"promoted_at": then} if promoted or production else {}) | changes
    return Entry(Pair("shop", version, f"{version:08x}"), stamp(**changes), (*aliases, *(("shop_prod",) if production else ())), production)


def name(version):
    return Pair("shop", version, f"{version:08x}").collection


def dropped(*entries, keep_days=7, keep_previous=1):
    plan = retention.plan(Catalogue("shop_prod", None, entries), RetentionSettings(keep_days=keep_days, keep_previous=keep_previous), now=NOW)
    assert len(plan.keep) + len(plan.drop) == len(entries)
    return [d.entry.pair.version for d in plan.drop]


def test_production_and_its_predecessor_stay_however_old():
    """The way back is kept."""
    assert dropped(entry(1, promoted=True), entry(2, promoted=True), entry(3, production=True, replaces=name(2))) == [1]


def test_the_predecessor_is_the_one_that_rollback_goes_to():
    """Not the one that happens to have retired last."""
    newest = entry(2, promoted=True, retired_at=NOW - timedelta(days=8))
    assert dropped(entry(1, promoted=True), newest, entry(3, production=True, replaces=name(1))) == [2]


def test_an_aliased_pair_stays():
    """Whatever alias it is, and whoever set it."""
    assert dropped(entry(1, aliases=("experiment",)), entry(2)) == [2]


def test_young_pairs_stay():
    """Age counts from the last time a pair was built, promoted or retired."""
    assert dropped(entry(1, days=6), entry(2, days=8), entry(3, days=30, retired_at=NOW - timedelta(days=2))) == [2]


def test_a_build_that_may_still_run_stays():
    """Even where keep_days is zero."""
    building = {"state": State.BUILDING}
    assert dropped(entry(1, days=0.1, **building), entry(2, days=2, **building), keep_days=0) == [2]


def test_rejected_and_abandoned_pairs_go():
    """When they are old enough."""
    assert dropped(entry(1, state=State.REJECTED), entry(2, state=State.BUILDING), entry(3, state=State.BUILT)) == [1, 2, 3]


def test_more_predecessors_follow_the_chain():
    """Each keeps the one that it replaced itself."""
    chain = (entry(1, promoted=True), entry(2, promoted=True, replaces=name(1)), entry(3, promoted=True), entry(4, production=True, replaces=name(2)))
    assert dropped(*chain, keep_previous=2) == [3]
    assert dropped(*chain, keep_previous=3) == []


def test_a_chain_that_runs_in_a_circle_ends():
    """After promote, rollback and promote two pairs name each other."""
    assert dropped(entry(1, promoted=True, replaces=name(2)), entry(2, production=True, replaces=name(1))) == []
