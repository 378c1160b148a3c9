"""Ctrl-C: the first ends a command in order, a second one at once; both at any moment, in one line and with one exit code. SIGTERM ends it at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130
TERMINATED = 143
TOLD = "interrupted: run the same command again to go on.\n"
# A server that hangs may keep a call for a minute, and what is handed back to it another: so long that is waited for. The kit bears to be killed at
# any moment, so nothing is lost by it but time.
LEAVE_SECONDS = 15


@contextmanager
def heeded() -> Iterator[None]:
    """For the whole of a process, imports among it. Who is interrupted does not wait for threads that are within a call, nor has Python end under
    them. Where Ctrl-C is ignored, as in a shell's background, it stays so."""
    if os.getpid() == 1:  # a container's first process: Linux keeps from it every signal that it does not take itself
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(TERMINATED))
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _first)
    signal.signal(signal.SIGALRM, _again)
    try:
        yield
    except KeyboardInterrupt:
        _at_once(TOLD)
    except SystemExit as end:
        if end.code == EXIT_CODE:  # and it was told
            _flush()
            _at_once("")
        raise
    finally:
        signal.signal(signal.SIGINT, _again)  # Python's own end would show a traceback
        signal.alarm(0)


def tell() -> None:
    """To whoever ends in order; from then on a second Ctrl-C says nothing more."""
    if signal.getsignal(signal.SIGINT) in (_first, _again):
        signal.signal(signal.SIGINT, _silently)
    sys.stderr.write(TOLD)


def _first(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, _again)
    signal.alarm(LEAVE_SECONDS)
    raise KeyboardInterrupt


def _again(number: int, frame: FrameType | None) -> NoReturn:
    _at_once(TOLD)


def _silently(number: int, frame: FrameType | None) -> NoReturn:
    _at_once("")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads on
            pass


def _at_once(line: str) -> NoReturn:
    try:
        os.write(2, line.encode())  # not through sys.stderr, which may be at work under a signal's handler
    except OSError:
        pass
    os._exit(EXIT_CODE)
