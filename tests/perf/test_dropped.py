"""A collection that is dropped while it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.searching import MilvusSearched
from scripts.jobs import perf as job
from scripts.perf.plan import Plan
from scripts.perf.queries import Queries, Sampling, sampled
from tests.conftest import MilvusAddress
from tests.perf import world

GONE = f"error: {world.PAIR} was dropped while it was measured: this is what was measured until then."
on_lite = pytest.mark.parametrize("milvus", ["lite"], indirect=True)
PLAN = Plan(concurrency=(1,), seconds=0.4, warm_up=0)


@pytest.fixture
def searched(milvus: MilvusAddress) -> Iterator[MilvusSearched]:
    with MilvusStore(milvus.uri, milvus.token) as store:
        world.make_pair(store, rows=200)
        yield MilvusSearched(store, world.PAIR)


def queries(searched: MilvusSearched) -> Callable[[], Queries]:
    return lambda: sampled(searched, Sampling(count=50))


@on_lite
@pytest.mark.parametrize("step", ["ef 16", "exact search"])
def test_it_ends_in_one_line_that_names_the_collection(searched, step):
    """In whichever step: the world moved, and no service is away. What was measured before is shown."""

    def tell(told: str) -> None:
        if told.startswith(step):
            searched._store.drop(world.PAIR)

    report = job.perf(searched, replace(PLAN, sweep="ef=16"), queries(searched), tell)
    assert (report.exit_code, len(report.levels)) == (4, 1)
    assert [line for line in report.lines() if line.startswith("error:")] == [GONE] == report.lines()[-1:]


def test_it_is_noticed_in_the_last_level_too(searched, monkeypatch):
    """The first of its searches was answered: its failures alone would end nothing. Of milvus-lite and of a server, whose words for it differ."""
    searching, numbers = searched.searching, iter(range(1_000_000))

    def dropping(*of):
        def asking(question):
            search = searching(*of)(question)

            def one(number):
                if next(numbers) == 1:
                    searched._store.drop(world.PAIR)
                return search(number)

            return one

        return asking

    monkeypatch.setattr(searched, "searching", dropping)
    report = job.perf(searched, replace(PLAN, seconds=1.0), queries(searched))
    (level,) = report.levels
    assert level.answered == 1 and level.failed
    assert (report.exit_code, report.lines()[-1]) == (4, GONE)
