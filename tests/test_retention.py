"""The retention plan, which is pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from scripts import retention
from scripts.catalogue import Catalogue, Entry, Unreadable
from scripts.pair import Build, Content, Pair, State
from scripts.retention import Fate, Policy, Seen
from tests.test_pair import stamp

NOW = datetime(2026, 11, 20, tzinfo=UTC)
CONTENT = Content(rows=1_000, fingerprint="0" * 16, skipped=0, read_at=NOW - timedelta(days=90))
BUILDING = {"state": State.BUILDING, "content": None, "shards": {}}


def entry(version, *, days=30, production=False, promoted=False, aliases=(), judged=None, **changes):
    """A pair that was last active so many days ago."""
    then = NOW - timedelta(days=days)
    known = {"state": State.VALIDATED, "build": Build(id="b", created_at=then), "content": CONTENT, "shards": {"0-of-1": CONTENT}}
    if promoted or production:
        known |= {"promoted_at": then, "retired_at": None if production else then}
    if judged is not None:
        known["evidence"] = json.dumps({"judged_at": (NOW - timedelta(days=judged)).isoformat()})
    return Entry(Pair("shop", version, f"{version:08x}"), stamp(**known | changes), (*aliases, *(("shop_prod",) if production else ())), production)


def name(version):
    return Pair("shop", version, f"{version:08x}").collection


def names(*versions):
    return frozenset(map(name, versions))


def catalogue_of(*entries, target="somebody_elses", unreadable=()):
    """The alias points to the production among them, else to `target`."""
    production = next((each.pair.collection for each in entries if each.is_production), target)
    return Catalogue("shop_prod", production, entries, unreadable)


def decided(*entries, seen=None, target="somebody_elses", unreadable=(), now=NOW, **policy):
    plan = retention.plan(catalogue_of(*entries, target=target, unreadable=unreadable), Policy(**policy), now=now, seen=seen)
    assert [each.entry for each in plan.decisions] == list(entries)
    return plan


def dropped(*entries, **how):
    return [each.entry.pair.version for each in decided(*entries, **how).to(Fate.DROP)]


def released(*entries, **how):
    loaded = Seen(loaded=frozenset(each.pair.collection for each in entries))
    return [each.entry.pair.version for each in decided(*entries, **{"seen": loaded} | how).to(Fate.RELEASE)]


def why(version, *entries, **how):
    return next(each.why for each in decided(*entries, **how).decisions if each.entry.pair.version == version)


def test_production_and_its_predecessor_stay_however_old():
    """The way back is kept."""
    assert dropped(entry(1, promoted=True), entry(2, promoted=True), entry(3, production=True, replaces=name(2))) == [1]


def test_the_predecessor_is_the_one_that_rollback_goes_to():
    """Not the one that happens to have retired last."""
    newest = entry(2, promoted=True, retired_at=NOW - timedelta(days=8))
    assert dropped(entry(1, promoted=True), newest, entry(3, production=True, replaces=name(1))) == [2]


def test_more_predecessors_follow_the_chain():
    """Each keeps the one that it replaced itself; after its end come the others, who retired last first."""
    chain = (entry(1, promoted=True), entry(2, promoted=True, replaces=name(1)), entry(3, promoted=True), entry(4, production=True, replaces=name(2)))
    assert dropped(*chain, keep_previous=2) == [3]
    assert dropped(*chain, keep_previous=3) == []
    broken = (entry(1, promoted=True, days=40), entry(2, promoted=True, days=20), entry(4, production=True, replaces=name(9)))
    assert dropped(*broken) == [1]


def test_a_chain_that_runs_in_a_circle_ends():
    """After promote, rollback and promote two pairs name each other."""
    assert dropped(entry(1, promoted=True, replaces=name(2)), entry(2, production=True, replaces=name(1))) == []


def test_what_was_rolled_back_is_no_way_back():
    """It takes nobody's place, also while the rollback from it is still to be finished; a rollback does not go there by itself."""
    older, bad = entry(1, promoted=True, days=40), entry(2, promoted=True, rolled_back=True, replaces=name(1))
    assert dropped(older, bad, entry(3, production=True, replaces=name(2))) == [2]
    leaving = entry(3, production=True, unfinished="rollback", came_from=name(2))
    bad = entry(2, promoted=True)
    assert dropped(older, bad, leaving) == []
    assert "the rollback from it is not finished" in why(2, older, bad, leaving)


def test_one_whose_catch_up_was_interrupted_is_kept_beside_a_sound_one():
    """A rollback would go there first; but nobody knows what it holds, so it is not what was promised."""
    half = entry(2, promoted=True, replaces=name(1), shards={"0-of-1": None})
    pairs = (entry(1, promoted=True), half, entry(3, production=True, replaces=name(2)))
    assert dropped(*pairs) == []
    assert dropped(*pairs, keep_previous=0) == [1, 2]
    assert "predecessor 1 (not up to date" in why(2, *pairs)


