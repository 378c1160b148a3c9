"""Exact search over vectors that are streamed past, and how much of its answer an index gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.layout import Metric
from scripts.quality.facts import Recall

# Relative to the size of what is summed. A server computes in single precision, so what lies as near as this it may order either way.
TIE = 1e-6
# A distance is the difference of squares here, so near 0 it is exact to some 1e-16 of those, not of itself: with TIE 100 times as much.
_CANCELLED = 1e-8


class ExactSearch:
    """The scores of the `k` nearest vectors for each query, in double precision, and those of what an index answered, as pages go by.

    `names` are the queries' ids, `queries` float32 [queries, dimension], `answers` the keys that the index gave for each. Only scores are kept:
    a hit is right when its score is as good as the last of the exact ones, whichever of several equal rows it is.
    """

    def __init__(self, names: Sequence[str], queries: np.ndarray, answers: Sequence[Sequence[int | str]], metric: Metric, k: int) -> None:
        self.rows = 0
        self._names = names
        self._k = k
        self._metric = metric
        self._queries = queries.astype(np.float64)
        self._lengths = np.linalg.norm(self._queries, axis=1)
        if metric is Metric.COSINE:
            self._queries /= self._lengths[:, None]
        self._best = np.empty((len(queries), 0))
        self._wanted: dict[int | str, list[int]] = {}
        for query, keys in enumerate(answers):
            for key in dict.fromkeys(keys):
                self._wanted.setdefault(key, []).append(query)
        self._of_answers: list[list[tuple[int | str, float]]] = [[] for _ in answers]

    def add(self, keys: Sequence[int] | Sequence[str], vectors: np.ndarray, lengths: np.ndarray) -> None:
        """`vectors` float64 [len(keys), dimension], all of them finite, and their lengths."""
        self.rows += len(keys)
        scores = self._scores(vectors, lengths)
        for position, key in enumerate(keys):
            for query in self._wanted.get(key, ()):
                self._of_answers[query].append((key, float(scores[query, position])))
        if scores.shape[1] > self._k:
            scores = np.partition(scores, scores.shape[1] - self._k, axis=1)[:, -self._k :]
        together = np.concatenate([self._best, scores], axis=1)
        self._best = np.sort(together, axis=1)[:, -self._k :]

    @property
    def depth(self) -> int:
        """How many hits an exact answer has: `k`, or all rows where there are fewer."""
        return self._best.shape[1]

    def right(self) -> list[set[int | str]]:
        """The keys of each answer that are right. There is at least one vector."""
        least = self._best[:, 0] - TIE * self._sizes()
        return [{key for key, score in scored if score >= last} for last, scored in zip(least, self._of_answers, strict=True)]

    def recall(self) -> Recall:
        """Over all queries; there is at least one, and at least one vector."""
        shares = [min(len(keys) / self.depth, 1.0) for keys in self.right()]
        worst = int(np.argmin(shares))
        name = self._names[worst] if shares[worst] < 1 else ""
        return Recall(k=self._k, queries=len(shares), mean=float(np.mean(shares)), worst=shares[worst], worst_query=name)

    def _sizes(self) -> np.ndarray:
        """What a query's last score is large or small against: a sum of squares is its own measure until it is all but 0, a product may be small by
        cancellation."""
        last = np.abs(self._best[:, 0])
        if self._metric is Metric.COSINE:
            return np.ones_like(last)
        return np.maximum(last, _CANCELLED * self._lengths**2 if self._metric is Metric.L2 else self._lengths)

    def _scores(self, vectors: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """[queries, rows], the larger the nearer."""
        products = self._queries @ vectors.T
        if self._metric is Metric.COSINE:
            return products / np.where(lengths > 0, lengths, 1.0)
        if self._metric is Metric.L2:
            return 2 * products - lengths**2 - self._lengths[:, None] ** 2
        return products
