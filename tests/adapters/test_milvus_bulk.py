"""Bulk import: the same content as writing row by row, whatever happens in between."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusException
from pymilvus.client.types import Status

from scripts.adapters.milvus import MilvusStore
from scripts.errors import Refused, UsageError
from scripts.layout import VECTOR, FieldType
from tests.adapters.test_milvus import NAME, OTHER, layout, made, ready, rows, vectors
from tests.adapters.test_milvus_raw import EVERY_TYPE, own_server  # noqa: F401 - a fixture
from tests.servers import MilvusServer
from tests.stored import stored_vectors


@pytest.fixture(autouse=True)
def every_row_is_imported(monkeypatch):
    monkeypatch.setattr("scripts.adapters.milvus.bulk.SMALLEST_FILE_ROWS", 1)


@pytest.fixture
def store(empty_milvus_server):
    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as opened:
        yield opened


def importer(collection, folder: Path):
    folder.mkdir(exist_ok=True)
    return collection.importer(str(folder), Path("/"), str(folder))


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_imported_rows_are_the_rows_that_would_have_been_written(store, tmp_path):
    """Every type of column, with string and number keys; also numbers that the server's import refuses."""
    columns = {name: (kind, list(values)) for name, (kind, values) in EVERY_TYPE.items()}
    columns["price"] = (FieldType.DOUBLE, [1.5, float("nan"), float("inf")])
    columns["weights"] = (FieldType.DOUBLES, [[0.5], [], [2.0, float("nan")]])
    columns["extra"] = (FieldType.JSON, [{"a": {"b": [1, None, "ü"]}}, {"big": 2**53 + 1}, {"x": 1.5, "y": True}])
    for key, keys in ((FieldType.INT64, [3, 1, 2]), (FieldType.STRING, ["b'", "ä", '"'])):
        described = layout(key, [(name, kind) for name, (kind, _) in columns.items()])
        batch, found = rows(keys, {name: values for name, (_, values) in columns.items()}), []
        for name in (NAME, OTHER):
            collection = made(store, name, described)
            if name == NAME:
                collection.write(batch, vectors(3))
            else:
                bulk = importer(collection, tmp_path / "bulk")
                bulk.add(batch, vectors(3))
                bulk.close()
            ready(collection)
            answer = store._milvus.call("query", name, filter="", limit=10, output_fields=["*", VECTOR], consistency_level="Strong")
            found.append(sorted(repr(sorted((field, str(value)) for field, value in row.items())) for row in answer))
            assert collection.count() == 3
            store.drop(name) if name == OTHER else None
        store.drop(NAME)
        assert found[0] == found[1]


def test_many_rows_in_several_files_from_several_threads(store, tmp_path, monkeypatch):
    """Each there once, with its own vector; and no file is left."""
    monkeypatch.setattr("scripts.adapters.milvus.bulk.FILE_BYTES", 100_000)
    collection = made(store, described=layout(columns=[("name", FieldType.STRING)]))
    bulk = importer(collection, tmp_path / "bulk")

    def add(start: int) -> None:
        keys = range(start, start + 1_000)
        bulk.add(rows(keys, {"name": [f"n{key}" for key in keys]}), vectors(1_000, start))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(0, 20_000, 1_000)))
    bulk.close()
    assert left(tmp_path / "bulk") == []
    pages = list(collection.contents())
    assert [key for page in pages for key in page.keys] == list(range(20_000))
    assert np.array_equal(np.concatenate([page.text_hashes for page in pages]), rows(range(20_000)).text_hashes)
    assert collection.count() == 20_000
    assert np.array_equal(stored_vectors(collection, range(7_000, 8_000)), vectors(1_000, 7_000))
    (hit,) = collection.search(vectors(1_000, 7_000)[5:6], 1, fields=["name"])[0]
    assert (hit.key, hit.fields) == (7_005, {"name": "n7005"})


