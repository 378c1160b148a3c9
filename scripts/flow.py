"""Work that overlaps, with every queue bounded: reading ahead, and several writes at the same time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_LOOK_AGAIN_SECONDS = 0.2
# Who leaves waits so long for the thread. A source that says nothing may keep it for hours, and whoever pressed Ctrl-C with it.
LEAVE_SECONDS = 5.0


class Ahead(Generic[T]):
    """The same items in the same order, made in a thread of its own that is at most `count` of them ahead of who takes them. Use it with `with`.

    The thread begins at once. What making the items raises is raised to the taker, after the items before it. A taker that leaves early ends
    the thread, at the latest when the item is made that it is at work on.
    """

    def __init__(self, items: Iterator[T], count: int) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(maxsize=count)
        self._left = threading.Event()
        self._maker = threading.Thread(target=self._make, name="ahead", daemon=True)
        self._maker.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            item, error, last = self._ready.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]

    def __enter__(self) -> Ahead[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._left.set()
        self._maker.join(LEAVE_SECONDS)

    def _make(self) -> None:
        try:
            for item in self._items:
                if not self._put((item, None, False)):
                    return
            self._put((None, None, True))
        except BaseException as error:  # whatever it is, the taker must not wait for ever
            self._put((None, error, True))
        finally:
            if close := getattr(self._items, "close", None):
                close()

    def _put(self, entry: tuple[T | None, BaseException | None, bool]) -> bool:
        """Whether there is still somebody to take it."""
        while not self._left.is_set():
            try:
                self._ready.put(entry, timeout=_LOOK_AGAIN_SECONDS)
                return True
            except queue.Full:
                continue
        return False


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
