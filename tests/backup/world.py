"""Pairs with every type of column, made without a model, and where they are backed up to."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from scripts import config, digests
from scripts.adapters.backup_files import BackupFiles, open_folder
from scripts.layout import Column, FieldType, Index, Layout, Metric
from scripts.pair import Build, Content, Embedding, ModelIdentity, Pair, Stamp, State
from scripts.records import Rows
from scripts.shards import Shard
from scripts.wiring import Wiring

SERVICE, BUILD = "small-shop", "one"
PAIR = Pair.of(SERVICE, 3, BUILD).collection
OTHER = Pair.of(SERVICE, 3, "two").collection
# More than 1,024, so that the real server builds an index.
ROWS, DIMENSION = 1_200, 16
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = {
    "name": FieldType.STRING,
    "price": FieldType.INT64,
    "weight": FieldType.DOUBLE,
    "sold": FieldType.BOOL,
    "sizes": FieldType.INT64S,
    "ratios": FieldType.DOUBLES,
    "tags": FieldType.STRINGS,
    "extra": FieldType.JSON,
}


def layout(dimension: int = DIMENSION) -> Layout:
    columns = tuple(Column(name=name, type=kind) for name, kind in COLUMNS.items())
    index = Index(metric=Metric.L2, search={"ef": 128})
    return Layout(key=Column(name="id", type=FieldType.STRING), columns=columns, dimension=dimension, index=index)


def rows(count: int = ROWS) -> Rows:
    """Keys with quotes and letters of several lengths, and a value of each type that is hard to carry."""
    keys = [f'{"ÄZa"[i % 3]}{i:05d}"\\x' for i in range(count)]
    texts = [f"text {i}" for i in range(count)]
    columns: dict[str, list[Any]] = {
        "name": [f"näme {i}" * (1 + i % 3) if i % 7 else "" for i in range(count)],
        "price": [(-1) ** i * (2**62 + i) for i in range(count)],
        "weight": [i / 3 for i in range(count)],
        "sold": [i % 2 == 0 for i in range(count)],
        "sizes": [list(range(i % 4)) for i in range(count)],
        "ratios": [[i / 7] * (i % 3) for i in range(count)],
        "tags": [["a", 'b"\\', "ü"][: i % 4] for i in range(count)],
        "extra": [{"i": i, "list": [1, None, "ß"], "deep": {"x": 0.1}} if i % 5 else {} for i in range(count)],
    }
    return Rows(keys, texts, columns, [""] * count, digests.of_keys(keys), digests.of_texts(texts), digests.of_texts(columns["name"]))


def vectors(count: int = ROWS, dimension: int = DIMENSION) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(count, dimension)).astype(np.float32) * 3


def content(of: Rows) -> Content:
    found = digests.of_rows(of.key_ids, of.text_hashes, of.column_hashes)
    return Content(rows=len(of), fingerprint=f"{found:016x}", skipped=0, read_at=BEGAN)


def stamp(count: int = ROWS, **changes: Any) -> Stamp:
    """Of a validated pair with a past."""
    held = content(rows(count))
    blank = Stamp(
        service=SERVICE,
        model=ModelIdentity(name="embedder", version=3, digest="ab" * 32),
        embedding=Embedding(template="{name}"),
        layout=layout(),
        source="products.csv",
        build=Build(id=BUILD, created_at=BEGAN, url="https://ci.example/1"),
        state=State.VALIDATED,
        shards={str(Shard()): held},
        content=held,
        verdict="pass",
        evidence="https://ci.example/evidence",
        evidence_digest="cd" * 32,
        replaces="small_shop_v2_00000000",
    )
    return blank.changed(**changes)


@contextlib.contextmanager
def opened(folder: Path, uri: str, token: str = "") -> Iterator[Wiring]:
    """The kit with this Milvus. A milvus-lite file is closed at the end."""
    folder.mkdir(exist_ok=True)
    file = folder / "promotion.yaml"
    file.write_text(f"service: {SERVICE}\nmodel: {{name: embedder}}\nsource: {{uri: products.csv, key: id, text: '{{name}}'}}\ngolden: golden\n")
    with Wiring(config.load(file, {"MILVUS_URI": uri, "MILVUS_TOKEN": token})) as kit:
        yield kit


def build(kit: Wiring, name: str = PAIR, of: Stamp | None = None, count: int = ROWS) -> None:
    """A pair, filled and ready."""
    kit.store.create(name, layout(), (of or stamp(count)).properties())
    collection = kit.store.open(name)
    collection.write(rows(count), vectors(count))
    for step in (collection.flush, collection.build_index, collection.load):
        step()


@contextlib.contextmanager
def built(path: Path, like: Path) -> Iterator[Wiring]:
    """The kit with a copy of the pair that `like` holds, as `a_pair` left it: copying is faster than building."""
    shutil.copytree(like, path / "milvus.db")
    with opened(path / "kit", str(path / "milvus.db")) as kit:
        kit.store.open(PAIR).load()
        yield kit


def a_pair(path: Path, count: int = ROWS) -> Path:
    """A milvus-lite file with a pair, for `built`."""
    with opened(path / "kit", str(path / "milvus.db")) as kit:
        build(kit, count=count)
    return path / "milvus.db"


def held(kit: Wiring, name: str = PAIR) -> dict[str, tuple[Any, ...]]:
    """Every stored row by its key, down to the last bit of its vector."""
    found = {}
    for page in kit.store.open(name).whole():
        for at, key in enumerate(page.keys):
            values = {column: page.columns[column][at] for column in COLUMNS}
            found[key] = (values, int(page.text_hashes[at]), int(page.column_hashes[at]), page.vectors[at].tobytes())
    return found


def folder(path: Path) -> BackupFiles:
    return open_folder(str(path), path.parent)
