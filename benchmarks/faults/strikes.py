"""What befalls the server while commands are at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults.running import Running
from tests.servers import MilvusServer

AWAY_SECONDS = 5.0
# Milvus 2.3.5 ends by itself when it was stopped for 20 seconds: its session has run out by then.
PAUSE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Struck:
    """When the commands could first notice, and when the server's own health page said OK again; None for never."""

    at: float
    back: float | None


@dataclass(frozen=True, slots=True)
class Strike:
    name: str
    do: Callable[[MilvusServer, Sequence[Running]], Struck]


def _nothing(server: MilvusServer, runs: Sequence[Running]) -> Struck:
    return Struck(now := time.monotonic(), now)


def _killed(server: MilvusServer, runs: Sequence[Running]) -> Struck:
    server.kill()
    return Struck(time.monotonic(), None)


def _killed_and_started(server: MilvusServer, runs: Sequence[Running]) -> Struck:
    server.kill()
    at = time.monotonic()
    time.sleep(AWAY_SECONDS)
    server.start()
    return Struck(at, time.monotonic())


def _killed_unseen(server: MilvusServer, runs: Sequence[Running]) -> Struck:
    """Between two calls of each command: all they find is that their connection is no more."""
    for run in runs:
        run.freeze()
    server.kill()
    server.start()
    at = time.monotonic()
    for run in runs:
        run.thaw()
    return Struck(at, at)


def _paused(server: MilvusServer, runs: Sequence[Running]) -> Struck:
    server.pause()
    at = time.monotonic()
    time.sleep(PAUSE_SECONDS)
    server.resume()
    return Struck(at, time.monotonic())


def _paused_for_good(server: MilvusServer, runs: Sequence[Running]) -> Struck:
    server.pause()
    return Struck(time.monotonic(), None)


def _restarted(server: MilvusServer, runs: Sequence[Running]) -> Struck:
    at = time.monotonic()
    server.stop()
    server.start()
    return Struck(at, time.monotonic())


STRIKES = (
    Strike("none", _nothing),
    Strike("kill -9, not started again", _killed),
    Strike(f"kill -9, started again {AWAY_SECONDS:.0f} s later", _killed_and_started),
    Strike("kill -9 and started again between two looks", _killed_unseen),
    Strike(f"SIGSTOP, SIGCONT {PAUSE_SECONDS:.0f} s later", _paused),
    Strike("SIGSTOP for good", _paused_for_good),
    Strike("restarted in order", _restarted),
)
