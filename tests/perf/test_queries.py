"""Queries made of rows."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.layout import Metric
from scripts.perf.queries import noisy

ROWS = np.random.default_rng(2).normal(size=(200, 256)).astype(np.float32) * 3


def cosines(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.sum(some * others, axis=1) / np.linalg.norm(some, axis=1) / np.linalg.norm(others, axis=1)


@pytest.mark.parametrize("metric", list(Metric))
def test_noise_is_as_long_as_it_is_said_to_be(metric, monkeypatch):
    """Of length 1 under COSINE, else as long as the row; the cosine to the row is what the words say, and the seed decides it, however many are made
    at once."""
    made = noisy(ROWS, 0.5, metric, seed=4)
    centre = ROWS.mean(axis=0) if metric is Metric.L2 else 0
    seen, rows = made - centre, ROWS - centre
    assert made.dtype == np.float32 and np.allclose(np.linalg.norm(seen, axis=1), 1 if metric is Metric.COSINE else np.linalg.norm(rows, axis=1), rtol=1e-5)
    assert cosines(seen, rows).mean() == pytest.approx(1 / 1.25**0.5, abs=0.01)
    assert not np.array_equal(made, noisy(ROWS, 0.5, metric, seed=5)) and len(np.unique(made, axis=0)) == len(made)
    monkeypatch.setattr("scripts.perf.queries._NOISY_AT_ONCE", 7)
    assert np.array_equal(made, noisy(ROWS, 0.5, metric, seed=4))


def test_under_l2_it_does_not_matter_where_the_origin_is():
    """Rows around a far point get queries among them, not around the origin; and those of rows elsewhere are the same, elsewhere."""
    made, far = noisy(ROWS, 1.2, Metric.L2, 0), noisy(ROWS + 1_000, 1.2, Metric.L2, 0)
    assert np.allclose(far - 1_000, made, atol=0.01)
    assert noisy(ROWS[:1], 1.2, Metric.L2, 0).shape == (1, 256)


@pytest.mark.parametrize("metric", list(Metric))
def test_one_row_makes_queries_that_differ(metric):
    """Also under L2, where it is its own mean."""
    assert len(np.unique(noisy(np.tile(ROWS[:1], (20, 1)), 1.2, metric, 0), axis=0)) == 20
