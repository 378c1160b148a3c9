"""What a pair takes, estimated, and held to what a real server writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scripts import footprint
from scripts.adapters.milvus import MilvusStore
from scripts.footprint import Footprint
from scripts.layout import Column, FieldType, Index, IndexType, Layout
from scripts.pair import Content
from scripts.records import Rows
from tests.test_pair import NOW, stamp


def layout(index: IndexType = IndexType.HNSW, dimension: int = 128) -> Layout:
    return Layout(key=Column(name="id", type=FieldType.INT64), columns=(), dimension=dimension, index=Index(type=index))


def test_an_index_takes_what_its_type_keeps_of_a_vector():
    """HNSW the vector and its links, codes less than vectors, and DiskANN less than codes of a byte a number."""
    memory = {kind: footprint.estimate(layout(kind), 1_000_000).memory for kind in IndexType}
    order = (IndexType.HNSW, IndexType.IVF_FLAT, IndexType.FLAT, IndexType.IVF_SQ8, IndexType.DISKANN, IndexType.IVF_PQ)
    assert sorted(order, key=lambda kind: -memory[kind]) == list(order)
    assert memory[IndexType.AUTOINDEX] > memory[IndexType.HNSW]


def test_rows_are_those_of_the_last_complete_pass():
    """Of all shards that are there; of a build without any nobody knows."""
    part = Content(rows=10, fingerprint="0" * 16, skipped=0, read_at=NOW)
    ten = footprint.estimate(stamp().layout, 10)
    assert footprint.of_stamp(stamp(content=part, shards={"0-of-1": None})) == ten
    assert footprint.of_stamp(stamp(shards={"0-of-3": part, "1-of-3": part, "2-of-3": None})) == footprint.estimate(stamp().layout, 20)
    assert footprint.of_stamp(stamp(shards={"0-of-1": None})) is None


def test_bytes_are_told_as_people_read_them():
    """Two figures are enough for an estimate."""
    told = {0: "0 B", 999: "999 B", 1_500: "1.5 kB", 12_345_678: "12 MB", 1_768_000_000: "1.8 GB", 5 * 10**15: "5000 TB"}
    assert {count: footprint.shown(count) for count in told} == told


def test_what_is_not_freed_is_not_told():
    """A released pair frees memory alone."""
    told = (str(Footprint(2_000, 3_000)), str(Footprint(2_000)), str(Footprint()))
    assert told == ("about 2.0 kB of memory and 3.0 kB of disk", "about 2.0 kB of memory", "nothing")


def test_the_disk_of_a_real_server_grows_by_about_the_estimate(empty_milvus_server):
    """Rows and index, in the files of the server itself (2.3.5)."""
    server, rows = empty_milvus_server, 20_000
    with MilvusStore(server.uri, server.token) as store:
        name = "shop_v1_00000001"
        store.create(name, layout(), stamp(layout=layout()).properties())
        before = written(server.folder)
        collection = store.open(name)
        keys, vectors = list(range(rows)), np.random.default_rng(0).normal(size=(rows, 128)).astype(np.float32)
        hashes = np.random.default_rng(1).integers(0, 2**62, size=rows)
        for start in range(0, rows, 5_000):
            some = slice(start, start + 5_000)
            rows_of = Rows(keys[some], [""] * 5_000, {}, [""] * 5_000, hashes[some], hashes[some], hashes[some])
            collection.write(rows_of, vectors[some])
        collection.flush()
        collection.build_index()
        grown = written(server.folder) - before
    assert 0.8 < grown / footprint.estimate(layout(), rows).disk < 1.25


def written(folder: Path) -> int:
    """The bytes of rows and indexes, without logs and metadata."""
    return sum(file.stat().st_size for part in ("insert_log", "index_files") for file in (folder / "data" / part).rglob("*") if file.is_file())
