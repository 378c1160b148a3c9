"""A server that goes away under load, and comes back."""

from __future__ import annotations

import math

import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.searching import MilvusSearched
from scripts.jobs import perf as job
from scripts.perf.plan import Plan
from scripts.perf.queries import Sampling, sampled
from tests.connections.proxy import Proxy
from tests.perf import world

PLAN = Plan(concurrency=(2, 3, 4), seconds=1.0, warm_up=0, timeout=2)


@pytest.fixture(scope="module")
def served(module_milvus_server):
    with MilvusStore(module_milvus_server.uri, module_milvus_server.token) as store:
        world.make_pair(store)
    yield module_milvus_server


def measured(served, proxy, at):
    """A run through the proxy; `at` says what is done to it at the beginning of a level of so many workers."""
    with MilvusStore(proxy.uri, served.token) as store:
        searched = MilvusSearched(store, world.PAIR)
        queries = sampled(searched, Sampling(count=100))

        def tell(step):
            if (change := at.get(step.split()[0])) is not None:
                change()

        return job.perf(searched, PLAN, lambda: queries, tell)


def test_a_server_that_falls_silent_ends_in_one_line(served):
    """The connection stands and nothing comes back: every search is given its time, none is repeated, and the levels before are shown."""
    with Proxy(served.uri) as proxy:
        report = measured(served, proxy, {"3": proxy.swallow})
        proxy.mend()
    before, silent = report.levels
    assert before.answered
    assert silent.answered == 0 and set(silent.failures) == {"DEADLINE_EXCEEDED"} and silent.latency.p50 == math.inf
    assert report.exit_code == 5 and report.lines()[-1].startswith(f"error: None of {silent.searches} searches of 3 workers got an answer")


def test_a_connection_that_is_lost_is_counted_and_the_next_level_goes_on(served):
    """The searches under way fail, the others find a new connection; nothing of it is hidden."""
    with Proxy(served.uri) as proxy:
        report = measured(served, proxy, {"3": proxy.lose_the_next_answer})
        assert proxy.lost == 1
    before, hit, after = report.levels
    assert "UNAVAILABLE" not in before.failures and before.answered and after.answered
    assert 0 < hit.failures["UNAVAILABLE"] < hit.searches
    assert report.exit_code == 0 and any("searches failed: UNAVAILABLE" in line for line in report.lines())
