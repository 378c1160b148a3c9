"""Queries that come at the same time are encoded together."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np

from scripts.encoding import Encoder
from scripts.errors import KitError, Unreachable

# Of one call, in characters when all its texts are as long as the longest, which is what a model makes of them: a long text must not make many
# short ones long.
PADDED_CHARS = 4_000
TEXTS = 64


class _Waiting:
    __slots__ = ("done", "error", "texts", "vectors")

    def __init__(self, texts: tuple[str, ...]) -> None:
        self.texts = texts
        self.done = False
        self.vectors: np.ndarray | None = None
        self.error: KitError | None = None


class Together:
    """One thread at a time has the model: what a pyfunc does under two nobody knows, and torch gives a single call all cores. Who finds it free
    encodes, in one call, for all who wait, in their order.

    MiniLM, 16 threads on 2 cores with other work, the three in turn: 70 to 130 queries a second with p99 220 to 280 ms; one by one, with a lock,
    40 to 50 with 970 to 1,430 ms; all at once, without one, 45 to 50 with 450 to 540 ms (sentence-transformers 6.2).
    """

    def __init__(self, encoder: Encoder, timeout: float) -> None:
        self._encoder = encoder
        self._timeout = timeout
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._busy = False

    def encode(self, texts: tuple[str, ...]) -> np.ndarray:
        """Float32 [len(texts), dimension]. Raises what the model raises for these texts, and Unreachable where it is not free in time."""
        parts = [self._turn(texts[start : start + TEXTS]) for start in range(0, len(texts), TEXTS)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _turn(self, texts: tuple[str, ...]) -> np.ndarray:
        mine = _Waiting(texts)
        until = time.monotonic() + self._timeout
        with self._changed:
            self._waiting.append(mine)
        while batch := self._my_turn(mine, until):
            try:
                self._encode(batch)
            finally:
                self._give_back(batch, mine)
        if mine.error:
            raise mine.error
        assert mine.vectors is not None
        return mine.vectors

    def _my_turn(self, mine: _Waiting, until: float) -> list[_Waiting]:
        """Those to be encoded for, with the model in hand; none where somebody did it for me."""
        with self._changed:
            while self._busy and not mine.done:
                if not self._changed.wait(max(0.0, until - time.monotonic())) and not mine.done and self._busy:
                    if mine in self._waiting:
                        self._waiting.remove(mine)
                    raise Unreachable(f"The model was busy with other queries for {self._timeout:g} seconds.", hint="More processes share the load.")
            if mine.done:
                return []
            self._busy = True
            return self._next()

    def _give_back(self, batch: list[_Waiting], mine: _Waiting) -> None:
        """Also after an error that is nobody's answer, such as a Ctrl-C: then the others are to be encoded for by somebody else."""
        with self._changed:
            self._busy = False
            self._waiting.extendleft(each for each in reversed(batch) if not each.done and each is not mine)
            self._changed.notify_all()

    def _next(self) -> list[_Waiting]:
        batch = [self._waiting.popleft()]
        longest, count = max(map(len, batch[0].texts)), len(batch[0].texts)
        while self._waiting:
            following = self._waiting[0].texts
            longest, count = max(longest, *map(len, following)), count + len(following)
            if longest * count > PADDED_CHARS or count > TEXTS:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _encode(self, batch: list[_Waiting]) -> None:
        """Where the model fails, each query alone: one that it cannot take must not fail the others."""
        try:
            vectors = self._encoder.queries([text for each in batch for text in each.texts])
            for each in batch:
                each.vectors, vectors = vectors[: len(each.texts)], vectors[len(each.texts) :]
        except KitError as error:
            if len(batch) == 1:
                batch[0].error = error
            else:
                for each in batch:
                    self._encode([each])
                return
        for each in batch:
            each.done = True
