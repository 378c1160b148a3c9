"""Does the alias answer with the pair yet? Asked after a switch, because a cluster's proxies may remember for a while where it pointed before."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from scripts.catalogue import Entry
from scripts.errors import Refused
from scripts.ports import Collection, VectorStore

# An alias that has answered rightly so often, in a row, is taken to have moved for good.
ANSWERS = 5
PAUSE_SECONDS = 0.1
VECTORS, LIMIT = 8, 3
# Of the same vector in the same index; another model's vectors are farther away than that.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Probe:
    """Some of the pair's own vectors, float32 [n, dimension]. Their neighbours are as near in no other model's collection."""

    entry: Entry
    vectors: np.ndarray

    def answered(self, store: VectorStore, alias: str, seconds: float) -> bool:
        """Whether within this time the alias came to answer with the pair, ANSWERS times in a row. Raises Unreachable where nobody answers."""
        asked, own = store.through(alias, self.entry.stamp.layout), store.open(self.entry.pair.collection)
        deadline = time.monotonic() + seconds
        right = 0
        while right < ANSWERS:
            right = right + 1 if self._is_right(store, alias, asked, own) else 0
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE_SECONDS)
        return True

    def _is_right(self, store: VectorStore, alias: str, asked: Collection, own: Collection) -> bool:
        """Both are asked each time: somebody may be bringing changes into the pair meanwhile."""
        if store.target(alias) != self.entry.pair.collection:
            return False
        try:
            return not len(self.vectors) or _alike(_scores(asked, self.vectors), _scores(own, self.vectors))
        except Refused:  # a proxy that still looks for the other collection's fields, say
            return False


def prepared(store: VectorStore, entry: Entry) -> Probe:
    """Made before the switch, so that after it nothing but searches is to be done."""
    page = next(store.open(entry.pair.collection).vectors(), None)
    vectors = page.vectors[:VECTORS] if page else np.empty((0, entry.stamp.layout.dimension), dtype=np.float32)
    return Probe(entry, vectors)


def _scores(collection: Collection, vectors: np.ndarray) -> list[list[float]]:
    return [[hit.score for hit in hits] for hits in collection.search(vectors, LIMIT)]


def _alike(found: list[list[float]], expected: list[list[float]]) -> bool:
    return [len(scores) for scores in found] == [len(scores) for scores in expected] and all(
        np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE) for one, other in zip(found, expected, strict=True)
    )
