"""A shop with pairs whose answers tell them apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from scripts import config
from scripts.adapters.milvus import MilvusStore
from scripts.serving import Answer, Backends, PairSearcher
from scripts.serving.model_files import ModelFiles
from scripts.wiring import Wiring
from tests.models.salted import vectors
from tests.shop import Shop, products

NAMES = {row["product_id"]: row["name"] for row in products()}
PATIENCE = 60.0


@dataclass
class Place:
    """Pair `first` is production, made with salt `one`, and pair `second`, with salt `two`, is validated. The model of `gated` does not load, and
    that of `stuck` does not encode, while its gate, a file, is not there.

    A milvus-lite file belongs to who opened it, so its one `store` is everybody's; searchers of a server open their own.
    """

    shop: Shop
    alias: str
    embedded: bool
    first: str = ""
    second: str = ""
    gated: str = ""
    stuck: str = ""
    salts: dict[str, str] = field(default_factory=dict)
    store: MilvusStore = None  # type: ignore[assignment]  # opened when the pairs are made

    @classmethod
    @contextmanager
    def made(cls, shop: Shop, service: str, embedded: bool) -> Iterator[Place]:
        shop.configure(service=service, source={"uri": "products.jsonl", "key": "product_id", "text": "{name}", "columns": ["name", "price_cents"]})
        place = cls(shop, f"{service.replace('-', '_')}_prod", embedded)
        place.open_gates()
        place.first = place._build("one")
        shop.do("validate", "--pair", place.first)
        shop.do("promote", "--pair", place.first)
        place.second = place._build("two")
        shop.do("validate", "--pair", place.second)
        place.gated = place._build("three", load=str(place.load_gate))
        place.stuck = place._build("four", encode=str(place.encode_gate))
        with MilvusStore(shop.milvus_uri, shop.milvus_token) as place.store:
            yield place

    def _build(self, salt: str, load: str = "", encode: str = "") -> str:
        habit = self.shop.folder / f"habit-{salt}"
        habit.write_text("\n".join([salt, load, encode]))
        self.shop.stage("salted", habit=str(habit))
        pair = self.shop.do("build")["pair"]
        self.salts[pair] = salt
        return pair

    @property
    def load_gate(self) -> Path:
        return self.shop.folder / "load.gate"

    @property
    def encode_gate(self) -> Path:
        return self.shop.folder / "encode.gate"

    def open_gates(self) -> None:
        self.load_gate.touch()
        self.encode_gate.touch()

    def switch(self, pair: str) -> None:
        self.store.point(self.alias, pair)

    def kit(self, **environment: str) -> Wiring:
        """The parts of jobs, with this place's one store."""
        kit = Wiring(config.load(self.shop.folder / "promotion.yaml", self.shop.environment | environment))
        kit.__dict__["store"] = self.store
        return kit

    def backends(self, models: Path) -> Backends | None:
        """None for a searcher that opens its own."""
        return Backends(self.store, ModelFiles(self.shop.mlflow_uri), models) if self.embedded else None

    def recognises(self, answer: Answer, product: int) -> bool:
        """Whether these are the very hits that the pair which the answer names has for this product's name, and nobody else's."""
        expected = ranking(self.salts[answer.pair], NAMES[product], len(answer.hits))
        return bool(answer.hits) and [hit.key for hit in answer.hits] == expected


@cache
def ranking(salt: str, text: str, count: int) -> list[int]:
    """The keys that are nearest by cosine, best first."""
    keys, matrix = _index(salt)
    query = _unit(vectors(salt, [text]))[0]
    return [keys[row] for row in np.argsort(-(matrix @ query), kind="stable")[:count]]


@cache
def _index(salt: str) -> tuple[list[int], np.ndarray]:
    return list(NAMES), _unit(vectors(salt, list(NAMES.values())))


def _unit(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def eventually(happens: Callable[[], object]) -> None:
    """Fails where it does not happen within a minute: slow machines may take their time, and nothing is measured."""
    until = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def follows(searcher: PairSearcher, pair: str) -> None:
    eventually(lambda: searcher.pair == pair)
