"""Recall of several answers to the same queries, in one pass over the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.layout import Metric
from scripts.quality.exact import ExactSearch

# Scores that are held at once, 8 bytes each: thousands of queries take no more memory than hundreds.
_HELD = 4_000_000


class Truth:
    """Exact search for `queries` as pages go by, and the share of it that each of several answers has: `answers[setting][query]` are keys. What is
    right is what ExactSearch calls right, so that of several equal rows any may be found.

    Vectors that hold NaN or infinity are near to nothing: they are left out, and counted.
    """

    def __init__(self, queries: np.ndarray, answers: Sequence[Sequence[Sequence[int | str]]], metric: Metric, k: int) -> None:
        wanted = [[key for of_setting in answers for key in of_setting[query]] for query in range(len(queries))]
        self.not_finite = 0
        self._answers = answers
        self._step = max(k, _HELD // len(queries))
        self._exact = ExactSearch([""] * len(queries), queries, wanted, metric, k)

    @property
    def rows(self) -> int:
        """That were searched."""
        return self._exact.rows

    def add(self, keys: Sequence[int] | Sequence[str], vectors: np.ndarray) -> None:
        """`vectors` float32 [len(keys), dimension]."""
        for start in range(0, len(keys), self._step):
            some, exact = keys[start : start + self._step], vectors[start : start + self._step].astype(np.float64)
            finite = np.isfinite(exact).all(axis=1)
            if not finite.all():
                some, exact = [some[at] for at in np.flatnonzero(finite).tolist()], exact[finite]
                self.not_finite += int(len(finite) - finite.sum())
            if len(some):
                self._exact.add(some, exact, np.linalg.norm(exact, axis=1))

    def shares(self) -> np.ndarray:
        """Float [settings, queries], each of the exact top k. There is at least one query, and at least one row."""
        right, depth = self._exact.right(), self._exact.depth
        return np.array([[min(len(keys.intersection(found)) / depth, 1.0) for keys, found in zip(right, each, strict=True)] for each in self._answers])
