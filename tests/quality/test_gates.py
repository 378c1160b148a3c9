"""Every gate kind: where its limit is, and what it says of what it was not shown."""

from dataclasses import dataclass

import pytest
from pydantic import TypeAdapter, ValidationError

from scripts.quality.facts import Coverage, Latency, Metered, Missing, Recall, Reencoded, SourceFacts
from scripts.quality.gates import KINDS, Gate, Outcome, check_kind
from scripts.quality.measures import Measured
from scripts.quality.seen import Baseline, Seen
from tests.quality.sights import INDEX, LATENCY, NAMES, PROMPTS, QUERIES, REPLAYED, baseline, index, measured, seen

NAN = float("nan")


@dataclass(frozen=True)
class Case:
    """A gate as suite.yaml has it, less its kind, and what it is to be shown."""

    fields: dict
    at_limit: Seen
    beyond: Seen
    unseen: Seen
    """What the gate needs is not there."""
    compares: bool = False
    """With production: without one it does not apply."""
    beyond_is: Outcome = Outcome.FAIL


FLOOR = {"measure": "nDCG@10", "at_least": 0.5}
NO_INDEX = seen(index=None)
SLOW = Latency(queries=50, depth=10, candidate=Metered(p50=2, p95=8.1, p99=9), production=Metered(p50=2, p95=4, p99=8))
LIMIT = SLOW.model_copy(update={"candidate": Metered(p50=2, p95=8.0, p99=9)})


def replayed(**changes) -> Seen:
    return seen(replayed=REPLAYED.model_copy(update=changes))


def source(changed: int) -> Seen:
    return seen(index=index(source=SourceFacts(rows=1000, new=0, changed=changed, vanished=0)))


CASES = {
    "floor": Case(FLOOR, seen(measured(0.5)), seen(measured(0.4999)), seen(measured([]))),
    "query_floor": Case(FLOOR, seen(measured([0.5, 1.0])), seen(measured([0.4999, 1.0])), seen(measured([]))),
    "max_loss": Case({"measure": "nDCG@10", "at_most": 0.02}, seen(measured(0.48)), seen(measured(0.4799)), seen(measured([])), compares=True),
    "judged": Case(
        {"at_least": 0.5},
        seen(measured(0.5, "Judged@10")),
        seen(measured(0.4999, "Judged@10")),
        seen(measured([], "Judged@10")),
        beyond_is=Outcome.INCONCLUSIVE,
    ),
    "judgments": Case(
        {"at_most": 0.1},
        seen(missing=Missing(relevant=100, missing=10)),
        seen(missing=Missing(relevant=100, missing=11, examples=("d1 (q1)",))),
        seen(missing=None),
        beyond_is=Outcome.INCONCLUSIVE,
    ),
    "contents": Case({}, seen(), seen(index=index(rows=999)), NO_INDEX),
    "vectors": Case({}, seen(), seen(index=index(not_finite=1)), NO_INDEX),
    "index": Case({}, seen(), seen(index=index(metric="L2")), NO_INDEX),
    "norms": Case({"at_most": 0.1}, seen(index=index(unlike_one=0.1)), seen(index=index(unlike_one=0.11)), NO_INDEX),
    "collapse": Case({}, seen(index=index(parallel=0.95)), seen(index=index(parallel=0.951)), NO_INDEX),
    "ann_recall": Case(
        {},
        seen(index=index(recall=Recall(k=10, queries=50, mean=0.95, worst=0.1))),
        seen(index=index(recall=Recall(k=10, queries=50, mean=0.949, worst=0.1))),
        seen(index=index(recall=None)),
    ),
    "same_vectors": Case(
        {},
        seen(index=index(reencoded=Reencoded(compared=100, worst=0.999))),
        seen(index=index(reencoded=Reencoded(compared=100, worst=0.998, unlike=("7",)))),
        seen(index=index(reencoded=None)),
    ),
    "fresh": Case({}, source(10), source(11), seen(index=index(source=None))),
    "complete": Case(
        {},
        seen(index=index(coverage=Coverage(production_rows=1000, missing=10))),
        seen(index=index(coverage=Coverage(production_rows=1000, missing=11, examples=("7",)))),
        seen(index=index(coverage=None)),
        compares=True,
    ),
    "prompts": Case({}, seen(), seen(index=index(prompts=PROMPTS.model_copy(update={"declared_query": "query: "}))), NO_INDEX),
    "latency": Case({"at_most_ms": 8}, seen(latency=LIMIT), seen(latency=SLOW), seen(latency=None)),
    "latency_ratio": Case({"at_most": 2}, seen(latency=LIMIT), seen(latency=SLOW), seen(latency=LATENCY.model_copy(update={"production": None})), compares=True),
    "overlap": Case({"at_least": 0.9}, replayed(), replayed(overlap=0.89), seen(replayed=None), compares=True),
    "rbo": Case({"at_least": 0.9}, replayed(), replayed(rbo=0.89), seen(replayed=None), compares=True),
    "top_changed": Case({"at_most": 0.1}, replayed(), replayed(top_changed=0.11), seen(replayed=None), compares=True),
    "empty_results": Case({"at_most": 0.01}, replayed(), replayed(empty=0.011), seen(replayed=None), compares=True),
}