def test_a_loaded_collection_serves_what_was_imported(store, tmp_path):
    """When `close` returns, although the server indexes and loads it only then."""
    collection = made(store)
    collection.write(rows(range(2_000)), vectors(2_000))
    ready(collection)
    bulk = importer(collection, tmp_path / "bulk")
    bulk.add(rows(range(2_000, 5_000)), vectors(3_000, 1))
    bulk.close()
    assert collection.count() == 5_000
    assert [key for page in collection.contents() for key in page.keys] == list(range(5_000))


def test_nothing_to_import_is_no_work(store, tmp_path):
    """An importer that was given nothing leaves nothing."""
    collection = made(store)
    importer(collection, tmp_path / "bulk").close()
    assert left(tmp_path / "bulk") == []
    assert list(collection.contents()) == []


def test_what_a_dead_run_handed_over_is_waited_for(store, tmp_path, monkeypatch):
    """So that the next one, which reads the collection after it has opened its importer, does not hand it over again."""
    monkeypatch.setattr("scripts.adapters.milvus.bulk.FILE_BYTES", 1)
    collection = made(store)
    for start in range(0, 6_000, 2_000):
        importer(collection, tmp_path / "bulk").add(rows(range(start, start + 2_000)), vectors(2_000))  # and dies
        assert len(left(tmp_path / "bulk")) == 1
    importer(collection, tmp_path / "bulk").close()
    assert left(tmp_path / "bulk") == []
    assert [key for page in collection.contents() for key in page.keys] == list(range(6_000))


def test_a_lost_answer_imports_nothing_twice(store, tmp_path):
    """The server has begun, and we never heard of it."""
    collection = made(store)
    bulk = importer(collection, tmp_path / "bulk")
    bulk.add(rows(range(100)), vectors(100))
    truly = bulk._wire.start_import

    def lose_the_first(*args):
        truly(*args)
        bulk._wire.start_import = truly
        raise MilvusException(code=Status.CONNECT_FAILED, message="lost")

    bulk._wire.start_import = lose_the_first
    bulk.close()
    assert [key for page in collection.contents() for key in page.keys] == list(range(100))
    assert collection.count() == 100


def test_a_file_that_cannot_be_imported_is_told_with_the_servers_reason(store, tmp_path):
    """And is not left behind."""
    bulk = importer(made(store), tmp_path / "bulk")
    (tmp_path / "bulk" / NAME / "broken.parquet").write_bytes(b"PAR1 no PAR1")
    bulk._rows["broken.parquet"] = 1
    bulk._tasks["broken.parquet"] = bulk._submit("broken.parquet")
    with pytest.raises(Refused, match="could not import .*broken.parquet"):
        bulk.close()
    assert left(tmp_path / "bulk") == []


def test_a_folder_that_the_server_does_not_see_is_told_before_any_work(store, tmp_path):
    """With what the prefix should be."""
    collection = made(store)
    with pytest.raises(UsageError, match="prefix is that folder as the server names it"):
        collection.importer(str(tmp_path), Path("/"), "/nowhere")


def test_milvus_lite_refuses(tmp_path):
    """In one line, before a folder is made."""
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        with pytest.raises(UsageError, match="milvus-lite has no bulk import"):
            made(store).importer(str(tmp_path / "bulk"), Path("/"), "/bulk")
    assert not (tmp_path / "bulk").exists()


def test_a_server_killed_during_an_import_leaves_no_row_twice(own_server: MilvusServer, tmp_path):  # noqa: F811
    """The server gives up what it was at (2.3.5); it is handed over again."""
    with MilvusStore(own_server.uri, own_server.token) as store:
        collection = made(store)
        bulk = importer(collection, tmp_path / "bulk")
        bulk.add(rows(range(50_000)), vectors(50_000))
        with ThreadPoolExecutor(1) as other:
            closing = other.submit(bulk.close)
            while not bulk._tasks:
                time.sleep(0.001)
            own_server.kill()
            own_server.start()
            closing.result()
        again = importer(collection, tmp_path / "bulk")
        again.close()
        ready(collection)
        assert [key for page in collection.contents() for key in page.keys] == list(range(50_000))
        assert collection.count() == 50_000
