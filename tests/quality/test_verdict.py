"""The relative gate's three verdicts, and what all gates say together."""

from dataclasses import replace

import pytest

from scripts.golden.description import MAX_GATES
from scripts.pair import MAX_PROPERTY_CHARS
from scripts.quality.facts import Missing
from scripts.quality.gates import KINDS, Outcome, Verdict, judge, verdict
from scripts.quality.gates.index import ALWAYS, Collapse
from scripts.quality.gates.measured import EnoughJudged, Floor, MaxLoss, QueryFloor
from scripts.quality.gates.verdict import WHY_CHARS
from scripts.quality.measures import Measured
from scripts.quality.seen import Baseline, Seen
from scripts.quality.statistics import MIN_QUERIES
from tests.quality.sights import NAMES, QUERIES, baseline, index, measured, seen

FLOOR = Floor(measure="nDCG@10", at_least=0.4)
LOSS = MaxLoss(measure="nDCG@10", at_most=0.05)


def outcomes(*gates, of) -> dict[str, Outcome]:
    return {result.gate: result.outcome for result in judge(gates, of)}


# max_loss


def wavering(mean: float, *, queries: int = QUERIES) -> Measured:
    """Half the queries gain and half lose, so that the mean is uncertain; production has 0.5 everywhere."""
    return measured([0.5 + mean + (0.2 if number % 2 else -0.2) for number in range(queries)])


def test_a_loss_passes_fails_or_cannot_be_told():
    """By where the whole interval lies, not the mean."""
    assert [LOSS.judge(seen(wavering(mean))).outcome for mean in (0.05, 0.0, -0.04, -0.06, -0.2)] == [
        Outcome.PASS,
        Outcome.INCONCLUSIVE,
        Outcome.INCONCLUSIVE,
        Outcome.INCONCLUSIVE,
        Outcome.FAIL,
    ]


def test_the_result_shows_what_it_rests_on():
    """Both means, the interval of their difference, and the change that it is held against."""
    result = LOSS.judge(seen(wavering(0.05)))
    assert (result.candidate, result.production, result.limit) == (pytest.approx(0.55), 0.5, -0.05)
    assert result.interval.low < 0.05 < result.interval.high and result.interval.confidence == 0.95
    assert f"a change of +0.0500, 95% interval {result.interval.low:+.4f} to {result.interval.high:+.4f} over {QUERIES} queries" in result.why


def test_inconclusive_says_how_many_more_queries_would_settle_it():
    """And that many more do, if they are alike."""
    result = LOSS.judge(seen(wavering(0.0)))
    more = int(result.why.split("about ")[1].split(" more judged queries like these would settle it")[0])
    assert 0 < more < 100
    many = QUERIES + more + more % 2
    assert LOSS.judge(seen(wavering(0.0, queries=many), baseline=baseline([0.5] * many))).outcome is Outcome.PASS


def test_a_loss_that_is_the_tolerated_one_is_never_settled():
    """Judging more queries would be in vain, and that is said."""
    assert "no number of queries would settle it" in LOSS.judge(seen(wavering(-0.05))).why


def test_less_confidence_settles_earlier():
    """That is what it is for."""
    surer, bolder = (MaxLoss(measure="nDCG@10", at_most=0.05, confidence=confidence) for confidence in (0.95, 0.6))
    assert surer.judge(seen(wavering(0.0))).outcome is Outcome.INCONCLUSIVE
    assert bolder.judge(seen(wavering(0.0))).outcome is Outcome.PASS


def test_too_few_queries_are_inconclusive_whatever_they_say():
    """How many are missing is told."""
    few = QUERIES - 3
    result = LOSS.judge(seen(measured([0.9] * few), baseline=baseline([0.5] * few)))
    assert (result.outcome, result.interval) == (Outcome.INCONCLUSIVE, None)
    assert f"{few} judged queries are too few to compare by: 3 more are needed" in result.why


def test_queries_that_hardly_weigh_do_not_count_as_queries():
    """Fifty of which one decides are one."""
    weights = [1.0] * (QUERIES - 1) + [500.0]
    result = LOSS.judge(seen(measured(0.9, weights=weights), baseline=baseline(0.5, weights=weights)))
    assert result.outcome is Outcome.INCONCLUSIVE
    assert "count by their weights as 1" in result.why


def test_one_broken_query_passes_only_where_many_were_asked():
    """One of 50 may be one of twenty; one of 500 is not."""
    for queries, expected in ((QUERIES, Outcome.INCONCLUSIVE), (10 * QUERIES, Outcome.PASS)):
        broken = measured([1.0] * (queries - 1) + [0.0])
        assert LOSS.judge(seen(broken, baseline=baseline([1.0] * queries))).outcome is expected


# together


def test_a_sound_pair_passes():
    """All gates that always stand guard, and a floor."""
    assert verdict(judge([FLOOR, LOSS], seen())) is Verdict.PASS


def test_no_gates_is_never_a_pass():
    """Neither of nothing, nor of a sound index alone: that says nothing of what it finds."""
    assert verdict([]) is Verdict.INCONCLUSIVE
    results = judge([], seen())
    assert len(results) > 10 and {result.outcome for result in results} == {Outcome.PASS}
    assert verdict(results) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"floor", "query_floor", "max_loss"}))
def test_a_gate_that_says_nothing_of_what_is_found_decides_nothing(kind):
    """A pass of it beside passes of its like is no pass."""
    passed = [result for result in judge([FLOOR], seen()) if result.kind != "floor"]
    assert verdict([result.model_copy(update={"kind": kind}) for result in passed]) is Verdict.INCONCLUSIVE