def made(kind: str, **fields):
    """As the suite's file makes it."""
    return TypeAdapter(Gate).validate_python({"gate": kind, **fields})


def said(kind: str, what: Seen):
    return made(kind, **CASES[kind].fields).judge(what)


def test_every_kind_has_a_case():
    """A new kind is tested here, too."""
    assert list(CASES) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_passes_at_its_limit_and_not_beyond(kind):
    """The limit itself is good enough."""
    case = CASES[kind]
    assert said(kind, case.at_limit).outcome is Outcome.PASS
    assert said(kind, case.beyond).outcome is case.beyond_is


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_seen_is_inconclusive_with_a_reason(kind):
    """It neither passes nor fails."""
    result = said(kind, CASES[kind].unseen)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.why


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nobody", [Baseline(), Baseline("somebody_elses", foreign=True)])
def test_comparisons_do_not_apply_without_production(kind, nobody):
    """Nor with one that no model of the kit's can query; all others are judged as ever."""
    case = CASES[kind]
    one = Seen(case.at_limit.candidate, nobody, {}, case.at_limit.missing, case.at_limit.index, case.at_limit.latency, case.at_limit.replayed)
    assert said(kind, one).outcome is (Outcome.NOT_APPLICABLE if case.compares else Outcome.PASS)


@pytest.mark.parametrize("kind", ["max_loss", "overlap", "rbo", "top_changed", "empty_results", "latency_ratio"])
def test_production_that_cannot_be_asked_is_inconclusive(kind):
    """A broken baseline lets nothing through, and the reason is told."""
    broken = Baseline("production", unmeasured_because="its model does not load")
    result = said(kind, seen(baseline=broken, latency=LATENCY.model_copy(update={"production": None}), replayed=None))
    assert result.outcome is Outcome.INCONCLUSIVE
    assert "its model does not load" in result.why


