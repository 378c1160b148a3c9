"""Percentiles: which one is meant, and what failures do to them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scripts.percentiles import PERCENTS, nearest_rank
from scripts.perf.percentiles import latency


@pytest.mark.parametrize("count", [1, 2, 19, 20, 99, 100, 101, 1_000])
def test_a_percentile_is_one_that_was_measured(count):
    """The smallest that at least so many per cent do not exceed, whatever the number of searches: numpy's `inverted_cdf`."""
    ordered = sorted(np.random.default_rng(count).exponential(size=count).tolist())
    for percent in (*PERCENTS, 1, 100):
        found = nearest_rank(ordered, percent)
        assert found in ordered and found == np.percentile(ordered, percent, method="inverted_cdf")
        assert sum(each <= found for each in ordered) >= percent * count / 100


def test_p99_of_fewer_than_a_hundred_is_the_slowest():
    """And of a hundred it is the last but one."""
    assert latency([0.001 * n for n in range(1, 100)]).p99 == pytest.approx(99)
    assert latency([0.001 * n for n in range(1, 101)]).p99 == pytest.approx(99)


def test_a_failure_is_slower_than_all_that_was_answered():
    """2% of failures take p99 away and leave p95; half of them take p50 as well. The mean and the slowest are of what was answered."""
    few, many = latency([0.001] * 98, failed=2), latency([0.001] * 10, failed=11)
    assert (few.p50, few.p95, few.p99) == (1, 1, math.inf)
    assert (many.p50, many.mean, many.slowest) == (math.inf, 1, 1)


def test_no_search_has_no_latency():
    """Not zero, which would look fast."""
    assert all(map(math.isnan, vars(latency([])).values()))
    alone = latency([], failed=3)
    assert (alone.p50, alone.p99) == (math.inf, math.inf) and math.isnan(alone.mean)
