"""A collection that is dropped while it is measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.searching import MilvusSearched
from scripts.jobs import perf as job
from scripts.perf.plan import Plan
from scripts.perf.queries import Queries, Sampling, sampled
from tests.perf import world

GONE = f"error: {world.PAIR} was dropped while it was measured: this is what was measured until then."
PLAN = Plan(concurrency=(1,), seconds=0.4, warm_up=0)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A milvus-lite file with a pair; copying is faster than building."""
    path = tmp_path_factory.mktemp("perf") / "milvus.db"
    with MilvusStore(str(path)) as store:
        world.make_pair(store)
    return path


@pytest.fixture
def searched(tmp_path: Path, furnished: Path) -> Iterator[MilvusSearched]:
    shutil.copytree(furnished, tmp_path / "milvus.db")
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        store.open(world.PAIR).load()
        yield MilvusSearched(store, world.PAIR)


def queries(searched: MilvusSearched) -> Callable[[], Queries]:
    return lambda: sampled(searched, Sampling(count=50))


@pytest.mark.parametrize("step", ["1 workers", "ef 16", "exact search"])
def test_it_ends_in_one_line_that_names_the_collection(searched, step):
    """In whichever step: the world moved, and no service is away. What was measured before is shown."""

    def tell(told: str) -> None:
        if told.startswith(step):
            searched._store.drop(world.PAIR)

    report = job.perf(searched, replace(PLAN, sweep="ef=16"), queries(searched), tell)
    assert (report.exit_code, len(report.levels)) == (4, 1)
    assert [line for line in report.lines() if line.startswith("error:")] == [GONE] == report.lines()[-1:]


def test_it_is_noticed_in_the_last_level_too(searched, monkeypatch):
    """The first of its searches was answered: its failures alone would end nothing."""
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
