"""Does the alias answer with the pair yet? Asked after a switch, because a cluster's proxies may remember for a while where it pointed before."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from scripts.catalogue import Entry
from scripts.errors import Refused
from scripts.ports import Collection, Hit, VectorStore

# An alias that has answered rightly so often, in a row, is taken to have moved for good.
ANSWERS = 5
PAUSE_SECONDS = 0.1
VECTORS, LIMIT = 8, 3
# Of the same vector in the same index; another model's vectors are farther away than that.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Probe:
    """Some of the pair's own vectors, float32 [n, dimension], and how near their neighbours are: what no other model's collection answers."""

    entry: Entry
    vectors: np.ndarray
    scores: list[list[float]]

    def answered(self, store: VectorStore, alias: str, seconds: float) -> bool:
        """Whether within this time the alias came to answer with the pair, ANSWERS times in a row. Raises Unreachable where nobody answers."""
        collection = store.through(alias, self.entry.stamp.layout)
        deadline = time.monotonic() + seconds
        right = 0
        while right < ANSWERS:
            right = right + 1 if self._is_right(store, alias, collection) else 0
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE_SECONDS)
        return True

    def _is_right(self, store: VectorStore, alias: str, collection: Collection) -> bool:
        if store.target(alias) != self.entry.pair.collection:
            return False
        try:
            return not len(self.vectors) or _alike(_scores(collection.search(self.vectors, LIMIT)), self.scores)
        except Refused:  # a proxy that still looks for the other collection's fields, say
            return False


def prepared(store: VectorStore, entry: Entry) -> Probe:
    """Made before the switch, so that after it nothing but searches is to be done."""
    collection = store.open(entry.pair.collection)
    page = next(collection.vectors(), None)
    vectors = page.vectors[:VECTORS] if page else np.empty((0, entry.stamp.layout.dimension), dtype=np.float32)
    return Probe(entry, vectors, _scores(collection.search(vectors, LIMIT)) if len(vectors) else [])


def _scores(answers: list[list[Hit]]) -> list[list[float]]:
    return [[hit.score for hit in hits] for hits in answers]


def _alike(found: list[list[float]], expected: list[list[float]]) -> bool:
    return [len(scores) for scores in found] == [len(scores) for scores in expected] and all(
        np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE) for one, other in zip(found, expected, strict=True)
    )
