"""Gates and the three-valued verdict."""

import pytest
from pydantic import ValidationError

from scripts.gates import Baseline, Gate, Outcome, Verdict, judge, verdict

FLOOR = Gate(measure="nDCG@10", at_least=0.5)
RELATIVE = Gate(measure="nDCG@10", max_loss=0.02)
PRODUCTION = Baseline(pair="p", means={"nDCG@10": 0.6})


def outcome(gate, value, baseline=PRODUCTION):
    (result,) = judge([gate], {} if value is None else {"nDCG@10": value}, baseline)
    return result.outcome


def test_a_floor_is_reached_exactly():
    """At the floor is enough; below it is not."""
    assert outcome(FLOOR, 0.5) is Outcome.PASS
    assert outcome(FLOOR, 0.4999) is Outcome.FAIL


def test_a_loss_is_measured_against_production():
    """A little worse is tolerated, more is not; better always passes."""
    assert outcome(RELATIVE, 0.581) is Outcome.PASS
    assert outcome(RELATIVE, 0.579) is Outcome.FAIL
    assert outcome(RELATIVE, 0.9) is Outcome.PASS


def test_a_first_pair_has_nothing_to_be_compared_with():
    """The comparison does not apply, and does not pass either."""
    assert outcome(RELATIVE, 0.9, Baseline()) is Outcome.NOT_APPLICABLE
    assert verdict(judge([RELATIVE], {"nDCG@10": 0.9}, Baseline())) is Verdict.INCONCLUSIVE


def test_a_first_pair_passes_by_its_floor():
    """That is what an absolute floor is for."""
    assert verdict(judge([FLOOR, RELATIVE], {"nDCG@10": 0.9}, Baseline())) is Verdict.PASS


def test_production_that_cannot_be_measured_is_inconclusive():
    """A broken baseline never lets a candidate through."""
    broken = Baseline(pair="p", unmeasured_because="its model does not load")
    results = judge([FLOOR, RELATIVE], {"nDCG@10": 0.9}, broken)
    assert verdict(results) is Verdict.INCONCLUSIVE
    assert "its model does not load" in results[1].why


def test_an_unmeasured_candidate_is_inconclusive():
    """No judged query, no answer."""
    assert outcome(FLOOR, None) is Outcome.INCONCLUSIVE


def test_no_gates_is_never_a_pass():
    """An empty list has nothing that passed."""
    assert verdict([]) is Verdict.INCONCLUSIVE


def test_one_failure_outweighs_everything():
    """Also what could not be told."""
    broken = Baseline(pair="p", unmeasured_because="gone")
    assert verdict(judge([FLOOR, RELATIVE], {"nDCG@10": 0.1}, broken)) is Verdict.FAIL


@pytest.mark.parametrize("conditions", [{}, {"at_least": 0.1, "max_loss": 0.1}, {"max_loss": -0.1}])
def test_a_gate_has_exactly_one_condition(conditions):
    """Two would leave open which one counts; a negative loss is a typing error."""
    with pytest.raises(ValidationError):
        Gate(measure="nDCG@10", **conditions)
