"""Work that overlaps, with every queue bounded: reading ahead, and several writes at the same time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
_LOOK_AGAIN_SECONDS = 0.2
# Who leaves waits so long for the thread. A source that says nothing may keep it for hours, and whoever pressed Ctrl-C with it.
LEAVE_SECONDS = 5.0


def ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """The same items in the same order, made in a thread of its own that is at most `count` of them ahead of who takes them.

    What making them raises is raised to the taker, after the items before it. A taker that leaves early ends the thread, at the latest
    when the item is made that it is at work on.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(maxsize=count)
    left = threading.Event()

    def put(entry: tuple[T | None, BaseException | None, bool]) -> bool:
        while not left.is_set():
            try:
                ready.put(entry, timeout=_LOOK_AGAIN_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put((item, None, False)):
                    return
            put((None, None, True))
        except BaseException as error:  # whatever it is, the taker must not wait for ever
            put((None, error, True))
        finally:
            if close := getattr(items, "close", None):
                close()

    maker = threading.Thread(target=make, name="ahead", daemon=True)
    maker.start()
    try:
        while True:
            item, error, last = ready.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]
    finally:
        left.set()
        maker.join(LEAVE_SECONDS)


class InFlight:
    """Calls under way at the same time, at most `limit`: who submits one more waits. Use it with `with`.

    The first failure is raised at the next `submit` or at the end of the block, and nothing that was not begun by then begins.
    """

    def __init__(self, limit: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=limit, thread_name_prefix="write")
        self._free = threading.Semaphore(limit)
        self._failure: BaseException | None = None

    def submit(self, call: Callable[..., Any], *args: Any) -> None:
        self._free.acquire()
        if self._failure is not None:
            self._free.release()
            raise self._failure
        self._pool.submit(call, *args).add_done_callback(self._done)

    def wait(self) -> None:
        """Until every call has ended. Raises the first failure."""
        self._pool.shutdown(wait=True)
        if self._failure is not None:
            raise self._failure

    def _done(self, call: Future[Any]) -> None:
        # A call that was called off has no exception to ask for: asking raises one, which would be printed with its traceback.
        if not call.cancelled() and (error := call.exception()) is not None and self._failure is None:
            self._failure = error
        self._free.release()

    def __enter__(self) -> InFlight:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.wait()
        else:
            self._pool.shutdown(wait=True, cancel_futures=True)
