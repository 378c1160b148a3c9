"""The interval around a mean difference, and how many queries would settle a verdict."""

import os
import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from scipy import optimize, stats

from scripts.quality.statistics import MIN_QUERIES, Interval, effective_queries, mean_interval, queries_to_settle
from tests.conftest import ROOT


def differences(count: int, *, seed: int = 0, mean: float = 0.0) -> np.ndarray:
    """As real ones are: half of them zero, the rest skewed."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(count) < 0.5, 0.0, rng.beta(1, 3, count) * rng.choice([-1, 1], count)) + mean


def interval(values, weights=None, confidence: float = 0.95) -> Interval:
    return mean_interval(np.asarray(values, float), np.ones(len(values)) if weights is None else np.asarray(weights, float), confidence)


def width(found: Interval) -> float:
    return found.high - found.low


def test_the_interval_holds_the_mean_and_widens_with_confidence():
    """The surer it is to be, the less it says."""
    for values in (differences(80), differences(80, seed=1) ** 2, [0.0] * 79 + [-1.0]):
        found = [interval(values, confidence=confidence) for confidence in (0.5, 0.8, 0.9, 0.95, 0.99)]
        assert all(each.low < np.mean(values) < each.high for each in found)
        assert all(narrow.low >= wide.low and narrow.high <= wide.high and width(narrow) < width(wide) for narrow, wide in pairwise(found))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Of 200 samples from one population 95% should, give or take three times what chance allows; fewer at less confidence."""
    samples = [differences(100, seed=seed, mean=-0.03) for seed in range(200)]
    for confidence, allowed in ((0.95, 0.046), (0.8, 0.085)):
        held = [each.low <= -0.03 <= each.high for each in (interval(sample, confidence=confidence) for sample in samples)]
        assert confidence - allowed <= np.mean(held) <= min(1, confidence + allowed)


def test_the_interval_is_at_least_students_and_scipys_bootstrap():
    """At either end the wider counts."""
    for values in (differences(60), np.append(np.zeros(58), [-0.9, -0.7])):
        found, student = interval(values), stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
        resampled = stats.bootstrap((values,), np.mean, n_resamples=4999, batch=100, rng=np.random.default_rng(1)).confidence_interval
        assert found.low <= student.low + 1e-9 and found.high >= student.high - 1e-9
        assert found.low == pytest.approx(min(student.low, resampled.low), abs=0.03)
        assert found.high == pytest.approx(max(student.high, resampled.high), abs=0.01)


def test_the_same_queries_give_the_same_interval_in_any_order():
    """A suite whose lines are sorted anew is judged alike."""
    values, weights = differences(60), np.random.default_rng(3).integers(1, 4, 60)
    shuffled = np.random.default_rng(4).permutation(60)
    assert interval(values, weights) == interval(values[shuffled], weights[shuffled])


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_another_process_gives_the_same_interval(hash_seed):
    """To the last digit: the evidence of a pair can be made again."""
    code = "import tests.quality.test_statistics as t; print(t.interval(t.differences(60), t.differences(60, seed=1) ** 2 + 1).model_dump_json())"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1"}
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == interval(differences(60), differences(60, seed=1) ** 2 + 1).model_dump_json()


def test_a_change_of_all_moves_the_interval_with_it():
    """What is added to every query is added to both ends."""
    before, after = interval(differences(60)), interval(differences(60) + 0.125)
    assert (after.low, after.high) == pytest.approx((before.low + 0.125, before.high + 0.125), abs=1e-8)


def test_equal_differences_are_an_interval_of_one_number():
    """Also where float arithmetic would have it a little beside: 0.58 against 0.6 is a loss of 0.02."""
    found = interval([0.58 - 0.6] * 50)
    assert (found.low, found.high) == (-0.02, -0.02)
    assert (interval([0.0] * 50).low, interval([0.0] * 50).high) == (0, 0)


def exact_share(broken: int, queries: int) -> float:
    """As many may be broken where so few of so many were seen to be: the binomial distribution's upper limit, mid-P, at 95% two-sided."""
    return optimize.brentq(lambda p: stats.binom.cdf(broken - 1, queries, p) + stats.binom.pmf(broken, queries, p) / 2 - 0.025, 1e-9, 0.9)


@pytest.mark.parametrize("queries", [MIN_QUERIES, 100, 300, 1000])
def test_one_disaster_among_zeros_never_passes_where_more_may_be_hidden(queries):
    """The interval reaches as far as the exact binomial limit: a tolerated loss below that is not excluded."""
    assert -interval([0.0] * (queries - 1) + [-1.0]).low >= exact_share(1, queries)


