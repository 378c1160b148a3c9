"""How fast a pass may go, and whether it may go at all just now."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from scripts.errors import UsageError

SLOWEST, FASTEST = 0.001, 1e9
# How soon a pause is seen to be over.
_LOOK_AGAIN_SECONDS = 0.1


class Pace:
    """At most `rows_per_second`, where that is given; `pause` stops a pass before its next write and `resume` lets it go on.

    A pause costs nothing: what was encoded stays in memory, and the lease on the pair is kept.
    """

    def __init__(self, rows_per_second: float | None = None) -> None:
        """Raises UsageError where the rate is not one that can be kept, such as infinity."""
        if rows_per_second is not None and not SLOWEST <= rows_per_second <= FASTEST:
            raise UsageError(f"--max-rows-per-second {rows_per_second:g}: is not from {SLOWEST:g} to {FASTEST:g}.", hint="Leave it out to write without a limit.")
        self.rows_per_second = rows_per_second
        # Not an Event: a signal's handler that sets one while the thread under it is within `wait` would wait for that thread for ever.
        self._paused = False
        self._free_at = 0.0

    def rows_at_once(self, wanted: int) -> int:
        """How many rows to write at once, so that a slow pace is even and not in bursts: about a second's worth."""
        return wanted if self.rows_per_second is None else max(1, min(wanted, int(self.rows_per_second)))

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def wait(self, rows: int) -> None:
        """Returns when this many rows may be written."""
        self._free_at = max(self._free_at, time.monotonic())
        while (left := self._free_at - time.monotonic()) > 0 or self._paused:
            time.sleep(min(left, _LOOK_AGAIN_SECONDS) if left > 0 else _LOOK_AGAIN_SECONDS)
        if self.rows_per_second is not None:
            self._free_at += rows / self.rows_per_second


@contextmanager
def obeying_signals(pace: Pace) -> Iterator[None]:
    """Within the block SIGUSR1 pauses and SIGUSR2 resumes; each says so on standard error. Nothing happens where there are no such signals."""
    if not hasattr(signal, "SIGUSR1") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def pause(*_: object) -> None:
        pace.pause()
        click.echo("paused: SIGUSR2 resumes.", err=True)

    def resume(*_: object) -> None:
        pace.resume()
        click.echo("resumed.", err=True)

    before = [signal.signal(signal.SIGUSR1, pause), signal.signal(signal.SIGUSR2, resume)]
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before[0])
        signal.signal(signal.SIGUSR2, before[1])
