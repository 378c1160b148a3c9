"""What a collection holds and what a pass has seen, at 8 to 32 bytes a row, for a moment while it is sorted three times that."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import numpy as np

from scripts import digests
from scripts.ports import Page
from scripts.records import Rows
from scripts.shards import Shard


class KeySet:
    """A growing set of key ids, kept as sorted runs that are merged when they are of like size (as an LSM tree does)."""

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def __len__(self) -> int:
        return sum(run.size for run in self._runs)

    def contains(self, ids: np.ndarray) -> np.ndarray:
        """A boolean per id."""
        found = np.zeros(ids.size, dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, ids), run.size - 1)
            found |= run[at] == ids
        return found

    def add(self, ids: np.ndarray) -> np.ndarray:
        """Adds these; a boolean per id says that it was there before, or earlier in `ids` itself."""
        _, first = np.unique(ids, return_index=True)
        repeated = np.ones(ids.size, dtype=bool)
        repeated[first] = False
        repeated |= self.contains(ids)
        if not repeated.all():
            self._runs.append(np.sort(ids[~repeated]))
        while len(self._runs) > 1 and self._runs[-1].size * 2 >= self._runs[-2].size:
            newer, older = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate([older, newer])))
        return repeated


class Difference(IntEnum):
    """How a row of the source stands to the row of the same key in the collection."""

    SAME = 0
    NEW = 1
    TEXT = 2
    COLUMNS = 3
    """The text is the same, so the vector can be kept; a stored column changed."""


class Inventory:
    """A collection's keys and content hashes, or a shard's, read once and sorted by key."""

    def __init__(self, pages: Iterable[Page], shard: Shard = Shard()) -> None:
        parts = [_part(page, shard) for page in pages if len(page.keys)]
        if not parts:
            self._ids = self._texts = self._columns = np.empty(0, dtype=np.int64)
            return
        ids, texts, columns = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(ids)
        self._ids, self._texts, self._columns = ids[order], texts[order], columns[order]

    def __len__(self) -> int:
        return self._ids.size

    def compare(self, rows: Rows) -> np.ndarray:
        """A Difference per row: by key first, then by content. Never by content alone, or swapped texts would go unseen."""
        if not len(self):
            return np.full(len(rows), Difference.NEW)
        at = np.minimum(np.searchsorted(self._ids, rows.key_ids), len(self) - 1)
        known = self._ids[at] == rows.key_ids
        return np.select(
            [~known, self._texts[at] != rows.text_hashes, self._columns[at] != rows.column_hashes],
            [Difference.NEW, Difference.TEXT, Difference.COLUMNS],
            Difference.SAME,
        )

    def missing_from(self, seen: KeySet) -> int:
        """How many held keys the pass has not seen."""
        return int((~seen.contains(self._ids)).sum())


def _part(page: Page, shard: Shard) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids = digests.of_keys(page.keys)
    mine = slice(None) if shard.is_all else shard.holds(ids)
    return ids[mine], page.text_hashes[mine], page.column_hashes[mine]
