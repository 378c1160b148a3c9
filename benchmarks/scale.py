"""Works out a build of 100 million rows from rates measured here and now.

    python -m benchmarks.scale --out docs/scale.md

Starts a Milvus 2.3.5 of its own; a few minutes. `--texts-per-second` is your model on your GPU: nobody else can measure that.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np

from benchmarks import plain
from benchmarks.icecat import MILVUS_WHEEL
from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.collection import MilvusCollection
from scripts.adapters.sources import open_source
from scripts.capacity.needs import Shape, need
from scripts.inventory import Inventory
from scripts.layout import Index, IndexType, Layout
from scripts.records import Faults, RowCleaner
from scripts.settings import SourceSettings
from scripts.shards import Shard
from tests.servers import MilvusServer

ROWS = 100_000_000
DIMENSION = 768
COLUMN_BYTES = 200
SMALL = 100_000


@dataclass(frozen=True)
class Rates:
    """Rows a second of one process."""

    reading: float
    """Rows of one's own: read, cleaned, hashed."""
    passing: float
    """Rows of other shards: read, key hashed, left."""
    writing: float
    importing: float
    """By files that the server reads itself, until all of them are in."""
    scanning: float


def measure(wheel: Path) -> Rates:
    with tempfile.TemporaryDirectory() as name:
        settings = plain.write_source(Path(name) / "rows.parquet", SMALL)
        layout = plain.stamp().layout.model_copy(update={"dimension": DIMENSION})
        own, others = (_reading(settings, layout, shard) for shard in (Shard(), Shard(0, 1_000)))
        with MilvusServer(Path(name) / "milvus", wheel, fsync=True) as milvus, MilvusStore(milvus.uri, milvus.token) as store:
            writing, importing, scanning = _milvus(store, settings, layout, Path(name) / "bulk")
    return Rates(own, others, writing, importing, scanning)


def _reading(settings: SourceSettings, layout: Layout, shard: Shard) -> float:
    cleaner = RowCleaner(settings, layout.key, layout.columns, Faults(settings), shard)
    began = time.perf_counter()
    for raw in open_source(settings, Path("/")).read():
        cleaner.clean(raw)
    return SMALL / (time.perf_counter() - began)


def _milvus(store: MilvusStore, settings: SourceSettings, layout: Layout, folder: Path) -> tuple[float, float, float]:
    """Rates of writing, of bulk import and of reading keys and hashes."""
    collection, other = (_made(store, f"scale_v1_{number:08x}", layout) for number in (1, 2))
    cleaner = RowCleaner(settings, layout.key, layout.columns, Faults(settings))
    pieces = [cleaner.clean(raw) for raw in open_source(settings, Path("/")).read()]
    vectors = np.random.default_rng(1).standard_normal((len(pieces[0]), DIMENSION), dtype=np.float32)
    began = time.perf_counter()
    with ThreadPoolExecutor(collection.writes_in_flight) as pool:
        list(pool.map(lambda piece: collection.write(piece, vectors[: len(piece)]), pieces))
    writing = SMALL / (time.perf_counter() - began)
    folder.mkdir()
    began = time.perf_counter()
    importer = other.importer(str(folder), Path("/"), str(folder))
    for piece in pieces:
        importer.add(piece, vectors[: len(piece)])
    importer.close()
    importing = SMALL / (time.perf_counter() - began)
    collection.flush()
    collection.build_index()
    collection.load()
    began = time.perf_counter()
    held = Inventory(collection.contents())
    scanning = len(held) / (time.perf_counter() - began)
    return writing, importing, scanning


def _made(store: MilvusStore, name: str, layout: Layout) -> MilvusCollection:
    store.create(name, layout, plain.stamp().changed(layout=layout).properties())
    return store.open(name)


