"""A sample of rows that backup and restore both take: what the pair answers to their vectors, and whether a restored one answers as well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scripts import digests
from scripts.backup.manifest import Asked, Key
from scripts.ports import Collection, VectorPage
from scripts.quality.sampling import Sample
from scripts.quality.truth import Truth

ROWS, K = 32, 10
# An index is not built the same way twice: of so much of the exact answer it may find less than the one that was backed up.
SLACK = 0.05
# Single precision, once through a server that may keep lengths apart from directions.
SAME_VECTOR = 1e-5


class SampledRows:
    """Keys and vectors of the rows that chance, seeded by the pair's name, takes: the same ones in every pass over the same rows."""

    def __init__(self, pair: str) -> None:
        self._sample: Sample[tuple[Key, np.ndarray]] = Sample(ROWS, f"backup of {pair}")

    def add(self, page: VectorPage) -> None:
        self._sample.add(digests.of_keys(page.keys), lambda at: (page.keys[at], page.vectors[at].copy()))

    @property
    def keys(self) -> list[Key]:
        return [key for key, _ in self._sample.items()]

    @property
    def vectors(self) -> np.ndarray:
        """Float32 [len(keys), dimension]."""
        return np.array([vector for _, vector in self._sample.items()], dtype=np.float32)

    def ask(self, collection: Collection) -> tuple[Asked, ...]:
        """What this collection, which is loaded, answers to each of them."""
        if not self.keys:
            return ()
        answers = collection.search(self.vectors, K)
        return tuple(Asked(key=key, answers=tuple(hit.key for hit in hits)) for key, hits in zip(self.keys, answers, strict=True))

    def unlike(self, other: SampledRows) -> list[Key]:
        """Keys whose vector is not the same there."""
        there = dict(zip(other.keys, other.vectors, strict=True))

        def is_like(vector: np.ndarray, found: np.ndarray | None) -> bool:
            return found is not None and np.allclose(found, vector, rtol=SAME_VECTOR, atol=SAME_VECTOR * np.abs(vector).max())

        return [key for key, vector in zip(self.keys, self.vectors, strict=True) if not is_like(vector, there.get(key))]


@dataclass(frozen=True)
class Answers:
    """How much of the exact answer a restored collection gives, and the one gave that was backed up: means over so many queries."""

    queries: int
    restored: float
    original: float

    @property
    def are_as_good(self) -> bool:
        return self.restored >= self.original - SLACK


class ReadBack:
    """What one pass over a restored collection shows."""

    def __init__(self, pair: str, truth: Truth | None) -> None:
        """`pair` is the name that was backed up; `truth` is of the restored pair's answers and of the original's."""
        self.rows = 0
        self.sampled = SampledRows(pair)
        self._digest = 0
        self._truth = truth

    def add(self, page: VectorPage) -> None:
        self.rows += len(page.keys)
        self._digest = (self._digest + digests.of_rows(digests.of_keys(page.keys), page.text_hashes, page.column_hashes)) % 2**64
        self.sampled.add(page)
        if self._truth:
            self._truth.add(page.keys, page.vectors)

    @property
    def fingerprint(self) -> str:
        """As `Content` has it."""
        return f"{self._digest:016x}"

    @property
    def answers(self) -> Answers | None:
        if self._truth is None or not self._truth.rows:
            return None
        shares = self._truth.shares()
        restored, original = shares.mean(axis=1).tolist()
        return Answers(shares.shape[1], restored, original)
