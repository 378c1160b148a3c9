"""Reading ahead and writing several at once: nothing lost, nothing unbounded, every failure told."""

from __future__ import annotations

import threading

import pytest

from scripts import flow
from scripts.flow import Ahead, InFlight


def test_items_come_in_order_and_all_of_them():
    """Though they are made in another thread."""
    with Ahead(iter(range(1_000)), 3) as items:
        assert list(items) == list(range(1_000))


def test_no_more_is_made_ahead_than_allowed():
    """Memory is bounded by the queue: with one item taken and two waiting, a fourth is at most in the making. The first do not wait to be asked for."""
    made = []
    with Ahead((made.append(i) or i for i in range(100)), 2) as items:
        while not made:
            threading.Event().wait(0.01)
        assert next(iter(items)) == 0
        threading.Event().wait(0.5)
        assert len(made) <= 4


def test_a_failure_comes_after_what_was_made_before_it():
    """To whoever takes the items, with its own type."""

    def items():
        yield 1
        raise ValueError("broken")

    with Ahead(items(), 5) as made:
        taken = iter(made)
        assert next(taken) == 1
        with pytest.raises(ValueError, match="broken"):
            next(taken)


def test_who_leaves_early_ends_the_thread():
    """And the maker's own clean-up runs."""
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with Ahead(endless(), 2) as items:
        next(iter(items))
    assert closed.is_set()
    assert not any(thread.name == "ahead" for thread in threading.enumerate())


def test_calls_run_at_the_same_time_up_to_the_limit():
    """Three meet at a barrier, which one after the other never would; a fourth is not let in beside them."""
    barrier, peak, running, lock = threading.Barrier(3, timeout=30), [0], [0], threading.Lock()

    def call(meet):
        with lock:
            running[0] += 1
            peak[0] = max(peak[0], running[0])
        if meet:
            barrier.wait()
        with lock:
            running[0] -= 1

    with InFlight(3) as calls:
        for i in range(20):
            calls.submit(call, i < 3)
    assert peak[0] == 3


def test_a_failed_call_is_raised_at_the_end():
    """The last one too, after which nothing is submitted."""

    def fail():
        raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"), InFlight(2) as calls:
        calls.submit(fail)


def test_after_a_failed_call_no_other_begins():
    """The caller hears of it at its next call."""
    begun = []

    def fail():
        raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"), InFlight(1) as calls:
        calls.submit(fail)
        for i in range(50):
            calls.submit(begun.append, i)
    assert not begun


def test_calls_that_are_called_off_leave_no_traceback(caplog):
    """What ended the block is all there is to say."""
    for _ in range(1_000):
        with pytest.raises(KeyboardInterrupt), InFlight(1) as calls:
            calls.submit(int)
            calls.submit(int)
            raise KeyboardInterrupt
    assert caplog.records == []


def test_who_leaves_does_not_wait_for_what_never_comes(monkeypatch):
    """A database that thinks for hours must not keep whoever pressed Ctrl-C."""
    monkeypatch.setattr(flow, "LEAVE_SECONDS", 0.1)
    stuck, came = threading.Event(), []

    def items():
        yield 1
        came.append(stuck.wait(10))
        yield 2

    with Ahead(items(), 1) as made:
        assert next(iter(made)) == 1
    assert came == []
    stuck.set()
