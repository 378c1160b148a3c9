"""A pair on a test's Milvus, made as a build makes it, or with one fault put into it; and its examination."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from scripts import reading
from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.collection import MilvusCollection
from scripts.adapters.sources import open_source
from scripts.catalogue import Entry
from scripts.encoding import Encoder
from scripts.errors import EncodingFailed
from scripts.layout import Column, FieldType, Index, Layout
from scripts.pair import Content, Embedding, Pair
from scripts.ports import Collection
from scripts.quality.examination import Looking, examine
from scripts.quality.facts import IndexFacts
from scripts.records import Rows
from scripts.settings import SourceSettings
from tests.test_pair import NOW, stamp

DIMENSION = 32
FEW, MANY = 300, 1_500
"""Of many rows a server builds an index; few it searches exactly."""
WORDS = "sofa lamp table mirror carpet shelf bench vase clock stool red blue green velvet wooden steel tiny huge antique modern".split()


@dataclass
class Words:
    """A model: the sum of a random direction for each word. Another `seed` is another model; `reads` are the characters that it reads."""

    seed: int = 0
    reads: int = 10_000
    scale: float = 1.0
    prompts: tuple[str | None, str | None] = (None, None)
    fails_on: str = "never"
    batch_size: int = 128

    def encode(self, texts: Sequence[str], prompt: str) -> Any:
        if any(self.fails_on in text for text in texts):
            raise EncodingFailed("The model failed while encoding: out of memory.")
        vectors = np.array([sum(_direction(word, self.seed) for word in (prompt + text)[: self.reads].split()) for text in texts])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * self.scale).astype(np.float32)

    def cut_off(self, texts: Sequence[str], prompt: str) -> list[int]:
        return []

    def declared_prompts(self) -> tuple[str | None, str | None]:
        return self.prompts


@cache
def _direction(word: str, seed: int) -> np.ndarray:
    return np.random.default_rng([zlib.crc32(word.encode()), seed]).normal(size=DIMENSION)


def products(count: int) -> list[dict[str, Any]]:
    """Twelve words each, the last of them the product's own."""
    random = np.random.default_rng(7)
    return [{"id": number, "name": " ".join([*random.choice(WORDS, 11), f"n{number}"]), "price": number} for number in range(count)]


@dataclass
class Bench:
    """Where pairs are made and looked at. `write` first, then `pair`, then `look`."""

    store: MilvusStore
    folder: Path
    model: Any = field(default_factory=Words)
    settings: SourceSettings = SourceSettings(uri="products.jsonl", key="id", text="{name}", columns=("price",), on_bad_row="skip")

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        (self.folder / "products.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    @property
    def encoder(self) -> Encoder:
        return Encoder(self.model, self.embedding)

    @property
    def embedding(self) -> Embedding:
        return Embedding(template=self.settings.text, query_prompt="find ")

    def pair(
        self,
        *,
        name: str = "shop_v2_00000001",
        index: Index | None = None,
        key: FieldType = FieldType.INT64,
        alter: Callable[[Rows, np.ndarray], tuple[Rows, np.ndarray]] = lambda rows, vectors: (rows, vectors),
        meddle: Callable[[MilvusCollection], None] = lambda collection: None,
    ) -> Entry:
        """A pair of what the source has. `alter` changes what is written, and `meddle` has the collection before it is indexed; the stamp does
        not know of either."""
        columns = (Column(name="price", type=FieldType.INT64),)
        layout = Layout(key=Column(name="id", type=key), columns=columns, dimension=DIMENSION, index=index or Index())
        described = stamp(layout=layout, embedding=self.embedding)
        self.store.create(name, layout, described.properties())
        collection = self.store.open(name)
        passed = reading.Reading(open_source(self.settings, self.folder), self.settings, layout)
        rows = Rows.joined(list(passed.rows()))
        vectors = np.empty((len(rows), DIMENSION), dtype=np.float32)
        for encoded in self.encoder.documents(rows.texts, str):
            vectors[encoded.positions] = encoded.vectors
        collection.write(*alter(rows, vectors))
        collection.flush()
        meddle(collection)
        collection.build_index()
        collection.load()
        content = Content(rows=len(rows), fingerprint=passed.fingerprint, skipped=passed.faults.total, read_at=NOW)
        return Entry(Pair.parse(name), described.changed(content=content), (), False)

    def looking(self, **changes: Any) -> Looking:
        random = np.random.default_rng(8)
        texts = [" ".join(random.choice(WORDS, 3, replace=False)) + f" q{number}" for number in range(100)]
        looking = Looking(
            encoder=self.encoder,
            queries=[f"q{number}" for number in range(len(texts))],
            query_vectors=self.encoder.queries(texts),
            source=self.settings,
            open_source=lambda settings: open_source(settings, self.folder),
            configured=self.embedding,
        )
        return replace(looking, **changes)

    def look(self, entry: Entry, collection: Collection | None = None, **changes: Any) -> IndexFacts:
        return examine(entry, collection or self.store.open(entry.pair.collection), self.looking(**changes))
