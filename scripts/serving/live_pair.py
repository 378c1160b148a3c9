"""One pair that answers queries: its own model and its own collection, which are never mixed with another's."""

from __future__ import annotations

import threading
import time

import numpy as np

from scripts.encoding import PROBE, Encoder
from scripts.errors import Unreachable, UsageError
from scripts.pair import Stamp
from scripts.ports import Collection, Hit
from scripts.serving.answer import Asked

# How many texts are encoded before the next query has its turn.
TEXTS_PER_TURN = 64
WARMING_QUERIES = 3


class LivePair:
    """Safe under threads. One query at a time has the model: the fast tokenizers of transformers raise "Already borrowed" when two threads use one
    (0.22), what a pyfunc does nobody knows, and torch gives one query all cores anyway. Searches overlap freely.

    It has nothing to close: who still has a query under way keeps it alive, and with the last one its model goes.
    """

    def __init__(self, collection: Collection, stamp: Stamp, encoder: Encoder, timeout: float) -> None:
        self.name = collection.name
        self._collection = collection
        self._encoder = encoder
        self._timeout = timeout
        self._fields = {column.name for column in (stamp.layout.key, *stamp.layout.columns)}
        self._model = threading.Lock()

    def warm(self) -> None:
        """The first queries of a model and of a collection pay for what later ones find ready. Raises what a query would raise."""
        for _ in range(WARMING_QUERIES):
            self.search(Asked((PROBE,)))

    def search(self, asked: Asked) -> list[tuple[Hit, ...]]:
        """For each text its hits, best first. Raises Refused where the collection is dropped or not loaded."""
        if unknown := set(asked.fields) - self._fields:
            raise UsageError(f"{self.name} has no field {', '.join(sorted(unknown))}.", hint=f"It has: {', '.join(sorted(self._fields))}.")
        if not asked.texts:
            return []
        answers = self._collection.search(self._encoded(asked.texts), asked.limit, where=asked.where, fields=asked.fields)
        return [tuple(hits) for hits in answers]

    def _encoded(self, texts: tuple[str, ...]) -> np.ndarray:
        until = time.monotonic() + self._timeout
        parts = []
        for start in range(0, len(texts), TEXTS_PER_TURN):
            if not self._model.acquire(timeout=max(0.0, until - time.monotonic())):
                raise Unreachable(f"The model of {self.name} was busy with other queries for {self._timeout:g} seconds.", hint="More processes share the load.")
            try:
                parts.append(self._encoder.queries(texts[start : start + TEXTS_PER_TURN]))
            finally:
                self._model.release()
        return np.concatenate(parts)
