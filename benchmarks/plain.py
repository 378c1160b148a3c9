"""A pass over a made-up source with a model that costs nothing: what is left is the kit and Milvus. A child process of `benchmarks.rebuild`.

    python -m benchmarks.plain --rows 20000 --collection memory_v1_00000001

MILVUS_URI and MILVUS_TOKEN say where. Prints what the pass did, its peak memory, and how often each text was encoded (`--journal`).
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click
import numpy as np
import pyarrow
import pyarrow.parquet

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.sources import open_source
from scripts.encoding import Encoder
from scripts.layout import Column, FieldType, Index, IndexType, Layout
from scripts.pair import Build, Embedding, ModelIdentity, Stamp
from scripts.settings import SourceSettings
from scripts.supply import Supply
from scripts.sync import Pass, sync

DIMENSION = 384
FILLER = "a text as long as a product's name and a few words of its description use to be, and some more of it, "


class Model:
    """A vector per text, out of its hash; what it was given can be written down. `pause` seconds a batch make it slow enough to be killed."""

    batch_size = 512

    def __init__(self, journal: TextIO | None = None, pause: float = 0.0) -> None:
        self._journal, self._pause = journal, pause
        self._table = np.random.default_rng(1).standard_normal((1_024, DIMENSION), dtype=np.float32)

    def encode(self, texts: list[str], prompt: str) -> np.ndarray:
        time.sleep(self._pause)
        if self._journal:
            self._journal.writelines(f"{text}\n" for text in texts)
            self._journal.flush()
        return self._table[np.fromiter((hash(text) % 1_024 for text in texts), dtype=np.int64, count=len(texts))]

    def cut_off(self, texts: list[str], prompt: str) -> list[int]:
        return []


def write_source(path: Path, rows: int) -> SourceSettings:
    """`rows` rows of about 215 bytes, a group of 10,000 at a time."""
    schema = pyarrow.schema({"id": pyarrow.int64(), "text": pyarrow.string(), "price": pyarrow.int64()})
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 10_000):
            ids = range(start, min(start + 10_000, rows))
            columns = {"id": list(ids), "text": [f"{FILLER}{FILLER}number {i}" for i in ids], "price": list(ids)}
            writer.write_table(pyarrow.table(columns, schema))
    return SourceSettings(uri=str(path), key="id", text="{text}", columns=("price",))


def stamp() -> Stamp:
    columns = (Column(name="price", type=FieldType.INT64),)
    return Stamp(
        service="benchmark",
        model=ModelIdentity(name="none", version=1, digest=""),
        embedding=Embedding(template="{text}"),
        layout=Layout(key=Column(name="id", type=FieldType.INT64), columns=columns, dimension=DIMENSION, index=Index(type=IndexType.FLAT)),
        source="made up",
        build=Build(id="", created_at=datetime.now(UTC)),
    )


def run(store: MilvusStore, collection: str, settings: SourceSettings, model: Model) -> dict[str, Any]:
    """One pass, into a new collection where there is none yet."""
    if store.properties(collection) is None:
        store.create(collection, stamp().layout, stamp().properties())
    source = open_source(settings, Path("/"))
    report = sync(source, settings, store.open(collection), Supply(lambda: Encoder(model, Embedding(template="{text}"))), Pass())
    return report.facts() | {"peak_mib": _peak_mib()}


def _peak_mib() -> float:
    """Of this program alone: getrusage's figure begins with what the parent had."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


@click.command()
@click.option("--rows", type=int, required=True)
@click.option("--collection", required=True)
@click.option("--journal", type=click.Path(path_type=Path))
@click.option("--pause", type=float, default=0.0)
def main(rows: int, collection: str, journal: Path | None, pause: float) -> None:
    with tempfile.TemporaryDirectory() as folder, MilvusStore(os.environ["MILVUS_URI"], os.environ.get("MILVUS_TOKEN", "")) as store:
        settings = write_source(Path(folder) / "rows.parquet", rows)
        with journal.open("a") if journal else open(os.devnull, "w") as written:
            click.echo(json.dumps(run(store, collection, settings, Model(written, pause))))


if __name__ == "__main__":
    main()
