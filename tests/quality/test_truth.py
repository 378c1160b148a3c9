"""Recall of several answers in one pass."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.layout import Metric
from scripts.quality.exact import ExactSearch
from scripts.quality.truth import Truth

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
        truth.add(list(range(start, min(start + page, ROWS))), STORED[start : start + page])
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


def test_thousands_of_queries_are_judged_as_few_are(monkeypatch):
    """A few rows at a time, and the answer is the same."""
    answers = [exact(Metric.IP)]
    monkeypatch.setattr("scripts.quality.truth._HELD", 7 * len(QUERIES))
    assert shares(answers, Metric.IP, page=ROWS).tolist() == [[1.0] * len(QUERIES)]


@pytest.mark.parametrize("spoiled", [np.nan, np.inf])
def test_a_vector_that_is_none_is_left_out(spoiled):
    """milvus-lite takes NaN; every recall would be 0 with it."""
    right = exact(Metric.COSINE)
    truth = Truth(QUERIES, [right], Metric.COSINE, K)
    truth.add(list(range(ROWS)), STORED)
    truth.add([-1, -2], np.array([np.full(DIMENSION, spoiled), STORED[0] * 0.1 - 5], dtype=np.float32))
    assert (truth.rows, truth.not_finite) == (ROWS + 1, 1) and truth.shares().mean() > 0.95


@pytest.mark.parametrize("metric", list(Metric))
def test_of_equal_rows_any_is_right(metric):
    """Also where the query is that row, and its distance 0 but for rounding: which of them an index gives is its own business."""
    for seed in range(30):
        random = np.random.default_rng(seed)
        count, cut = int(random.integers(2 * K, 90)), int(random.integers(1, 2 * K))
        asked = random.normal(size=(1, int(random.integers(3, 400)))).astype(np.float32) * 20
        truth = Truth(asked, [[[*range(count - K, count)]]], metric, K)
        for keys in (range(cut), range(cut, count)):
            truth.add([*keys], np.tile(asked, (len(keys), 1)))
        assert truth.shares().tolist() == [[1.0]], seed
