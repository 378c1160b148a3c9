"""A closed loop: so many workers, each of which sends its next search when the last one has come back.

What its percentiles cannot show is how long a search waits that was due while all workers were waiting ("coordinated omission", Gil Tene): a server
that stands still for a second delays one search of each worker, and not all those that users would have sent in that second. So the longest silence
of a level, in which nobody got an answer, is kept beside them.
"""

from __future__ import annotations

import gc
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import numpy as np

from scripts.perf.percentiles import Latency, latency
from scripts.perf.ports import Search, SearchFailed

# After a failure a worker waits, or a server that is away would be asked, and fail, ten thousand times a second.
PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Level:
    """What so many workers saw in a window of `seconds`."""

    workers: int
    seconds: float
    searches: int
    """Begun within the window. All of them are waited for, and are in `latency`."""
    ended: float
    """Answered within the window, and of each that was under way at its end the share of its time that lay within: they make the throughput. Without
    those, searches that take as long as a window would make none."""
    latency: Latency
    failures: dict[str, int] = field(default_factory=dict)
    short: int = 0
    """Answers with fewer than k hits."""
    repeated: int = 0
    """Searches for a query that had been asked before in this level."""
    cpu: float = 0.0
    """Cores that this process used."""
    silence: float = 0.0
    """The longest time, in seconds, in which not one search was answered."""
    interrupted: bool = False

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def answered(self) -> int:
        return self.searches - self.failed

    @property
    def qps(self) -> float:
        """Answers per second."""
        return self.ended / self.seconds if self.seconds else 0.0


class Deal:
    """Hands out the numbers of queries one after the other, each once before any comes again. Safe from many threads."""

    def __init__(self, queries: int) -> None:
        self.queries = queries
        self._next = count()

    def next(self) -> int:
        return next(self._next) % self.queries


@dataclass
class _Record:
    """One worker's: 16 bytes a search, so that an hour of thousands a second has room."""

    took: array[float] = field(default_factory=partial(array, "d"))
    ends: array[float] = field(default_factory=partial(array, "d"))
    short: int = 0
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Turn:
    """What each worker saw, from when to when by the clock, and the processor time of this process in it."""

    records: list[_Record]
    began: float
    ended: float
    cpu: float
    interrupted: bool


class Loop:
    """So many workers, who begin and end together as often as they are asked to. All that they saw is one level."""

    def __init__(self, search: Search, deal: Deal, *, k: int, workers: int) -> None:
        self._search, self._deal, self._k, self._number = search, deal, k, workers
        self._records: list[_Record] = []
        self._window = self._cpu = self._silence = 0.0
        self._ended = 0.0
        self._unmeasured = 0
        self._interrupted = False

    def warm_up(self, seconds: float) -> None:
        """Unmeasured; of no seconds it asks nothing. Raises KeyboardInterrupt."""
        if not seconds:
            return
        turn = self._work_for(seconds)
        self._unmeasured += sum(len(record.took) + record.failures.total() for record in turn.records)
        if turn.interrupted:
            raise KeyboardInterrupt

    def measure(self, seconds: float) -> None:
        """Ctrl-C ends it early, and what was measured until then stays. Raises KeyboardInterrupt after that."""
        turn = self._work_for(seconds)
        ends, took = (np.concatenate([getattr(record, part) for record in turn.records]) for part in ("ends", "took"))
        within = ends <= turn.ended
        self._records += turn.records
        self._window += turn.ended - turn.began
        self._ended += float(within.sum() + np.maximum(0.0, 1 - (ends - turn.ended) / took)[~within].sum())
        self._silence = max(self._silence, float(np.diff([turn.began, *np.sort(ends[within]), turn.ended]).max()))
        self._cpu += turn.cpu
        self._interrupted = turn.interrupted
        if turn.interrupted:
            raise KeyboardInterrupt

    def level(self) -> Level:
        failures = sum((record.failures for record in self._records), Counter())
        took = np.concatenate([record.took for record in self._records]) if self._records else ()
        searches = len(took) + failures.total()
        return Level(
            workers=self._number,
            seconds=self._window,
            searches=searches,
            ended=self._ended,
            latency=latency(took, failures.total()),
            failures=dict(failures.most_common()),
            short=sum(record.short for record in self._records),
            repeated=min(searches, max(0, self._unmeasured + searches - self._deal.queries)),
            cpu=self._cpu / self._window if self._window else 0.0,
            silence=self._silence,
            interrupted=self._interrupted,
        )

    def _work_for(self, seconds: float) -> _Turn:
        stop, faults = threading.Event(), []
        records = [_Record() for _ in range(self._number)]
        threads = [threading.Thread(target=self._work, args=(record, stop, faults), daemon=True) for record in records]
        interrupted = False
        began, cpu = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        try:
            stop.wait(seconds)
        except KeyboardInterrupt:
            interrupted = True
        ended, cpu = time.perf_counter(), time.process_time() - cpu
        stop.set()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        return _Turn(records, began, ended, cpu, interrupted)

    def _work(self, record: _Record, stop: threading.Event, faults: list[BaseException]) -> None:
        clock, stopped = time.perf_counter, stop.is_set
        try:
            while not stopped():
                number = self._deal.next()
                began = clock()
                try:
                    hits = self._search(number)
                except SearchFailed as failure:
                    record.failures[failure.kind] += 1
                    stop.wait(PAUSE_SECONDS)
                    continue
                ended = clock()
                record.took.append(ended - began)
                record.ends.append(ended)
                record.short += len(hits) < self._k
        except BaseException as fault:  # the kit's own: raised where the workers are waited for
            faults.append(fault)
            stop.set()


@contextmanager
def unhindered() -> Iterator[None]:
    """For what is measured. What is there so far is not looked through for garbage: to walk over a million objects of pymilvus and a model takes
    longer than most searches."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