def page(rates: Rates, texts_per_second: float, options: str) -> str:
    hnsw, sq8 = (need(Shape(DIMENSION, Index(type=kind), COLUMN_BYTES), ROWS) for kind in (IndexType.HNSW, IndexType.IVF_SQ8))
    rows = []
    for actors in (1, 8, 32):
        share = ROWS / actors
        reading = share / rates.reading + (ROWS - share) / rates.passing
        encoding, writing = share / texts_per_second, ROWS / rates.writing
        rows.append(
            f"| {actors} | {_hours(reading)} | {_hours(encoding)} | {_hours(writing)} | **{_hours(max(reading, encoding, writing))}** "
            f"| {share * 8 / 2**20:,.0f} MiB; when resumed {share * (8 + 24 * 3) / 2**20:,.0f} MiB |"
        )
    return PAGE.format(
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        options=options,
        cpus=os.cpu_count(),
        python=platform.python_version(),
        reading=rates.reading,
        passing=rates.passing,
        writing=rates.writing,
        importing=rates.importing,
        all_imported=_hours(ROWS / rates.importing),
        scanning=rates.scanning,
        texts=texts_per_second,
        table="\n".join(rows),
        vectors=hnsw.vectors / 1e9,
        graph=hnsw.index.stored / 1e9,
        columns=hnsw.stored_scalars / 1e9,
        loaded=hnsw.memory / 1e9,
        both=2 * hnsw.memory / 1e9,
        sq8=sq8.memory / 1e9,
        catch_up=_hours(ROWS / rates.reading),
        scan=_hours(ROWS / rates.scanning),
        copying=_hours(ROWS / rates.writing),
        string_keys=ROWS * 16 / 2**20,
        cache=ROWS * (DIMENSION * 4 + 28) / 1e9,
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


PAGE = """\
# 100 million rows of 768 dimensions

Worked out {day} from rates that

    python -m benchmarks.scale {options}

measured on {cpus} CPU cores with Milvus 2.3.5 on the same machine (Python {python}). Divide by your own rates; the formulas stay.

| one process | rows/s |
|---|---|
| reads, cleans and hashes rows of its own (Parquet, 215 bytes) | {reading:,.0f} |
| passes over rows of other shards (each shard reads the whole source) | {passing:,.0f} |
| writes vectors of 768 dimensions that are at hand, all writes in flight, one Milvus | {writing:,.0f} |
| hands the same rows over as files and waits until Milvus has imported them (`--writer bulk`, local disk) | {importing:,.0f} |
| reads keys and hashes of what a collection holds | {scanning:,.0f} |
| encodes: **assumed**, `--texts-per-second`, your model on your GPU | {texts:,.0f} |

## The build

The three overlap, so the longest of them is the build; index and load come after it. With `--shard I/N` or `--engine ray` every actor encodes its
share of the keys, all write to one Milvus. Writing is what one Milvus on this small machine took; a cluster takes more with each data node.

| actors | reading, each | encoding, each | writing, all | the pass | memory for keys, each |
|---|---|---|---|---|---|
{table}

Beside keys a process holds its model, a window of 4,096 texts and a few pieces of the source, whatever the number of rows. String keys take 16 bytes
instead of 8 ({string_keys:,.0f} MiB for all in one process). With Ray take about four shards per actor: the loss of a node then costs a quarter of an
actor's work at most, and only texts that were not written yet are encoded again. More shards than that are waste, because each of them reads the
whole source.

With `--writer bulk` the rows go as files to the storage that Milvus reads itself; at the rate above all of them take {all_imported}, on a server of this
size. It spares a cluster its log and the network, so look at it where writing is the longest. When encoding is, which is the usual case, add actors.

## What it occupies

| | |
|---|---|
| vectors, float32 | {vectors:,.0f} GB on storage |
| an index of type HNSW, M 16, which has the vectors once more | {graph:,.0f} GB on storage |
| keys, hashes and 200 bytes of columns | {columns:,.0f} GB on storage |
| loaded with HNSW | {loaded:,.0f} GB of memory; **{both:,.0f} GB while two pairs are loaded side by side**, of which Milvus uses at most 90% |
| loaded with IVF_SQ8 | {sq8:,.0f} GB of memory; DISKANN: a fraction, and fast disks |
| an embedding cache that holds all of it | {cache:,.0f} GB |

By the formula of `capacity` ([capacity.md](capacity.md)). The two pairs side by side are the price of a rollback in milliseconds. Where memory for both is not to be had, use an index that takes less.

## Afterwards

| | one process |
|---|---|
| a catch-up in which nothing changed: read the collection ({scan}), and the source meanwhile ({catch_up}) | the longer of the two |
| a delta build of which 1% changed: vectors are copied at the rate of writing | {copying}, and 1% of the encoding |
| a build after a change of index or schema, with the cache | the same |
"""


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--texts-per-second", type=float, default=2_000.0, show_default=True)
@click.option("--wheel", type=click.Path(path_type=Path), default=MILVUS_WHEEL)
@click.option("--out", type=click.Path(path_type=Path))
def main(texts_per_second: float, wheel: Path, out: Path | None) -> None:
    options = "" if texts_per_second == 2_000 else f"--texts-per-second {texts_per_second:g} "
    written = page(measure(wheel), texts_per_second, f"{options}--out docs/scale.md")
    click.echo(written)
    if out:
        out.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
