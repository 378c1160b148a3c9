"""What every report says, and the geometry of the drawings."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from scripts.jobs import validate
from scripts.quality.gates import Outcome, Verdict
from scripts.quality.measures import Measured
from scripts.quality.seen import Seen
from scripts.report import findings, plot, sides, words
from tests.report.sample import PRODUCTION, first_pair, hit, sample


def with_evidence(**changes):
    whole = sample()
    return whole.model_copy(update={"evidence": whole.evidence.model_copy(update=changes)})


def unmeasured(why, **changes):
    """Production is there or should be, and could not be asked; the evidence does not name it where the alias points to nothing."""
    return with_evidence(production="", production_means={}).model_copy(update={"production_unmeasured": why, **changes})


def test_what_would_be_replaced_is_said_in_each_case():
    """A pair with its model, nothing, a pair that was not measured, and what could not be compared with, and why: it is no first pair."""
    assert findings.replaced(sample()) == "product_embeddings_v11_03be77d2 (product-embedding-model version 11)"
    assert findings.replaced(first_pair()) == "nothing: this is the first pair"
    assert findings.replaced(with_evidence(production_means={})).endswith("which was not measured")
    lost = unmeasured(why := f"the alias shop_prod points to nothing, though {PRODUCTION} has served", production=None)
    assert findings.replaced(lost) == f"{PRODUCTION}, which could not be compared with: {why}"
    known = unmeasured("it is not loaded")
    assert findings.replaced(known) == f"{PRODUCTION} (product-embedding-model version 11), which could not be compared with: it is not loaded"


def test_the_gates_are_summed_up():
    """In one sentence for each mix of outcomes; what does not apply is not counted."""
    one = sample().evidence.gates[0]

    def told(*outcomes):
        return findings.tally(with_evidence(gates=tuple(one.model_copy(update={"outcome": outcome}) for outcome in outcomes)))

    assert told() == told(Outcome.NOT_APPLICABLE) == "No gate could be applied"
    assert told(Outcome.PASS, Outcome.NOT_APPLICABLE) == "The one gate that applies passes"
    assert told(Outcome.PASS, Outcome.PASS) == "All 2 gates that apply pass"
    assert told(Outcome.PASS, Outcome.FAIL) == "Of 2 gates, 1 fails"
    assert told(Outcome.FAIL, Outcome.FAIL, Outcome.INCONCLUSIVE) == "Of 3 gates, 2 fail and 1 is inconclusive"


@pytest.mark.parametrize("verdict", Verdict)
def test_why_is_not_said_twice(verdict):
    """Where the gates say it all, nothing is added; another reason is."""
    whole = sample(verdict)
    assert findings.further_reason(whole) == ""
    other = "production x was not measured: it is not loaded"
    assert findings.further_reason(whole.model_copy(update={"evidence": whole.evidence.model_copy(update={"why": other})})) == other


@pytest.mark.parametrize("whole", [*map(sample, Verdict), first_pair()], ids=[*Verdict, "first pair"])
def test_the_sample_says_why_as_a_validation_does(whole):
    """Or what is tested with it would be true of it alone."""
    gates, suite = whole.evidence.gates, SimpleNamespace(judged=whole.queries, gates=whole.evidence.gates)
    assert validate._verdict(gates, suite, Seen(Measured()), None) == (whole.evidence.verdict, whole.evidence.why)


def test_the_reasons_of_many_gates_are_not_said_twice():
    """A validation cuts its own sentence where there is no room for all of them."""
    one = next(gate for gate in sample(Verdict.FAIL).evidence.gates if gate.outcome is Outcome.FAIL)
    whole = with_evidence(verdict=Verdict.FAIL, gates=(one,) * 30, why="; ".join([f"{one.gate} ({one.why})"] * 30)[:1_999] + "…")
    assert findings.further_reason(whole) == ""


def test_that_production_was_not_measured_is_not_said_twice():
    """Where a comparison says it already; another gate that cannot tell leaves it to be said."""
    why = f"production {PRODUCTION} was not measured: it is not loaded"
    one = sample().evidence.gates[0].model_copy(update={"outcome": Outcome.INCONCLUSIVE, "why": "too few judged queries"})
    compares = one.model_copy(update={"why": why})
    told = {"verdict": Verdict.INCONCLUSIVE, "why": why}
    assert findings.further_reason(with_evidence(gates=(one, compares), **told)) == ""
    assert findings.further_reason(with_evidence(gates=(one,), **told)) == why


def test_the_reasons_for_a_pass_are_the_gates_on_what_is_found():
    """That an index is sound persuades nobody to approve it."""
    assert {gate.kind for gate in findings.reasons(sample().evidence)} == {"floor", "max_loss", "judged"}
    assert {gate.outcome for gate in findings.reasons(sample(Verdict.FAIL).evidence)} == {Outcome.FAIL}


def test_every_query_is_better_worse_or_the_same():
    """By the leading measure; nothing is counted where nothing is compared."""
    moved = findings.moved(sample(Verdict.FAIL))
    assert moved.better + moved.worse + moved.same == 60
    assert moved.worse > moved.better > 0
    assert findings.moved(first_pair()) is None


def test_bars_stand_from_the_most_harmed_to_the_most_improved():
    """Losses below the line, gains above it, side by side over the whole width."""
    drawn = plot.bars(sample())
    assert [bar.kind for bar in drawn.bars] == sorted((bar.kind for bar in drawn.bars), key=["loss", "same", "gain"].index)
    assert all(bar.y == drawn.zero for bar in drawn.bars if bar.kind == "loss")
    assert all(bar.y + bar.height == pytest.approx(drawn.zero, abs=1.1) for bar in drawn.bars if bar.kind == "gain")
    assert drawn.bars[-1].x + drawn.bars[-1].width == pytest.approx(100, abs=0.1)
    assert all(0 <= bar.y <= plot.HEIGHT + 1 for bar in drawn.bars)


def test_many_queries_share_bars_that_show_their_range():
    """No more bars than fit a screen, and the worst query is still to be seen."""
    few, many = plot.bars(sample(Verdict.FAIL)), plot.bars(sample(Verdict.FAIL, queries=3_001))
    assert few.per_bar == 1
    assert many.per_bar == 16
    assert len(many.bars) <= plot.MOST_BARS
    assert many.bars[0].reach_y + many.bars[0].reach_height == pytest.approx(plot.HEIGHT, abs=0.1)
    assert many.bars[0].title.startswith("Queries 1 to 16: nDCG@10 −")
    assert all(bar.query == "" for bar in many.bars)


def test_a_suite_in_which_nothing_changed_can_be_drawn():
    """And one without queries is not."""
    rows = tuple(row.model_copy(update={"candidate": row.production}) for row in sample().queries)
    assert {bar.kind for bar in plot.bars(sample().model_copy(update={"queries": rows})).bars} == {"same"}
    assert plot.bars(sample(queries=1).model_copy(update={"queries": ()})) is None


def test_an_interval_lies_between_its_ends():
    """Low, mean and high in order, no change where it belongs, all within the drawing."""
    by_kind = {gate.kind: gate for gate in sample(Verdict.INCONCLUSIVE).evidence.gates}
    drawn = plot.whisker(by_kind["max_loss"])
    assert 0 < drawn.low < drawn.mean < drawn.zero < drawn.high < 100
    assert drawn.label.startswith("95% interval −0.0")
    assert plot.whisker(by_kind["floor"]) is None


def test_the_tolerated_loss_is_drawn():
    """Between the interval and no change, where the loss is past it."""
    gate = next(gate for gate in sample(Verdict.FAIL).evidence.gates if gate.kind == "max_loss")
    drawn = plot.whisker(gate)
    assert drawn.high < drawn.limit < drawn.zero
    assert drawn.label.endswith(", tolerated −0.0200")


def test_results_say_what_only_one_side_has():
    """And how far the others rose or fell."""
    production, candidate = (hit(1), hit(2), hit(3)), (hit(3), hit(9), hit(1))
    side = sample().harmed[0].model_copy(update={"production": production, "candidate": candidate})
    (shown,) = sides.judged(sample(), [side])
    assert [(placed.key, placed.rise) for placed in shown.production] == [("1", -2), ("2", None), ("3", 2)]
    assert [(placed.key, placed.rise) for placed in shown.candidate] == [("3", 2), ("9", None), ("1", -2)]
    assert shown.entered == 1


def test_grades_have_four_levels_and_none():
    """By the best grade that is seen; below 0 is spam in TREC's judgments."""
    hits = tuple(hit(key, grade) for key, grade in enumerate((3, 2, 1, 0, -2, None)))
    whole = sample()
    side = whole.harmed[0].model_copy(update={"production": hits, "candidate": ()})
    (shown,) = sides.judged(whole.model_copy(update={"harmed": (side,), "improved": ()}), [side])
    assert [placed.level for placed in shown.production] == ["high", "middle", "low", "none", "none", "unjudged"]


