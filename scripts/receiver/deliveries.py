"""Deliveries that were answered: each counts once, however many copies of it come, together or later."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from scripts.receiver.answers import Answer, Outcome
from scripts.signatures import WINDOW_S

# From a timestamp that is as far ahead as it may be until it is too old. After that the timestamp alone refuses a copy.
REMEMBERED_S = 2.0 * WINDOW_S
MAX_REMEMBERED = 50_000
"""Some 10 MB. Only who has the secret adds to them; were the oldest forgotten too soon, a copy would find the pipeline that is there."""


class Deliveries:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answered: OrderedDict[bytes, float] = OrderedDict()
        self._open: dict[bytes, asyncio.Task[Answer]] = {}

    async def once(self, delivery: str, handle: Callable[[], Awaitable[Answer]]) -> Answer:
        """Copies that come while the first is handled share its answer. After an answer that is done they are refused; after another they are handled
        anew: MLflow's retries have the id and the timestamp of their first try."""
        key = hashlib.sha256(delivery.encode()).digest()[:16]
        self._forget()
        if key in self._answered:
            return Answer(Outcome.REPLAYED, "it was answered before", delivery=delivery)
        if (task := self._open.get(key)) is None:
            task = asyncio.ensure_future(handle())
            self._open[key] = task
            task.add_done_callback(lambda done: self._closed(key, done))
        # A sender that hangs up ends nothing.
        return await asyncio.shield(task)

    def _closed(self, key: bytes, task: asyncio.Task[Answer]) -> None:
        del self._open[key]
        if not task.cancelled() and task.exception() is None and task.result().is_done:
            self._answered[key] = self._clock() + REMEMBERED_S

    def _forget(self) -> None:
        now = self._clock()
        while self._answered and (len(self._answered) > MAX_REMEMBERED or next(iter(self._answered.values())) < now):
            self._answered.popitem(last=False)
