"""One pair that answers queries: its own model and its own collection, which are never mixed with another's."""

from __future__ import annotations

from scripts.encoding import PROBE, Encoder
from scripts.errors import UsageError
from scripts.pair import Stamp
from scripts.ports import Collection, Hit
from scripts.serving.answer import Asked
from scripts.serving.together import Together

WARMING_QUERIES = 3


class LivePair:
    """Safe under threads: queries that come at once are encoded together, and searches overlap freely.

    It has nothing to close: who still has a query under way keeps it alive, and with the last one its model goes.
    """

    def __init__(self, collection: Collection, stamp: Stamp, encoder: Encoder, timeout: float) -> None:
        self.name = collection.name
        self._collection = collection
        self._fields = {column.name for column in (stamp.layout.key, *stamp.layout.columns)}
        self._model = Together(encoder, timeout)

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
        answers = self._collection.search(self._model.encode(asked.texts), asked.limit, where=asked.where, fields=asked.fields)
        return [tuple(hits) for hits in answers]
