"""Whose an answer is, by construction: in each pair every text has a direction of its own, drawn with the pair's salt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scripts.ports import Hit
from tests.models.salted import vectors

# Scores are inner products of unit vectors in single precision; those of another pair are off by 0.2 on average.
TOLERANCE = 1e-3


def text(product: int) -> str:
    return f"product number {product}"


@dataclass(frozen=True)
class Recognition:
    """What the pair with this salt answers. A hit is its own where the score is the cosine that its model gives to query and row; the row that
    was asked for must come first, with 1."""

    salt: str
    rows: int

    @cached_property
    def _matrix(self) -> np.ndarray:
        matrix = vectors(self.salt, [text(product) for product in range(1, self.rows + 1)])
        return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)

    def recognises(self, product: int, hits: tuple[Hit, ...]) -> bool:
        if not hits or hits[0].key != product:
            return False
        expected = self._matrix[[int(hit.key) - 1 for hit in hits]] @ self._matrix[product - 1]
        return bool(np.abs(expected - [hit.score for hit in hits]).max() < TOLERANCE)


def asked(rows: int, seed: int) -> Iterator[int]:
    """Products without end, in an order of the client's own."""
    draw = np.random.default_rng(seed)
    while True:
        yield int(draw.integers(1, rows + 1))