@pytest.mark.parametrize("broken", [2, 3, 5, 8])
@pytest.mark.parametrize("queries", [MIN_QUERIES, 100, 300, 1000])
def test_a_few_disasters_among_zeros_reach_as_far_as_is_exact(queries, broken):
    """To half a query."""
    low = interval([0.0] * (queries - broken) + [-1.0] * broken).low
    assert -low * queries == pytest.approx(exact_share(broken, queries) * queries, abs=0.7)


def test_a_rebuilt_index_that_hardly_differs_is_hardly_uncertain():
    """Two queries of sixty a little off say nothing against any loss that one would tolerate."""
    found = interval([0.0] * 58 + [0.02, -0.03])
    assert -0.003 < found.low < 0 < found.high < 0.003


def test_weights_count_in_proportion():
    """Only their ratio matters, and the heavy query's difference pulls the interval."""
    values, weights = differences(60), np.random.default_rng(3).integers(1, 4, 60)
    assert interval(values, weights) == interval(values, weights * 8)
    harmed = int(np.argmin(values))
    heavy = np.where(np.arange(60) == harmed, 5.0, 1.0)
    assert interval(values, heavy).low < interval(values).low


def test_a_query_of_weight_two_is_not_two_queries():
    """It moves the mean as two would, and leaves as much doubt as one."""
    values = differences(60)
    doubled, repeated = interval(values, np.full(60, 2.0)), interval(np.repeat(values, 2))
    assert width(doubled) == width(interval(values)) > 1.3 * width(repeated)


def test_queries_count_by_their_weights():
    """Kish's number: all of them where they are equal, one where one outweighs the rest."""
    assert effective_queries(np.full(40, 3.0)) == pytest.approx(40)
    assert effective_queries(np.append(np.ones(39), 1e9)) == pytest.approx(1, abs=1e-6)
    assert effective_queries(np.append(np.ones(30), np.full(30, 3.0))) == pytest.approx(48)
    assert effective_queries(np.array([])) == 0


@pytest.mark.parametrize("weights", [[1.0] * 49 + [1e9], [1.0] * 49 + [1e-12], [1e-300] * 50, np.geomspace(1e-6, 1e6, 50)])
def test_extreme_weights_give_numbers(weights):
    """Never NaN, which no limit catches."""
    for values in ([0.0] * 49 + [-1.0], [-1.0] + [0.0] * 49, differences(50)):
        found = interval(values, weights)
        assert np.isfinite([found.low, found.high]).all() and found.low <= np.average(values, weights=weights) + 1e-9 and found.low <= found.high


def test_ten_thousand_queries_take_bounded_memory():
    """What is resampled at once does not grow with the queries."""
    values = differences(10_000)
    tracemalloc.start()
    try:
        found = interval(values)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6
    assert found.high - found.low < 0.02


@pytest.mark.parametrize("values", [[], [0.1] * 49 + [float("nan")]])
def test_no_numbers_are_refused(values):
    """There is no mean."""
    with pytest.raises(ValueError, match="no mean"):
        interval(values)


def settled(values: np.ndarray, threshold: float) -> int | None:
    return queries_to_settle(values, np.ones(len(values)), interval(values), threshold)


def test_the_nearer_the_tolerated_loss_the_more_queries():
    """And more than there are."""
    values = differences(100)
    values -= values.mean()
    needed = [settled(values, threshold) for threshold in (-0.04, -0.03, -0.02, -0.01, -0.005)]
    assert needed == sorted(needed) and len(set(needed)) == 5
    assert needed[0] > 100
    # Four times as many queries halve the interval.
    assert needed[-1] == pytest.approx(4 * needed[-2], rel=0.01)


def test_nothing_settles_a_mean_that_is_the_threshold():
    """Nor one that is so near that nobody would judge so many queries."""
    values = np.tile([-0.5, 0.46], 50)
    assert settled(values, -0.02) is None
    assert settled(values, -0.0201) is None
    assert settled(values, -0.03) is not None


@pytest.mark.parametrize("mean", [-0.06, 0.0])
def test_that_many_queries_settle_it_mostly(mean):
    """On either side of the threshold: with twice the number most samples of the same queries are settled, with a quarter most are not."""
    values = differences(100)
    values += mean - values.mean()
    needed = settled(values, -0.03)

    def share(count: int) -> float:
        drawn = (np.random.default_rng(seed).choice(values, count) for seed in range(60))
        found = [interval(sample) for sample in drawn]
        return np.mean([not each.low <= -0.03 <= each.high for each in found])

    assert share(needed // 4) < 0.3 < 0.7 < share(2 * needed)
