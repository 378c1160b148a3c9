"""Recall of several answers to the same queries, in one pass over the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.layout import Metric
from scripts.perf.ports import Key
from scripts.quality.exact import TIE, ExactSearch


class Truth(ExactSearch):
    """Exact search for `queries` as rows go by, and the share of it that each of several answers has: `answers[setting][query]` are keys. What is
    right is what ExactSearch calls right, so that of several equal rows any may be found."""

    def __init__(self, queries: np.ndarray, answers: Sequence[Sequence[Sequence[Key]]], metric: Metric, k: int) -> None:
        wanted = [[key for of_setting in answers for key in of_setting[query]] for query in range(len(queries))]
        super().__init__([""] * len(queries), queries, wanted, metric, k)
        self._answers = answers
        self._keys: list[list[Key]] = [[] for _ in queries]

    def add(self, keys: Sequence[int] | Sequence[str], vectors: np.ndarray, lengths: np.ndarray) -> None:
        super().add(keys, vectors, lengths)
        for key in keys:  # in the order in which the scores were kept
            for query in self._wanted.get(key, ()):
                self._keys[query].append(key)

    def shares(self) -> np.ndarray:
        """Float [settings, queries], each of the exact top k. There is at least one query, and at least one row."""
        least = self._best[:, 0] - TIE * self._sizes()
        right = [
            {key for key, score in zip(keys, scores, strict=True) if score >= last}
            for keys, scores, last in zip(self._keys, self._of_answers, least, strict=True)
        ]
        exact = self._best.shape[1]
        return np.array([[min(len(right[query].intersection(found)) / exact, 1.0) for query, found in enumerate(each)] for each in self._answers])