@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_says_itself_in_words(kind):
    """With its limit, so that a person can tell two gates of a kind apart."""
    gate = made(kind, **CASES[kind].fields)
    limit = next((value for name, value in gate.model_dump().items() if name.startswith("at_")), None)
    assert str(gate) == said(kind, seen()).gate
    assert limit is None or f"{limit:g}" in str(gate) or f"{100 * limit:g}%" in str(gate)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("floor", seen(measured(NAN))),
        ("query_floor", seen(measured([NAN, 1.0]))),
        ("max_loss", seen(measured([NAN] + [0.5] * (QUERIES - 1)))),
        ("judged", seen(measured(NAN, "Judged@10"))),
        ("norms", seen(index=index(unlike_one=NAN))),
        ("collapse", seen(index=index(parallel=NAN))),
        ("ann_recall", seen(index=index(recall=Recall(k=10, queries=0, mean=NAN, worst=NAN)))),
        ("same_vectors", seen(index=index(reencoded=Reencoded(compared=1, worst=NAN)))),
        ("latency", seen(latency=LATENCY.model_copy(update={"candidate": Metered(p50=NAN, p95=NAN, p99=NAN)}))),
        ("overlap", replayed(overlap=NAN)),
        ("top_changed", replayed(top_changed=NAN)),
    ],
)
def test_what_is_not_a_number_never_passes(kind, what):
    """No comparison with it is true, so a limit stated the wrong way round would let it through."""
    assert said(kind, what).outcome is not Outcome.PASS


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("contents", {"rows": 500}, "500 rows, built with 1,000"),
        ("contents", {"distinct_keys": 990}, "1,000 rows have 990 distinct keys"),
        ("contents", {"content_as_stamped": False}, "other keys, texts or columns"),
        ("vectors", {"zero": 3}, "3 of 1,000 are zero"),
        ("vectors", {"dimension": 7}, "dimension 7, stamped 8"),
        ("index", {"unindexed": 40}, "40 rows are not covered"),
        ("index", {"loaded": False}, "not loaded"),
        ("norms", {"unlike_one": 0.5, "longest": 3.2}, "set model.normalize: true"),
        ("same_vectors", {"reencoded": Reencoded(compared=9, worst=0.1, unlike=("7", "8"))}, "keys 7, 8"),
        ("prompts", {"prompts": PROMPTS.model_copy(update={"configured_document": "passage: "})}, "document prompt is '', the configuration's 'passage: '"),
    ],
)
def test_an_index_fault_is_named(kind, changes, told):
    """With figures and keys, or what to do."""
    result = made(kind).judge(seen(index=index(**changes)))
    assert result.outcome is Outcome.FAIL
    assert told in result.why


def test_why_a_part_was_not_read_is_told():
    """In the examination's own words."""
    facts = INDEX.model_copy(update={"recall": None, "unread": {"recall": "the collection is not loaded"}})
    assert made("ann_recall").judge(seen(index=facts)).why == "the collection is not loaded"


def test_who_lets_all_documents_go_is_not_asked_which_are_missing():
    """Keys of another type cannot be compared with production's: such a pair could never pass otherwise."""
    facts = index(coverage=None, unread={"coverage": "its keys are strings, production's whole numbers"})
    assert made("complete", at_most=0.99).judge(seen(index=facts)).outcome is Outcome.INCONCLUSIVE
    result = made("complete", at_most=1).judge(seen(index=facts))
    assert (result.outcome, result.why) == (Outcome.PASS, "all may be missing, so nobody looked")


@pytest.mark.parametrize(("kind", "fields"), [("latency", {"at_most_ms": 1000}), ("latency_ratio", {"at_most": 1000})])
@pytest.mark.parametrize(("percentile", "least"), [("p50", 20), ("p95", 20), ("p99", 90)])
def test_few_searches_say_nothing_of_latency(kind, fields, percentile, least):
    """One below the least is inconclusive, however fast; a suite of a hundred distinct queries is enough for each percentile."""
    gate = made(kind, percentile=percentile, **fields)
    one, few, enough = (gate.judge(seen(latency=LATENCY.model_copy(update={"queries": queries}))) for queries in (1, least - 1, least))
    assert (one.outcome, few.outcome, enough.outcome) == (Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE, Outcome.PASS)
    assert few.why == f"{least - 1} measured queries are too few for {percentile}: {least} are needed"


def test_a_result_is_short_enough_to_be_stamped():
    """Whatever slices, ids and reasons are called; what was cut ends in an ellipsis."""
    long = "é" * 5_000
    values = {f"{number}{long}": 0.1 for number in range(20)}
    what = seen(Measured({"nDCG@10": values}, dict.fromkeys(values, 1.0)), slices={long: frozenset(values)})
    result = made("query_floor", **FLOOR, slice=long).judge(what)
    assert (len(result.gate), len(result.why), {len(query) for query in result.worst}) == (200, 500, {60})
    assert all(text.endswith("…") for text in (result.gate, result.why, *result.worst))


