"""Starts pipelines in threads, one at a time for each service; whoever asks for the same model version meanwhile gets the same answer."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from scripts.errors import Unreachable
from scripts.jobs.trigger import Outcome, Triggered

Start = Callable[[str, int, str], Triggered]
"""Service, model version, why. Takes seconds, raises KitError, and is safe to repeat."""

ANSWER_S = 25.0
"""MLflow waits 30 s for an answer (3.17). What takes longer goes on, and the retry is told how it ended."""
REMEMBERED_S = 60.0
MAX_REMEMBERED = 1_000
MAX_WAITING = 100

_Key = tuple[str, int]


class TooMany(Exception):
    """As many starts wait as may."""


class Starts:
    """To be used on one event loop; the threads are its own."""

    def __init__(self, start: Start, *, answer_s: float = ANSWER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._start = start
        self._answer_s = answer_s
        self._clock = clock
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._flights: dict[_Key, asyncio.Future[Triggered]] = {}
        self._known: OrderedDict[_Key, tuple[float, Triggered]] = OrderedDict()

    async def start(self, service: str, version: int, why: str) -> Triggered:
        """Raises what the start raises, Unreachable where it takes too long, TooMany."""
        wanted = (service, version)
        if known := self._remembered(wanted):
            return known
        flight = self._flights.get(wanted)
        if flight is None:
            flight = self._take_off(wanted, why)
        try:
            return await asyncio.wait_for(asyncio.shield(flight), self._answer_s)
        except TimeoutError:
            slow = f"Starting a pipeline of {service} takes more than {self._answer_s:.0f} seconds, and goes on."
            raise Unreachable(slow, hint="Send again.") from None

    def _take_off(self, wanted: _Key, why: str) -> asyncio.Future[Triggered]:
        if len(self._flights) >= MAX_WAITING:
            raise TooMany
        service, version = wanted
        thread = self._threads.setdefault(service, ThreadPoolExecutor(1, thread_name_prefix=f"start {service}"))
        flight = asyncio.get_running_loop().run_in_executor(thread, self._start, service, version, why)
        self._flights[wanted] = flight
        flight.add_done_callback(lambda done: self._landed(wanted, done))
        return flight

    def _landed(self, wanted: _Key, flight: asyncio.Future[Triggered]) -> None:
        del self._flights[wanted]
        # Asking also keeps asyncio from complaining of an error that nobody waited for.
        if flight.cancelled() or flight.exception() is not None:
            return
        if (result := flight.result()).outcome is not Outcome.NOT_CANDIDATE:
            self._known[wanted] = (self._clock() + REMEMBERED_S, replace(result, outcome=Outcome.FOUND))
            self._known.move_to_end(wanted)
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)

    def _remembered(self, wanted: _Key) -> Triggered | None:
        until, result = self._known.get(wanted, (0.0, None))
        if result and until < self._clock():
            del self._known[wanted]
            return None
        return result