def test_replayed_results_have_titles_where_they_are_known():
    """Elsewhere the key stands alone."""
    change = sample().replayed.most_changed[0]
    shown = sides.replayed(change, {change.candidate[0]: "Lamp"})
    assert [hit.title for hit in shown.candidate] == ["Lamp", *[""] * (len(change.candidate) - 1)]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0123, "+0.0123"), (-0.0123, "−0.0123"), (0.00001, "0.0000"), (-0.00001, "0.0000"), (None, "–"), (float("nan"), "–")]
)
def test_changes_are_shown_with_their_sign(value, shown):
    """A minus as wide as the plus, and no sign on nothing."""
    assert words.signed(value) == shown


def test_nothing_that_a_terminal_would_obey_is_printed():
    """Each such character is a space; everything else is as it was."""
    assert words.printable("a\x1b[2Jb\r\nc\u202ed\x00 é 你") == "a [2Jb  c d  é 你"


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("contents", 148_213, "148,213"),
        ("fresh", 0.0031, "0.310%"),
        ("fresh", 0.0, "0.0%"),
        ("latency", 11.83, "11.8 ms"),
        ("floor", 0.5, "0.5000"),
        ("floor", None, "–"),
    ],
)
def test_a_gates_figure_has_its_unit(kind, value, shown):
    """By the gate's kind."""
    assert words.gate_figure(value, kind) == shown
