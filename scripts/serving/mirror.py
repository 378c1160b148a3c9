"""The candidate asked beside production, where nobody waits for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

WAITING = 64


class Mirror:
    """One thread does what is offered, in order. Where more than `WAITING` wait, what is offered is dropped and counted: a slow candidate costs
    observations, never an answer."""

    def __init__(self) -> None:
        self._offered: queue.Queue[Callable[[], None] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self.dropped = 0

    def offer(self, task: Callable[[], None]) -> None:
        """Returns at once. A task that raises counts as dropped."""
        if self._thread is None:
            self._start()
        try:
            self._offered.put_nowait(task)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """What waits is forgotten."""
        while self._thread is not None:
            try:
                self._offered.put_nowait(None)
                break
            except queue.Full:
                self._forget_one()
        if self._thread is not None:
            self._thread.join(1.0)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (task := self._offered.get()) is not None:
            try:
                task()
            except Exception:  # nobody is there to catch it, and the next may do better
                self.dropped += 1
            del task  # it holds a pair, which may have been replaced

    def _forget_one(self) -> None:
        try:
            self._offered.get_nowait()
        except queue.Empty:
            pass
