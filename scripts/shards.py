"""Shards: equal shares of all keys, so that N processes do what one does."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from scripts import digests
from scripts.errors import UsageError

MAX_SHARDS = 1_024


@dataclass(frozen=True, slots=True)
class Shard:
    """Share `index`, counted from 0, of `count`. A key's share follows from the key alone, whatever files it stands in."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"

    @property
    def is_all(self) -> bool:
        return self.count == 1

    @classmethod
    def parse(cls, written: str) -> Shard:
        """Of `I/N`. Raises UsageError."""
        found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", written)
        if not found or not int(found[1]) < int(found[2]) <= MAX_SHARDS:
            raise UsageError(f"--shard {written}: is not I/N with I from 0 to N-1 and N at most {MAX_SHARDS}.", hint="The first of four is 0/4.")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def named(cls, name: str) -> Shard:
        """The shard that is written `I-of-N`. Raises ValueError for anything else."""
        index, count = map(int, name.split("-of-"))
        if not 0 <= index < count:
            raise ValueError(f"{name} names no shard")
        return cls(index, count)

    def siblings(self) -> list[Shard]:
        """All shards that together are the whole, this one included."""
        return [Shard(index, self.count) for index in range(self.count)]

    def holds(self, key_ids: np.ndarray) -> np.ndarray:
        """A boolean per key id."""
        if self.is_all:
            return np.ones(key_ids.size, dtype=bool)
        return digests.spread(key_ids) % np.uint64(self.count) == self.index
