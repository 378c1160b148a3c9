"""Where each vector of the cache is, at 16 bytes a row, for a moment while it is sorted four times that."""

from __future__ import annotations

import numpy as np

NOWHERE = -1
_ROW_BITS = 32


class Index:
    """From ids (uint64) to places (int64: segment and row), kept as sorted runs that are merged when they are of like size. Never changed
    by a reader: `places` may be called while another thread adds."""

    def __init__(self) -> None:
        self._runs: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    def add(self, ids: np.ndarray, places: np.ndarray) -> None:
        """Of equal ids the one that was added last counts. One thread at a time."""
        runs = [*self._runs, _sorted(ids, places)] if ids.size else [*self._runs]
        while len(runs) > 1 and runs[-1][0].size * 2 >= runs[-2][0].size:
            (newer, its), (older, theirs) = runs.pop(), runs.pop()
            runs.append(_sorted(np.concatenate([older, newer]), np.concatenate([theirs, its])))
        self._runs = tuple(runs)

    def places(self, ids: np.ndarray) -> np.ndarray:
        """A place for each id, or NOWHERE."""
        found = np.full(ids.size, NOWHERE, dtype=np.int64)
        for known, places in self._runs:
            at = np.maximum(np.searchsorted(known, ids, side="right") - 1, 0)
            found = np.where(known[at] == ids, places[at], found)
        return found


def place(segment: int, rows: np.ndarray) -> np.ndarray:
    return (segment << _ROW_BITS) + rows.astype(np.int64)


def segment_of(places: np.ndarray) -> np.ndarray:
    """NOWHERE stays below 0."""
    return places >> _ROW_BITS


def row_of(places: np.ndarray) -> np.ndarray:
    return places & ((1 << _ROW_BITS) - 1)


def _sorted(ids: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(ids, kind="stable")  # among equal ones the last added stays last
    return ids[order], places[order]
