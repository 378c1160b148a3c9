"""A sample of rows that backup and restore both take: what the pair answers to their vectors, and whether a restored one answers as well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scripts import digests
from scripts.backup.manifest import Asked, Key
from scripts.ports import Collection, VectorPage
from scripts.quality.exact import ExactSearch
from scripts.quality.facts import Recall
from scripts.quality.sampling import Sample

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
    """How much of the exact answer a restored collection gives, beside the one that was backed up."""

    restored: Recall
    original: Recall

    @property
    def are_as_good(self) -> bool:
        return self.restored.mean >= self.original.mean - SLACK


class Held:
    """What one pass over a restored collection shows."""

    def __init__(self, pair: str, searches: tuple[ExactSearch, ExactSearch] | None) -> None:
        """`pair` is the name that was backed up; `searches` are for the same queries, with the restored pair's answers and with the original's."""
        self.rows = 0
        self.sampled = SampledRows(pair)
        self._digest = 0
        self._searches = searches

    def add(self, page: VectorPage) -> None:
        ids = digests.of_keys(page.keys)
        self.rows += len(page.keys)
        self._digest = (self._digest + digests.of_rows(ids, page.text_hashes, page.column_hashes)) % 2**64
        self.sampled.add(page)
        if self._searches:
            exact = page.vectors.astype(np.float64)
            lengths = np.linalg.norm(exact, axis=1)
            for search in self._searches:
                search.add(page.keys, exact, lengths)

    @property
    def fingerprint(self) -> str:
        """As `Content` has it."""
        return f"{self._digest:016x}"

    @property
    def answers(self) -> Answers | None:
        return Answers(self._searches[0].recall(), self._searches[1].recall()) if self._searches else None
