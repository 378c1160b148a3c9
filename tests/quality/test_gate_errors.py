"""The simulation behind docs/quality-gate.md: its losses are what it says, and its gate is the kit's."""

import numpy as np
import pytest

from benchmarks.gate_errors.answers import Answers
from benchmarks.gate_errors.losses import LOSSES
from benchmarks.gate_errors.methods import KITS, intervals
from scripts.quality.gates import Outcome
from scripts.quality.statistics import mean_interval

RANDOM = np.random.default_rng(0)
ANSWERS = Answers("made up", RANDOM.beta(2, 2, 300), RANDOM.beta(3, 2, 300))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("loss", [0.0, 0.05, 0.15])
def test_a_candidate_is_worse_by_exactly_that(name, loss):
    """On average over ever more queries, whatever the rankers' own difference is."""
    many = LOSSES[name](ANSWERS, loss, 400_000, np.random.default_rng(1))
    assert many.differences.mean() == pytest.approx(-loss, abs=0.003)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gate_judges_what_was_drawn(name):
    """A loss far beyond the tolerated fails, none passes; by the gate itself."""
    worse, same = (LOSSES[name](ANSWERS, loss, 2_000, np.random.default_rng(1)) for loss in (0.2, 0.0))
    assert worse.judged(tolerated=0.05, confidence=0.95) is Outcome.FAIL
    assert same.judged(tolerated=0.05, confidence=0.95) is Outcome.PASS


def test_the_method_that_was_chosen_is_the_one_that_the_gate_has():
    """The table of methods speaks of the kit's own interval, but for other resamples."""
    sample = LOSSES["some queries break"](ANSWERS, 0.05, 100, np.random.default_rng(2)).differences
    low, high = intervals(sample, -0.05, 0.95, np.random.default_rng(3))[KITS]
    kits = mean_interval(sample, np.ones(100), 0.95)
    assert (low, high) == pytest.approx((kits.low, kits.high), abs=0.01)