def test_an_aliased_pair_stays():
    """Whatever alias it is, whoever set it, and however many there are."""
    pairs = (entry(1, aliases=("experiment", "second")), entry(2))
    assert dropped(*pairs) == [2]
    assert why(1, *pairs) == "aliases experiment, second point to it"


def test_young_pairs_stay():
    """Age counts from the last time a pair was built, judged, promoted or retired; clocks may differ by an hour."""
    young = (entry(1, days=6), entry(2, days=8), entry(3, days=30, promoted=True, retired_at=NOW - timedelta(days=2)))
    assert dropped(*young, keep_previous=0) == [2]
    assert dropped(entry(1, days=30, judged=6, state=State.REJECTED), entry(2, days=7 + 0.9 / 24), entry(3, days=7 + 1.1 / 24)) == [3]


def test_a_stamp_from_the_future_is_young():
    """Somebody's clock is wrong, and nobody knows whose: also where nothing is kept for its age."""
    ahead = entry(1, days=-1)
    assert dropped(ahead, keep_days=0) == []
    assert "from the future" in why(1, ahead, keep_days=0)


def test_a_stamp_from_the_future_takes_nobodys_place():
    """The pair that a machine with a fast clock retired is not by that the newest predecessor."""
    assert dropped(entry(1, promoted=True), entry(2, promoted=True, days=-400), entry(3, production=True)) == []


def test_a_build_that_may_still_run_stays():
    """Even where keep_days is zero: between its jobs nobody is at work on it."""
    assert dropped(entry(1, days=0.1, **BUILDING), entry(2, days=2, **BUILDING), keep_days=0) == [2]


def test_a_build_that_is_yet_to_be_validated_stays():
    """The cleanup of another pipeline may come between its jobs; one that has its verdict is nobody's business any more."""
    built = {"state": State.BUILT}
    pairs = (entry(1, days=0.1, **built), entry(2, days=2, **built), entry(3, days=0.1, **built, verdict="inconclusive"))
    assert dropped(*pairs, keep_days=0) == [2, 3]


def test_a_build_stays_while_somebody_is_at_work_on_it():
    """However long it takes. So does whatever else is being filled."""
    seen = Seen(being_filled=names(1, 3))
    assert dropped(entry(1, **BUILDING), entry(2, **BUILDING), entry(3), entry(4), seen=seen) == [2, 4]


def test_a_build_in_shards_is_as_young_as_its_last_shard():
    """One that took a week is not abandoned the day after."""
    recent = CONTENT.model_copy(update={"read_at": NOW - timedelta(days=0.5)})
    assert dropped(entry(1, **BUILDING | {"shards": {"0-of-2": recent, "1-of-2": None}}), keep_days=0) == []


def test_an_open_approval_stays_until_it_expires():
    """Somebody may still approve it. One that was used is not open any more, unless it was validated again."""
    assert dropped(entry(1, judged=13), entry(2, judged=15), keep_days=0) == [2]
    assert dropped(entry(1, judged=13), approval_days=10) == [1]
    assert "expired: validated 15.0 days ago" in why(2, entry(2, judged=15))
    used, again = entry(3, days=9, judged=10, promoted=True), entry(4, days=9, judged=8.5, promoted=True)
    assert dropped(used, again, entry(5, production=True), keep_previous=0) == [3]


def test_a_failed_or_withdrawn_verdict_is_no_approval():
    """Nor is one that a rollback has answered."""
    rejected, withdrawn = entry(1, judged=8, state=State.REJECTED), entry(2, state=State.BUILT)
    assert dropped(rejected, withdrawn, entry(3, days=9, judged=8, promoted=True, rolled_back=True), entry(4, production=True)) == [1, 2, 3]


def test_evidence_that_cannot_be_read_is_not_held_against_a_pair():
    """It may be of a newer kit."""
    assert dropped(entry(1, evidence="{}"), entry(2, evidence='{"judged_at": 7}'), entry(3, evidence="[")) == []


def test_rejected_and_abandoned_pairs_go_with_a_reason():
    """When they are old enough."""
    candidates = (entry(1, judged=9, state=State.REJECTED), entry(2, **BUILDING), entry(3, state=State.BUILT))
    pairs = (*candidates, entry(4, promoted=True), entry(5, production=True))
    assert dropped(*pairs, keep_previous=0) == [1, 2, 3, 4]
    assert [why(version, *pairs, keep_previous=0) for version in (1, 2, 3, 4)] == [
        "rejected 9.0 days ago",
        "abandoned: its build began 30.0 days ago, and nobody is at work on it",
        "built 30.0 days ago, and never validated",
        "retired 30.0 days ago, and not among the 0 predecessors to keep",
    ]


