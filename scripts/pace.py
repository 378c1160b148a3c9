"""How fast a pass may go, and whether it may go at all just now."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click


class Pace:
    """At most `rows_per_second`, where that is given; `pause` stops a pass before its next write and `resume` lets it go on.

    A pause costs nothing: what was encoded stays in memory, and the lease on the pair is kept.
    """

    def __init__(self, rows_per_second: float | None = None) -> None:
        self.rows_per_second = rows_per_second
        self._may_go = threading.Event()
        self._may_go.set()
        self._free_at = 0.0

    def rows_at_once(self, wanted: int) -> int:
        """How many rows to write at once, so that a slow pace is even and not in bursts: about a second's worth."""
        return wanted if self.rows_per_second is None else max(1, min(wanted, int(self.rows_per_second)))

    def pause(self) -> None:
        self._may_go.clear()

    def resume(self) -> None:
        self._may_go.set()

    def wait(self, rows: int) -> None:
        """Returns when this many rows may be written."""
        self._may_go.wait()
        if self.rows_per_second is None:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now)
        if self._free_at > now:
            time.sleep(self._free_at - now)
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