def test_a_first_pair_passes_by_its_floor_alone():
    """A comparison that does not apply neither holds it up nor lets it through."""
    first = seen(measured(0.9), baseline=Baseline())
    assert outcomes(LOSS, of=first)[str(LOSS)] is Outcome.NOT_APPLICABLE
    assert verdict(judge([LOSS], first)) is Verdict.INCONCLUSIVE
    assert verdict(judge([FLOOR, LOSS], first)) is Verdict.PASS


def test_production_that_cannot_be_measured_is_inconclusive():
    """However good the candidate is by itself."""
    results = judge([FLOOR, LOSS], seen(measured(0.9), baseline=Baseline("production", unmeasured_because="its model does not load")))
    assert verdict(results) is Verdict.INCONCLUSIVE


def test_one_failure_outweighs_everything():
    """Also what could not be told."""
    assert verdict(judge([FLOOR, LOSS], seen(measured(0.9), index=index(zero=1), baseline=Baseline("p", unmeasured_because="gone")))) is Verdict.FAIL


def test_one_that_cannot_be_told_outweighs_every_pass():
    """Only pass promotes."""
    assert verdict(judge([FLOOR, LOSS], seen(index=None))) is Verdict.INCONCLUSIVE


def test_a_named_gate_replaces_the_one_that_stands_guard():
    """Its limit is the suite's; the others stay."""
    parallel = seen(index=index(parallel=0.97))
    assert outcomes(FLOOR, of=parallel)[str(Collapse())] is Outcome.FAIL
    named = outcomes(FLOOR, Collapse(at_most=0.98), of=parallel)
    assert Outcome.FAIL not in named.values()
    assert str(Collapse()) not in named and len(named) == len(outcomes(FLOOR, of=parallel))


# too little judged


def judged_seen(judged: float, ndcg: float = 0.1, **parts):
    """Of every query, the share of results that is judged, and what it scores."""
    return seen(Measured({"nDCG@10": dict.fromkeys(NAMES, ndcg), "Judged@10": dict.fromkeys(NAMES, judged)}, dict.fromkeys(NAMES, 1.0)), **parts)


def test_where_too_little_is_judged_nothing_fails_by_its_measures():
    """What the candidate found may be good, and nobody knows: inconclusive, with both reasons."""
    gates = [EnoughJudged(at_least=0.6), FLOOR, LOSS, QueryFloor(measure="nDCG@10", at_least=0.2)]
    enough, little = judge(gates, judged_seen(0.7)), judge(gates, judged_seen(0.3))
    assert [result.outcome for result in enough[:4]] == [Outcome.PASS, Outcome.FAIL, Outcome.FAIL, Outcome.FAIL]
    assert {result.outcome for result in little[:4]} == {Outcome.INCONCLUSIVE}
    assert (verdict(enough), verdict(little)) == (Verdict.FAIL, Verdict.INCONCLUSIVE)
    assert little[1].why.startswith("0.1000 against a floor of 0.4, but 30% of what the candidate shows is judged, less than 60%")


def test_a_withheld_result_stays_short():
    """Both reasons are there, each cut where it is too long to be stamped."""
    unknown = Missing(relevant=10, missing=9, examples=("x" * 2_000,))
    named = QueryFloor(measure="nDCG@10", at_least=0.4)
    what = replace(judged_seen(0.9), missing=unknown, candidate=Measured({"nDCG@10": {"q" * 2_000: 0.1}}, {"q" * 2_000: 1.0}))
    result = next(result for result in judge([named], what) if result.kind == "query_floor")
    assert result.outcome is Outcome.INCONCLUSIVE
    assert len(result.why) == WHY_CHARS
    assert result.why.startswith("1 of 1 queries are below 0.4")
    assert "…, but 9 of 10 relevant documents are not in the collection" in result.why


def test_too_little_judged_hides_no_fault_of_the_index():
    """Those are there whoever judged what."""
    assert verdict(judge([EnoughJudged(at_least=0.6), FLOOR], judged_seen(0.3, index=index(zero=1)))) is Verdict.FAIL


def test_too_little_judged_is_never_a_pass():
    """However well the rest scores."""
    assert verdict(judge([EnoughJudged(at_least=0.6), FLOOR], judged_seen(0.3, ndcg=0.9))) is Verdict.INCONCLUSIVE


def test_too_little_judged_of_a_slice_withholds_that_slice_alone():
    """What fails elsewhere fails."""
    slices = {"rare": frozenset(NAMES[:5]), "common": frozenset(NAMES[5:])}
    gates = [EnoughJudged(at_least=0.6, slice="rare"), *(Floor(measure="nDCG@10", at_least=0.4, slice=name) for name in slices)]
    assert [result.outcome for result in judge(gates, judged_seen(0.3, slices=slices))[:3]] == [Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE, Outcome.FAIL]


def test_gates_that_always_stand_guard_need_nothing_but_their_kind():
    """So that a suite need not name them."""
    assert all(type(gate)() == gate for gate in ALWAYS)
    assert MIN_QUERIES == QUERIES


def test_the_longest_evidence_fits_into_a_stamp():
    """As many gates as a suite may have, each of a slice with a long name and queries with long ids that all miss it."""
    queries = {f"{number}{'q' * 250}": 0.0 for number in range(100)}
    named = [QueryFloor(measure="nDCG@10", at_least=0.5, slice=f"{number}{'s' * 97}") for number in range(MAX_GATES)]
    long = Seen(candidate=Measured({"nDCG@10": queries}, dict.fromkeys(queries, 1.0)), slices={gate.slice: frozenset(queries) for gate in named})
    results = judge(named, long)
    assert len("".join(result.model_dump_json() for result in results)) < MAX_PROPERTY_CHARS - 10_000