def test_nothing_goes_while_nobody_knows_what_production_is():
    """The alias is gone, or points to a pair that cannot be read: then which pairs are the way back is not known either."""
    pairs = (entry(1, state=State.REJECTED), entry(2, promoted=True), entry(3, promoted=True))
    assert dropped(*pairs, target=None) == []
    assert released(*pairs, target=None, keep_loaded=0) == []
    newer = Unreadable(name(9), f"The stamp of {name(9)} has format 2")
    assert dropped(*pairs, target=name(9), unreadable=(newer,)) == []
    assert decided(*pairs, target=name(9), unreadable=(newer,)).untouched == (newer,)


def test_before_the_first_promotion_what_is_old_goes():
    """No alias, and nothing that has served."""
    assert dropped(entry(1, state=State.REJECTED), entry(2, days=1), target=None) == [1]


@pytest.mark.parametrize("target", [name(1), "somebody_elses"])
def test_a_pair_that_the_alias_was_taken_from_by_hand_stays(target):
    """Its stamp still calls it production."""
    older = entry(1, days=60, promoted=True)
    if target == name(1):
        older = Entry(older.pair, older.stamp, ("shop_prod",), True)
    left = entry(2, days=30, promoted=True, retired_at=None)
    assert dropped(older, left, target=target, keep_previous=0) == ([] if target == name(1) else [1])


def test_a_switch_that_was_interrupted_keeps_both_ends():
    """The same command finishes it; after a day nobody will."""
    begun = {"unfinished": "promotion", "begun_at": NOW - timedelta(hours=2)}
    assert dropped(entry(1, **begun), entry(2, production=True), keep_days=0) == []
    assert dropped(entry(1, **begun | {"begun_at": NOW - timedelta(days=2)}), entry(2, production=True), keep_days=0) == [1]
    moved = entry(2, production=True, unfinished="promotion", came_from=name(1), replaces="")
    assert dropped(entry(1, promoted=True), moved, keep_days=0, keep_previous=0) == []


def test_what_something_else_needs_stays():
    """A pair that answers a share of the queries without an alias of its own."""
    assert dropped(entry(1), entry(2), seen=Seen(needed={name(1): "a canary"})) == [2]


def test_predecessors_beyond_keep_loaded_leave_memory():
    """They are kept on disk. Neither production nor an aliased pair, nor one that may be approved, nor one that is being filled."""
    chain = (entry(1, promoted=True), entry(2, promoted=True, replaces=name(1)), entry(3, production=True, replaces=name(2)))
    assert released(*chain, keep_previous=2) == [1]
    assert released(*chain, keep_previous=2, keep_loaded=0) == [1, 2]
    assert released(*chain, keep_previous=2, keep_loaded=2) == []
    served = (entry(1, promoted=True, aliases=("x",)), entry(2, promoted=True, judged=3), entry(3, production=True))
    used = (*served, entry(4, judged=1), entry(5, days=1))
    assert released(*used, keep_previous=5, keep_loaded=0) == []
    seen = Seen(loaded=names(1, 2, 3), being_filled=names(1))
    assert released(*chain, keep_previous=2, seen=seen) == []


def test_what_is_not_in_memory_is_not_released_again():
    """The plan of a second cleanup is empty."""
    chain = (entry(1, promoted=True), entry(2, promoted=True, replaces=name(1)), entry(3, production=True, replaces=name(2)))
    assert released(*chain, keep_previous=2, seen=Seen(loaded=names(2, 3))) == []


def test_clients_that_follow_the_alias_are_given_an_hour():
    """A pair that has just retired may still be asked, though it is not to be kept in memory."""
    just, before = (entry(1, days=30, promoted=True, rolled_back=True, retired_at=NOW - timedelta(minutes=minutes)) for minutes in (30, 90))
    assert released(just, entry(2, production=True)) == []
    assert released(before, entry(2, production=True)) == [1]


def test_drops_come_first_and_the_plan_says_what_each_step_frees():
    """A pair that is not loaded frees no memory; of one that was never filled nobody knows."""
    pairs = (entry(1, **BUILDING), entry(2), entry(3, promoted=True), entry(4, production=True))
    plan = decided(*pairs, keep_loaded=0, seen=Seen(loaded=names(3, 4)))
    assert [step.name for step in plan.steps()] == [f"drop {name(1)}", f"drop {name(2)}", f"release {name(3)}"]
    assert [bool(each.frees) and (each.frees.memory > 0, each.frees.disk > 0) for each in plan.acts] == [False, (False, True), (True, False)]
    assert plan.steps()[0].words.endswith("; how much it frees is not known")
    assert (plan.frees.memory, plan.frees.disk) == (plan.acts[2].frees.memory, plan.acts[1].frees.disk)
