"""What one pass over a collection's rows shows."""

from __future__ import annotations

import numpy as np

from scripts import digests
from scripts.inventory import KeySet
from scripts.ports import VectorPage
from scripts.quality.exact import ExactSearch
from scripts.quality.sampling import Sample

# Vectors further than this from length 1 are not meant to be of length 1: single precision alone is a ten-thousandth of it off.
LENGTH_ONE = 0.01


class StoredRows:
    """Pages go by, figures stay: of each key 8 bytes (16 of a string), and a sample of whole rows."""

    def __init__(self, exact: ExactSearch | None, sample: Sample[tuple[int | str, int, np.ndarray]]) -> None:
        self.exact = exact
        self.sample = sample
        """Key, text hash and vector."""
        self.rows = 0
        self.keys = KeySet()
        self.dimension: int | None = None
        self.not_finite = self.zero = self.unlike_one = 0
        self.shortest, self.longest = np.inf, 0.0
        self._digest = 0

    @property
    def fingerprint(self) -> str:
        """As `Content` has it."""
        return f"{self._digest:016x}"

    def add(self, page: VectorPage) -> None:
        ids = digests.of_keys(page.keys)
        self.rows += len(page.keys)
        self.keys.add(ids)
        self._digest = (self._digest + digests.of_rows(ids, page.text_hashes, page.column_hashes)) % 2**64
        self.sample.add(ids, lambda at: (page.keys[at], int(page.text_hashes[at]), page.vectors[at].copy()))
        self.dimension = page.vectors.shape[1]
        self._measure(page)

    def _measure(self, page: VectorPage) -> None:
        exact = page.vectors.astype(np.float64)
        squares = np.einsum("ij,ij->i", exact, exact)  # of finite float32 numbers it is finite
        finite = np.isfinite(squares)
        keys = page.keys
        if not finite.all():
            keys, exact, squares = [keys[at] for at in np.flatnonzero(finite).tolist()], exact[finite], squares[finite]
        lengths = np.sqrt(squares)
        self.not_finite += len(page.keys) - len(keys)
        self.zero += int((lengths == 0).sum())
        self.unlike_one += int((~finite).sum() + (np.abs(lengths - 1) > LENGTH_ONE).sum())
        if len(keys):
            self.shortest, self.longest = min(self.shortest, float(lengths.min())), max(self.longest, float(lengths.max()))
            if self.exact:
                self.exact.add(keys, exact, lengths)

    def parallel(self) -> float:
        """The mean cosine of all pairs of sampled vectors, of those that have a direction; 0 where there is no pair."""
        vectors = np.array([vector for _, _, vector in self.sample.items()], dtype=np.float64)
        if not len(vectors):
            return 0.0
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        usable = (np.isfinite(lengths) & (lengths > 0))[:, 0]
        directions = vectors[usable] / lengths[usable]
        count = len(directions)
        # The squared length of their sum has every pair twice, and each vector with itself.
        return float((np.square(directions.sum(axis=0)).sum() - count) / (count * (count - 1))) if count > 1 else 0.0
