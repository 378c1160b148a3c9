"""Latency: who is searched when, with what, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.quality.latency import MEASURED_QUERIES, WARM_UP_QUERIES, interleaved
from tests.adapters.test_milvus import NAME, OTHER, made, ready, rows, vectors


class Noted:
    """Stands for a collection: notes every search, and lets the clock of the test go on by so many milliseconds for each."""

    def __init__(self, name: str, notes: list, *taking: int) -> None:
        self.name = name
        self._notes = notes
        self._taking = iter(taking)

    def search(self, vectors, limit):
        assert vectors.shape[0] == 1, "one vector a call"
        self._notes.append((self.name, int(vectors[0, 0]), limit))
        Clock.now += next(self._taking, 0) / 1000
        return [[]]


class Clock:
    now = 0.0


def numbered(count: int) -> np.ndarray:
    return np.column_stack([np.arange(count), np.ones(count)]).astype(np.float32)


def test_candidate_and_production_take_turns_query_by_query():
    """Each query goes to both before the next one, and the other one goes first every time."""
    notes: list = []
    asked = numbered(30)
    latency = interleaved((Noted("c", notes), asked), (Noted("p", notes), asked), depth=7)
    measured = notes[-2 * latency.queries :]
    assert [name for name, *_ in measured[:8]] == ["c", "p", "p", "c", "c", "p", "p", "c"]
    assert all(ours[1] == theirs[1] and ours[0] != theirs[0] for ours, theirs in zip(measured[::2], measured[1::2], strict=True))
    assert {depth for *_, depth in notes} == {latency.depth} == {7}


@pytest.mark.parametrize(("queries", "warm", "measured"), [(500, WARM_UP_QUERIES, MEASURED_QUERIES), (30, 6, 24), (5, 1, 4)])
def test_no_measured_query_was_asked_before(queries, warm, measured):
    """Neither in the warm-up nor among the measured ones, and never more than a hundred are measured."""
    notes: list = []
    latency = interleaved((Noted("c", notes), numbered(queries)))
    asked = [query for _, query, _ in notes]
    assert len(asked) == len(set(asked)) == warm + measured
    assert latency.queries == measured


def test_equal_vectors_are_asked_once():
    """A hundred times the same query would measure a cache."""
    notes: list = []
    latency = interleaved((Noted("c", notes), np.repeat(numbered(8), 20, axis=0)))
    assert latency.queries == 7
    assert len(notes) == 8


def test_queries_that_one_model_does_not_tell_apart_are_still_distinct():
    """A candidate that has collapsed is measured like any other."""
    collapsed = np.ones((20, 2), dtype=np.float32)
    assert interleaved((Noted("c", []), collapsed), (Noted("p", []), numbered(20))).queries == 16


def test_too_few_queries_are_warmed_up_with_the_first():
    """There is no other; with none at all there is nothing to say."""
    notes: list = []
    assert interleaved((Noted("c", notes), numbered(3))).queries == 3
    assert [query for _, query, _ in notes] == [0, 0, 1, 2]
    assert interleaved((Noted("c", notes), numbered(0))) is None


def test_each_side_has_its_own_time(monkeypatch):
    """Percentiles of its own searches, in milliseconds; the warm-up does not count."""
    monkeypatch.setattr("scripts.quality.latency.perf_counter", lambda: Clock.now)
    asked = numbered(12)
    warm_up = [9_000, 9_000]
    latency = interleaved((Noted("c", [], *warm_up, *range(1, 11)), asked), (Noted("p", [], *warm_up, *[3] * 10), asked))
    ours, theirs = latency.candidate, latency.production
    assert (ours.p50, ours.p95, ours.p99) == pytest.approx((5.5, 9.55, 9.91))
    assert (theirs.p50, theirs.p95, theirs.p99) == pytest.approx((3, 3, 3))


def test_without_production_the_candidate_is_measured_alone():
    """A first pair has a ceiling, if no ratio."""
    notes: list = []
    assert interleaved((Noted("c", notes), numbered(15))).production is None
    assert {name for name, *_ in notes} == {"c"}


def test_a_real_collection_is_searched(milvus):
    """On milvus-lite and on the server."""
    stored = vectors(200)
    with MilvusStore(milvus.uri, milvus.token) as store:
        sides = []
        for name in (NAME, OTHER):
            collection = made(store, name)
            collection.write(rows(range(200)), stored)
            sides.append((ready(collection), stored[:60]))
        latency = interleaved(*sides, depth=5)
    assert (latency.queries, latency.depth) == (50, 5)
    assert 0 < latency.candidate.p50 <= latency.candidate.p99
    assert 0 < latency.production.p50 <= latency.production.p99
