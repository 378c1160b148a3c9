"""A uniform sample of rows that are streamed past, the same for the same keys whatever their order."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush, heapreplace
from itertools import count
from typing import Generic, TypeVar

import numpy as np

from scripts import digests

T = TypeVar("T")

ROWS = 256
"""Of a collection with 2% wrong rows none of so many is wrong with probability 0.6%."""


class Sample(Generic[T]):
    """The `size` rows whose keys, mixed with the seed, come out smallest: every set of that many keys is as likely as any other.

    Two samples with one seed agree: a key that is in the smaller one, and was shown to both, is in the larger one, unless that was shown more
    keys that the other was not.
    """

    def __init__(self, size: int, seed: str) -> None:
        self._size = size
        self._seed = digests.of_texts([seed]).view(np.uint64)[0]
        self._kept: list[tuple[int, int, T]] = []  # a heap, the largest of the smallest first
        self._shown = count()  # so that items are never compared with each other

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, key_ids: np.ndarray, item: Callable[[int], T]) -> None:
        """Shows it these rows. `item(position)` is what it keeps of one; what it keeps is no view of something large."""
        orders = digests.spread((digests.spread(key_ids) ^ self._seed).view(np.int64))
        if len(self) == self._size:
            positions = np.flatnonzero(orders < np.uint64(-self._kept[0][0]))
        elif orders.size > self._size:
            positions = np.argpartition(orders, self._size)[: self._size]
        else:
            positions = np.arange(orders.size)
        for position in positions.tolist():
            order = -int(orders[position])
            if len(self) < self._size:
                heappush(self._kept, (order, next(self._shown), item(position)))
            elif order > self._kept[0][0]:
                heapreplace(self._kept, (order, next(self._shown), item(position)))

    def items(self) -> list[T]:
        """Those kept, in an order that only the keys and the seed decide."""
        return [item for _, _, item in sorted(self._kept, key=lambda kept: -kept[0])]