def test_length_matters_under_inner_product_alone():
    """Cosine and distance take vectors as they are."""
    assert made("norms").judge(seen(index=index(unlike_one=1.0, metric="COSINE", stamped_metric="COSINE"))).outcome is Outcome.PASS


def test_none_of_the_sampled_rows_is_inconclusive():
    """Nothing was compared, so nothing is alike."""
    assert made("same_vectors").judge(seen(index=index(reencoded=Reencoded(compared=0, worst=1.0)))).outcome is Outcome.INCONCLUSIVE


def test_an_empty_log_is_inconclusive():
    """No query was replayed, whatever its means are."""
    assert said("overlap", replayed(queries=0, overlap=1.0)).outcome is Outcome.INCONCLUSIVE


def test_a_query_floor_names_the_queries_worst_first():
    """Five at most, and how many there are."""
    values = [1.0] * (QUERIES - 12) + [0.4 - number / 100 for number in range(12)]
    result = said("query_floor", seen(measured(values)))
    assert result.outcome is Outcome.FAIL
    assert result.worst == NAMES[-1:-6:-1]
    assert f"12 of {QUERIES} queries are below 0.5, first of all '{NAMES[-1]}' with 0.2900" in result.why


def test_a_gate_on_a_slice_judges_its_queries_alone():
    """What is bad elsewhere does not count, and what is bad there is not outweighed."""
    what = seen(measured([0.9] * (QUERIES - 2) + [0.1, 0.2]), slices={"good": frozenset(NAMES[:-2]), "bad": frozenset(NAMES[-2:])})
    for kind in ("floor", "query_floor"):
        assert made(kind, **FLOOR, slice="good").judge(what).outcome is Outcome.PASS
        assert made(kind, **FLOOR, slice="bad").judge(what).outcome is Outcome.FAIL
    assert str(made("floor", **FLOOR, slice="bad")) == "nDCG@10 of bad >= 0.5"
    both = [f"q{number}" for number in range(2 * QUERIES)]
    half = seen(measured([0.5] * QUERIES + [0.3] * QUERIES), baseline=baseline([0.5] * QUERIES * 2), slices={"a": frozenset(both[:QUERIES]), "b": frozenset(both[QUERIES:])})
    assert [made("max_loss", measure="nDCG@10", at_most=0.02, slice=name).judge(half).outcome for name in "ab"] == [Outcome.PASS, Outcome.FAIL]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("floor", {"measure": "nDCG@10"}),
        ("floor", FLOOR | {"max_loss": 0.1}),
        ("floor", FLOOR | {"at_least": NAN}),
        ("floor", FLOOR | {"at_least": 0}),
        ("floor", FLOOR | {"at_least": 1e-12}),
        ("query_floor", FLOOR | {"at_least": -0.5}),
        ("max_loss", {"measure": "nDCG@10", "at_most": -0.1}),
        ("max_loss", {"measure": "nDCG@10", "at_most": 0.1, "confidence": 1}),
        ("judged", {"measure": "nDCG@10", "at_least": 0.5}),
        ("overlap", {"at_least": 1.1}),
        ("latency", {"at_most_ms": 0}),
        ("latency", {"at_most_ms": 5, "percentile": "p90"}),
    ],
)
def test_a_gate_with_a_faulty_field_is_refused(kind, fields):
    """A limit that is missing, negative, out of range or one too many is a typing error."""
    with pytest.raises(ValidationError):
        made(kind, **fields)


@pytest.mark.parametrize(("kind", "told"), [("max_lost", "did you mean max_loss?"), ("Floor", "did you mean floor?"), (None, "kinds: floor,"), (["floor"], "")])
def test_a_misspelled_kind_is_told_with_the_nearest(kind, told):
    """Also where it is no word at all."""
    with pytest.raises(ValueError, match="gate") as refused:
        check_kind({"gate": kind})
    assert told in str(refused.value)
