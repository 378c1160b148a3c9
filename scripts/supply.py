"""Where a row's vector comes from: a place that has it already, or the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from scripts.encoding import Encoded, Encoder
from scripts.errors import Unreachable
from scripts.ports import VectorCache
from scripts.records import Rows


class Donor(Protocol):
    """A collection whose vectors mean the same as those that are wanted."""

    def find(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Of these rows those that it holds with the very same text: ascending positions, and vectors float32 [len(positions), dimension]."""
        ...


class OpenedWhenAsked:
    """Implements VectorCache with one that is opened when a vector is first looked for: to open it is to read the ids of all that it keeps, and a pass
    that changes nothing needs none of them. One that cannot be reached then keeps and has nothing. Nothing is kept before something was looked for."""

    def __init__(self, open_it: Callable[[], VectorCache | None]) -> None:
        self._open = open_it
        self._asked = False
        self._opened: VectorCache | None = None
        self._trouble = ""

    def find(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        if not self._asked:
            self._asked = True
            try:
                self._opened = self._open()
            except Unreachable as error:
                self._trouble = f"The cache was not used: {error}"
        return self._opened.find(texts) if self._opened else (np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32))

    def keep(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        if self._opened:
            self._opened.keep(texts, vectors)

    @property
    def trouble(self) -> str:
        return self._opened.trouble if self._opened else self._trouble

    def close(self) -> None:
        if self._opened:
            self._opened.close()


class Supply:
    """Vectors for rows: from `donors` and then from the cache where they have them, else from the model.

    The model is asked for when the first text has to be encoded: a pass that changes nothing never loads it.
    """

    def __init__(self, load: Callable[[], Encoder], *, donors: Sequence[Donor] = (), cache: VectorCache | None = None) -> None:
        self._load = load
        self._donors = donors
        self._cache = cache

    @cached_property
    def _encoder(self) -> Encoder:
        return self._load()

    def copies(self, rows: Rows, donors: Sequence[Donor]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What need not be encoded, as positions in `rows` and vectors; no position twice. `donors` are asked before this supply's own."""
        missing = np.arange(len(rows))
        for find in [donor.find for donor in (*donors, *self._donors)] + ([self._in_cache] if self._cache else []):
            if not missing.size:
                return
            found, vectors = find(rows.take(missing))
            if found.size:
                yield missing[found], vectors
                missing = np.delete(missing, found)

    def encode(self, rows: Rows) -> Iterator[Encoded]:
        """Vectors of all these rows, some rows at a time; those that the model made are kept in the cache. Raises UnfitModel."""
        for encoded in self._encoder.documents(rows.texts, lambda position: f"key {rows.keys[position]}"):
            if self._cache:
                self._cache.keep([rows.texts[position] for position in encoded.positions], encoded.vectors)
            yield encoded

    def cut_off(self, rows: Rows) -> list[int]:
        """Positions of the rows of whose text the model reads only the beginning."""
        return self._encoder.cut_off(rows.texts)

    def _in_cache(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return self._cache.find(rows.texts)
