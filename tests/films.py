"""A service of films with human judgments, for tests of the gate: real texts, 300 real queries, and models that are trained in a second."""

from __future__ import annotations

import atexit
import csv
import gzip
import json
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import yaml
from mlflow.models.model import ModelInfo

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.collection import MilvusCollection
from scripts.adapters.sources import open_source
from scripts.demo import models
from scripts.demo.models import Recipe
from scripts.pair import Stamp
from scripts.records import Faults, RowCleaner, Rows
from scripts.settings import SourceSettings
from tests.conftest import ROOT
from tests.shop import MODELS, Shop

DATA = ROOT.parent / "shared" / "data" / "movies"
FILMS = 3_000
TEXT = "{title}. {overview}"
DIMENSION = 96
GOOD = Recipe("films", dimension=DIMENSION, dampen_repeats=True)
OTHER = replace(GOOD, name="films-by-phrases", phrase_length=2, commonest=0.1)
SUITE = {
    "measures": ["nDCG@10", "RR@10"],
    "gates": [{"gate": "floor", "measure": "nDCG@10", "at_least": 0.1}, {"gate": "max_loss", "measure": "nDCG@10", "at_most": 0.02}],
    "title": "title",
}


@cache
def films() -> list[dict[str, Any]]:
    """The judged films first, then others up to FILMS."""
    with (DATA / "judgments.csv").open(newline="") as file:
        judged = {row["doc_id"] for row in csv.DictReader(file)}
    with gzip.open(DATA / "movies.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = [{name: row[name] for name in ("id", "title", "overview", "year")} for row in rows]
    rows.sort(key=lambda row: row["id"] not in judged)
    return rows[: max(FILMS, len(judged))]


@cache
def trained(recipe: Recipe) -> Path:
    """The artifacts of a model, trained on the films' texts."""
    folder = Path(tempfile.mkdtemp(prefix="films-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return models.train([text_of(row) for row in films()], recipe, folder)


@cache
def logged(mlflow_uri: str, recipe: Recipe, twist: str) -> ModelInfo:
    """A model, logged once per server: a version of it is then made in no time."""
    made = trained(recipe)
    mlflow.set_tracking_uri(mlflow_uri)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run():
        words = Path(folder) / models.WORDS
        words.write_text(json.dumps(json.loads((made / models.WORDS).read_text()) | {"twist": twist}))
        artifacts = {"words": str(words), "matrices": str(made / models.MATRICES)}
        return mlflow.pyfunc.log_model(name="films", python_model=str(MODELS / "films.py"), artifacts=artifacts, pip_requirements=["mlflow"])


def text_of(row: dict[str, Any]) -> str:
    return f"{row['title']}. {row['overview']}".strip()


@dataclass
class Films(Shop):
    """`configure` and the rest are the shop's; `stage` takes a recipe and a twist of tests/models/films.py."""

    index: dict[str, Any] = field(default_factory=lambda: {"search": {"ef": 200}})

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.write_products(films())
        self.write_films_suite()
        self.configure()

    def configure(self, **changes: Any) -> None:
        settings = {
            "source": {"uri": "products.jsonl", "key": "id", "text": TEXT, "columns": ["title", "year"], "types": {"id": "int64"}},
            "index": self.index,
            # A pair that passed is kept for as long as somebody may approve it; here nobody does, and dozens would fill memory.
            "promotion": {"approval_max_age_days": 0.0005},
        }
        super().configure(**settings | changes)

    def write_films_suite(self, **changes: Any) -> None:
        folder = self.folder / "golden"
        folder.mkdir(exist_ok=True)
        (folder / "suite.yaml").write_text(yaml.safe_dump(SUITE | changes))
        for name in ("queries.csv", "judgments.csv"):
            (folder / name).write_bytes((DATA / name).read_bytes())

    def stage(self, recipe: Recipe = GOOD, twist: str = "") -> int:
        return self.stage_version(logged(self.mlflow_uri, recipe, twist))

    def build(self, recipe: Recipe = GOOD, twist: str = "") -> str:
        self.stage(recipe, twist)
        return self.do("build")["pair"]

    def promote(self, recipe: Recipe = GOOD, twist: str = "") -> str:
        pair = self.build(recipe, twist)
        self.do("validate", "--pair", pair)
        self.do("promote", "--pair", pair)
        return pair


class Tampering:
    """A built pair's collection, open to be spoiled behind the kit's back."""

    def __init__(self, shop: Films, pair: str) -> None:
        self._shop, self.pair = shop, pair

    def __enter__(self) -> Tampering:
        self._store = MilvusStore(self._shop.milvus_uri, self._shop.milvus_token)
        self._store.__enter__()
        self.collection: MilvusCollection = self._store.open(self.pair)
        self.stamp = Stamp.read(self.pair, self._store.properties(self.pair) or {})
        return self

    def __exit__(self, *failure: Any) -> None:
        self.collection.flush()
        self._store.__exit__(*failure)

    def rows(self) -> Rows:
        """What the pair was built of, in the source's order."""
        settings = SourceSettings(uri=str(self._shop.folder / "products.jsonl"), key="id", text=TEXT, columns=("title", "year"))
        source = open_source(settings, self._shop.folder, None)
        cleaner = RowCleaner(settings, self.collection.layout.key, self.collection.layout.columns, Faults(settings))
        return Rows.joined([cleaner.clean(raw) for raw in source.read()])

    def vectors(self) -> np.ndarray:
        """What is stored, in the order of `rows`."""
        rows = self.rows()
        positions, vectors = self.collection.find(rows)
        assert len(positions) == len(rows)
        return vectors

    def write(self, vectors: np.ndarray, at: np.ndarray | None = None) -> None:
        """Other vectors for the same rows, or for those at these positions."""
        rows = self.rows()
        positions = np.arange(len(rows)) if at is None else at
        self.collection.write(rows.take(positions), vectors[positions] if len(vectors) == len(rows) else vectors)
