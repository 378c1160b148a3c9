"""Exact search over what is streamed past, against the whole matrix at once."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.layout import Metric
from scripts.quality.exact import ExactSearch

K = 10
ROWS, QUERIES, DIMENSION = 2_000, 20, 16


def drawn(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)


def nearest(queries: np.ndarray, vectors: np.ndarray, metric: Metric, k: int = K) -> list[list[int]]:
    """Keys, which are positions, best first, from the definition of each metric."""
    differences = queries[:, None, :].astype(np.float64) - vectors[None, :, :]
    products = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    lengths = np.linalg.norm(queries.astype(np.float64), axis=1)[:, None] * np.linalg.norm(vectors.astype(np.float64), axis=1)
    scores = {Metric.L2: -(differences**2).sum(axis=2), Metric.IP: products, Metric.COSINE: products / lengths}[metric]
    return np.argsort(-scores, axis=1)[:, :k].tolist()


def searched(queries: np.ndarray, vectors: np.ndarray, answers: list[list[int]], metric: Metric = Metric.COSINE, page: int = 300) -> ExactSearch:
    search = ExactSearch([f"q{at}" for at in range(len(queries))], queries, answers, metric, K)
    exact = vectors.astype(np.float64)
    for start in range(0, len(vectors), page):
        some = exact[start : start + page]
        search.add(list(range(start, start + len(some))), some, np.linalg.norm(some, axis=1))
    return search


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("page", [1, 7, 300, ROWS])
def test_the_exact_answer_has_recall_one(metric, page):
    """By each metric, whatever the pages: vectors of any length, as no metric but COSINE forgives."""
    queries, vectors = drawn(QUERIES, 1), drawn(ROWS, 2) * np.linspace(0.1, 5, ROWS, dtype=np.float32)[:, None]
    rows = ROWS if page > 1 else 50
    recall = searched(queries, vectors[:rows], nearest(queries, vectors[:rows], metric), metric, page).recall()
    assert (recall.mean, recall.worst, recall.queries, recall.k, recall.worst_query) == (1.0, 1.0, QUERIES, K, "")


@pytest.mark.parametrize("metric", list(Metric))
def test_what_is_missed_is_counted(metric):
    """Three of the first query's ten are other rows: 0.7 of its answer, and it is named as the worst."""
    queries, vectors = drawn(QUERIES, 1), drawn(ROWS, 2)
    right = nearest(queries, vectors, metric, 100)
    answers = [keys[:K] for keys in right]
    answers[4] = right[4][:7] + right[4][50:53]
    recall = searched(queries, vectors, answers, metric).recall()
    assert recall.mean == pytest.approx(1 - 0.3 / QUERIES)
    assert (recall.worst, recall.worst_query) == (pytest.approx(0.7), "q4")


def test_another_metrics_answer_is_not_right():
    """Nearest by distance is not nearest by direction, where lengths differ."""
    queries, vectors = drawn(QUERIES, 1), drawn(ROWS, 2) * np.linspace(0.1, 5, ROWS, dtype=np.float32)[:, None]
    assert searched(queries, vectors, nearest(queries, vectors, Metric.L2), Metric.COSINE).recall().mean < 0.5


def test_any_of_equal_rows_is_right():
    """Fifty rows are the same vector: which ten of them an index gives is not its fault."""
    vectors = np.concatenate([np.repeat(drawn(1, 3), 50, axis=0), drawn(500, 4) * 0.1])
    queries = vectors[:1]
    assert searched(queries, vectors, [list(range(40, 50))], Metric.IP).recall().mean == 1.0


def test_single_precision_may_order_what_is_as_near_as_that():
    """A server computes in float32: scores that differ by less than a millionth may come in either order; by more they may not."""
    query = np.eye(1, DIMENSION, dtype=np.float32)
    vectors = np.repeat(query, 12, axis=0)
    vectors[:, 1] = np.sqrt(2 * np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1e-7, 3e-7, 1e-4])).astype(np.float32)  # cosine 1 - that
    assert searched(query, vectors, [[*range(9), 10]]).recall().mean == 1.0
    assert searched(query, vectors, [[*range(9), 11]]).recall().mean == pytest.approx(0.9)


def test_a_hit_counts_once_and_only_where_it_is_stored():
    """The same key ten times is one hit; a key that no page has is none."""
    queries, vectors = drawn(1, 1), drawn(ROWS, 2)
    best = nearest(queries, vectors, Metric.COSINE)[0][0]
    assert searched(queries, vectors, [[best] * K]).recall().mean == pytest.approx(0.1)
    assert searched(queries, vectors, [list(range(ROWS, ROWS + K))]).recall().mean == 0.0


def test_fewer_rows_than_asked_for_are_all_there_is():
    """Three rows, all three found."""
    queries, vectors = drawn(QUERIES, 1), drawn(3, 2)
    assert searched(queries, vectors, [[0, 1, 2]] * QUERIES).recall().mean == 1.0
    assert searched(queries, vectors, [[0, 1]] * QUERIES).recall().mean == pytest.approx(2 / 3)


def test_a_zero_vector_is_near_to_nothing():
    """It has no direction, and makes no NaN of the rest."""
    queries, vectors = drawn(QUERIES, 1), drawn(ROWS, 2)
    right = nearest(queries, vectors, Metric.COSINE)
    vectors = np.concatenate([vectors, np.zeros((1, DIMENSION), dtype=np.float32)])
    assert searched(queries, vectors, right).recall().mean == 1.0
