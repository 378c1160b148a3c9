"""A pass can be slowed down and paused."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from scripts.errors import UsageError
from scripts.pace import Pace, obeying_signals


def test_a_pace_is_kept():
    """Thirty rows at 100 a second take the time of at least twenty: the first ten go at once. How much longer is the machine's affair."""
    pace = Pace(100)
    began = time.monotonic()
    for _ in range(3):
        pace.wait(10)
    assert time.monotonic() - began >= 0.2 - 0.01


def test_a_slow_pace_writes_a_second_s_worth_at_once():
    """Bursts would not spare anybody."""
    assert (Pace(100).rows_at_once(4_000), Pace(0.5).rows_at_once(4_000), Pace().rows_at_once(4_000)) == (100, 1, 4_000)


def test_signals_pause_and_resume():
    """SIGUSR1 and SIGUSR2; what waits goes on by itself."""
    pace = Pace()
    passed = threading.Event()
    with obeying_signals(pace):
        os.kill(os.getpid(), signal.SIGUSR1)
        waiting = threading.Thread(target=lambda: (pace.wait(1), passed.set()))
        waiting.start()
        assert not passed.wait(0.3)
        os.kill(os.getpid(), signal.SIGUSR2)
        assert passed.wait(30)
        waiting.join()


def test_signals_mean_what_they_meant_afterwards():
    """A library's user keeps their own handlers."""
    before = signal.getsignal(signal.SIGUSR1)
    with obeying_signals(Pace()):
        assert signal.getsignal(signal.SIGUSR1) is not before
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_signal_may_come_at_any_moment_of_waiting():
    """A handler runs between two steps of the very thread that waits, so it must not wait for anything that this thread holds."""
    pace, passed = Pace(1_000_000), threading.Event()

    def between_two_steps(*_):
        pace.pause()
        pace.resume()
        return between_two_steps

    def wait():
        sys.settrace(between_two_steps)
        pace.wait(1)
        sys.settrace(None)
        passed.set()

    threading.Thread(target=wait, daemon=True).start()
    assert passed.wait(30)


def test_a_pause_also_holds_what_waits_for_its_turn():
    """A slow pace is no way around it."""
    pace, passed = Pace(10), threading.Event()
    pace.wait(3)
    waiting = threading.Thread(target=lambda: (pace.wait(1), passed.set()))
    waiting.start()
    pace.pause()
    assert not passed.wait(0.8)
    pace.resume()
    assert passed.wait(30)
    waiting.join()


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 1e-300, 0.0, -1.0])
def test_a_rate_that_nobody_can_keep_is_refused(rate):
    """Before the work, and in one line."""
    with pytest.raises(UsageError, match="--max-rows-per-second"):
        Pace(rate)
