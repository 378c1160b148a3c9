"""The closed loop: every search is counted, each query comes once, failures are kept apart."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import Counter

import pytest

from scripts.perf.load import Deal, Loop
from scripts.perf.ports import SearchFailed


def test_every_search_is_counted_and_every_query_is_another():
    """Also with many workers: what was asked is what is reported, and nothing comes twice while there is more to ask."""
    asked: Counter[int] = Counter()
    lock = threading.Lock()

    def search(number):
        with lock:
            asked[number] += 1
        time.sleep(0.001)
        return [1, 2, 3]

    loop = Loop(search, Deal(1_000_000), k=3, workers=8)
    loop.warm_up(0.05)
    warm = asked.total()
    loop.measure(0.1)
    loop.measure(0.1)
    level = loop.level()
    assert level.searches == level.answered == asked.total() - warm and level.workers == 8
    assert set(asked.values()) == {1} and level.repeated == 0
    assert level.searches - 16 <= level.ended <= level.searches and level.qps == level.ended / level.seconds
    assert (level.failures, level.short, level.interrupted) == ({}, 0, False)


def test_the_longest_silence_is_kept():
    """What a server that stands still does to all workers at once, which percentiles of a closed loop hide."""
    loop = Loop(lambda number: time.sleep(0.2 if number < 4 else 0.001) or [1], Deal(1_000_000), k=1, workers=4)
    loop.measure(0.3)
    loop.measure(0.1)
    assert 0.2 <= loop.level().silence <= loop.level().seconds


def test_searches_as_long_as_the_window_make_a_throughput():
    """Four workers, each search 0.3 s, windows of 0.1 s: none ends within one, and still some are answered a second."""
    loop = Loop(lambda number: time.sleep(0.3) or [1], Deal(1_000), k=1, workers=4)
    for _ in range(2):
        loop.measure(0.1)
    level = loop.level()
    assert 0 < level.ended < level.searches and level.qps == level.ended / level.seconds


def test_repeated_queries_are_counted():
    """Of a level that has fewer than it asks, those that had been asked in the warm-up among them."""
    loop = Loop(lambda number: time.sleep(0.001) or [], Deal(5), k=0, workers=2)
    loop.warm_up(0.05)
    loop.measure(0.05)
    level = loop.level()
    assert level.repeated == level.searches > 0


def test_failures_are_counted_by_kind_and_end_nothing():
    """Their time is not among the latencies, a percentile among them is infinite, and a worker waits before it asks again."""
    def search(number):
        if number % 3 == 0:
            raise SearchFailed("UNAVAILABLE")
        if number % 3 == 1:
            raise SearchFailed("101: not loaded")
        return [1]

    loop = Loop(search, Deal(1_000), k=2, workers=4)
    loop.measure(0.25)
    level = loop.level()
    assert set(level.failures) == {"UNAVAILABLE", "101: not loaded"}
    assert level.failed + level.answered == level.searches and level.short == level.answered > 0
    assert level.latency.p95 == math.inf and level.latency.slowest < math.inf


def test_a_fault_of_the_kit_is_raised_and_not_counted():
    """It ends all workers, and is not taken for a search that failed."""
    def search(number):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Loop(search, Deal(10), k=1, workers=3).measure(60)


def test_ctrl_c_keeps_what_was_measured():
    """The workers end, and the level says that it was broken off."""
    loop = Loop(lambda number: time.sleep(0.001) or [1], Deal(10_000), k=1, workers=2)
    timer = threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        loop.measure(60)
    timer.join()
    level = loop.level()
    assert level.interrupted and level.answered > 0 and level.seconds < 60
    assert not any(thread.name.endswith("(_work)") for thread in threading.enumerate())
