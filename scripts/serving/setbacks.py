"""Pairs that could not be made ready, and when to try again."""

from __future__ import annotations

import time
from dataclasses import dataclass

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class _Setback:
    why: str
    pause: float
    until: float


class Setbacks:
    """Each failure of a pair doubles the pause before it is tried again: a model that cannot be loaded is not loaded once a second."""

    def __init__(self) -> None:
        self._by_pair: dict[str, _Setback] = {}

    def note(self, pair: str, why: str) -> None:
        before = self._by_pair.get(pair)
        pause = min(2 * before.pause, LONGEST_PAUSE_SECONDS) if before else FIRST_PAUSE_SECONDS
        self._by_pair[pair] = _Setback(why, pause, time.monotonic() + pause)

    def too_early(self, pair: str) -> bool:
        return pair in self._by_pair and time.monotonic() < self._by_pair[pair].until

    def told(self, pair: str) -> str:
        return self._by_pair[pair].why if pair in self._by_pair else ""

    def forget(self, pair: str | None = None) -> None:
        """This pair, or all of them."""
        if pair is None:
            self._by_pair.clear()
        else:
            self._by_pair.pop(pair, None)
