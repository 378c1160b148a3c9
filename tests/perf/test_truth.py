"""Recall of several answers in one pass, and queries made of rows."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.layout import Metric
from scripts.perf.queries import noisy
from scripts.perf.truth import Truth
from scripts.quality.exact import ExactSearch

K, ROWS, DIMENSION = 10, 300, 8
RNG = np.random.default_rng(11)
STORED = RNG.normal(size=(ROWS, DIMENSION)).astype(np.float32)
QUERIES = RNG.normal(size=(20, DIMENSION)).astype(np.float32)


def exact(metric):
    """Keys by brute force, best first."""
    stored, queries = STORED.astype(float), QUERIES.astype(float)
    scores = queries @ stored.T
    if metric is Metric.COSINE:
        scores /= np.linalg.norm(stored, axis=1)
    if metric is Metric.L2:
        scores = -(np.linalg.norm(queries[:, None] - stored[None], axis=2) ** 2)
    return [np.argsort(-row)[:K].tolist() for row in scores]


def shares(answers, metric=Metric.COSINE, page=64):
    truth = Truth(QUERIES, answers, metric, K)
    for start in range(0, ROWS, page):
        vectors = STORED[start : start + page].astype(float)
        truth.add(list(range(start, start + len(vectors))), vectors, np.linalg.norm(vectors, axis=1))
    assert truth.rows == ROWS
    return truth.shares()


@pytest.mark.parametrize("metric", list(Metric))
def test_every_answer_is_judged_by_its_own_keys(metric):
    """The exact one, the exact one reversed (order is not recall), half of it, an empty one, and one of rows that are gone."""
    right = exact(metric)
    answers = [right, [keys[::-1] for keys in right], [keys[:5] for keys in right], [[] for _ in right], [[-1, -2] for _ in right]]
    found = shares(answers, metric)
    assert found.mean(axis=1).tolist() == [1, 1, 0.5, 0, 0]


def test_a_key_that_is_given_twice_counts_once():
    """An answer of one right row ten times is a tenth of it."""
    assert shares([[keys[:1] * K for keys in exact(Metric.COSINE)]]).tolist() == [[0.1] * len(QUERIES)]


def test_each_setting_is_judged_as_if_it_were_alone():
    """What validation's exact search says of the same answers."""
    answers = [[RNG.permutation(60)[:K].tolist() for _ in QUERIES], exact(Metric.L2)]
    together = shares(answers, Metric.L2)
    for each, found in zip(answers, together, strict=True):
        alone = ExactSearch([""] * len(QUERIES), QUERIES, each, Metric.L2, K)
        alone.add(list(range(ROWS)), STORED.astype(float), np.linalg.norm(STORED.astype(float), axis=1))
        assert alone.recall().mean == pytest.approx(found.mean())


@pytest.mark.parametrize("metric", list(Metric))
def test_noise_is_as_long_as_it_is_said_to_be(metric):
    """Of length 1 under COSINE, else as long as the row; the cosine to the row is what the words say, and the seed decides it."""
    rows = np.random.default_rng(2).normal(size=(200, 256)).astype(np.float32) * 3
    made = noisy(rows, 0.5, metric, seed=4)
    lengths = np.linalg.norm(made, axis=1)
    assert made.dtype == np.float32 and np.allclose(lengths, 1 if metric is Metric.COSINE else np.linalg.norm(rows, axis=1), rtol=1e-5)
    cosines = np.sum(made * rows, axis=1) / lengths / np.linalg.norm(rows, axis=1)
    assert cosines.mean() == pytest.approx(1 / 1.25**0.5, abs=0.01)
    assert np.array_equal(made, noisy(rows, 0.5, metric, seed=4)) and not np.array_equal(made, noisy(rows, 0.5, metric, seed=5))
    assert len(np.unique(made, axis=0)) == len(made)
