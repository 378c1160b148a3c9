"""Writing and reading by column: the same rows as through MilvusClient's own rows, and no loss when the server is killed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.errors import Refused
from scripts.layout import VECTOR, FieldType
from tests.adapters.test_milvus import DIMENSION, NAME, OTHER, layout, made, ready, ready_with, rows, vectors
from tests.servers import MilvusServer
from tests.stored import stored_vectors

EVERY_TYPE = {
    "whole": (FieldType.INT64, [2**53 + 1, -5, 0]),
    "price": (FieldType.DOUBLE, [1.5, -0.1, 3e300]),
    "sold": (FieldType.BOOL, [True, False, True]),
    "name": (FieldType.STRING, ["ä😀", "", "it's \"b\"\\\n"]),
    "tags": (FieldType.STRINGS, [["x", "ü"], [], [""]]),
    "sizes": (FieldType.INT64S, [[1, 2**53 + 1], [-3], []]),
    "weights": (FieldType.DOUBLES, [[0.5], [], [2.0, -1e-9]]),
    "extra": (FieldType.JSON, [{"a": {"b": [1, None, "ü"]}}, {}, {"x": 1.5, "y": True}]),
}


@pytest.fixture(params=["by column", "by row"])
def store(milvus, request):
    with MilvusStore(milvus.uri, milvus.token) as opened:
        if request.param == "by row":
            opened._milvus._wire = (None,)  # as with a pymilvus whose inner parts are others
        else:
            assert opened._milvus.wire is not None
        yield opened


def test_every_type_comes_back_as_it_was_written(store):
    """Also empty lists, whole numbers beyond 2**53 and text outside ASCII; and for string keys."""
    for name, key, keys in ((NAME, FieldType.INT64, [3, 1, 2]), (OTHER, FieldType.STRING, ["b'", "ä", '"'])):
        collection = made(store, name, layout(key, [(column, kind) for column, (kind, _) in EVERY_TYPE.items()]))
        written = vectors(3)
        collection.write(rows(keys, {column: values for column, (_, values) in EVERY_TYPE.items()}), written)
        ready(collection)
        found = store._milvus.call("query", name, filter="", limit=10, output_fields=["id", VECTOR, *EVERY_TYPE], consistency_level="Strong")
        by_key = {row["id"]: row for row in found}
        assert set(by_key) == set(keys)
        for position, one in enumerate(keys):
            assert {column: _plain(by_key[one][column]) for column in EVERY_TYPE} == {column: values[position] for column, (_, values) in EVERY_TYPE.items()}
            assert np.array_equal(np.asarray(by_key[one][VECTOR], dtype=np.float32), written[position])


def test_vectors_come_in_the_order_of_the_keys(store, monkeypatch):
    """Whatever order the server gives them in, and over several queries."""
    monkeypatch.setattr("scripts.adapters.milvus.collection.KEYS_PER_QUERY", 7)
    keys = list(range(100))
    collection = ready_with(store, FieldType.INT64, keys)
    order = np.random.default_rng(3).permutation(100)
    assert np.array_equal(stored_vectors(collection, order.tolist()), vectors(100)[order])
    assert stored_vectors(collection, []).shape == (0, DIMENSION)
    positions, found = collection.find(rows([99, 1_000, 4, 17]))
    assert (positions.tolist(), found.shape) == ([0, 2, 3], (3, DIMENSION))
    assert np.array_equal(found, vectors(100)[[99, 4, 17]])


def test_long_vectors_are_asked_for_a_few_at_a_time(tmp_path, monkeypatch):
    """2,000 of 8,192 numbers would be more than the 64 MiB that a message may have; keys alone are as many as ever."""
    monkeypatch.setattr("scripts.adapters.milvus.collection.PAGE_BYTES", 10 * (4 * DIMENSION + 64))
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        collection = ready_with(store, FieldType.INT64, list(range(25)))
        asked, columns = [], collection._columns
        monkeypatch.setattr(collection, "_columns", lambda where, *words, **how: (asked.append(1 + where.count(",")), columns(where, *words, **how))[1])
        positions, found = collection.find(rows(range(25)))
        assert positions.tolist() == list(range(25)) and np.array_equal(found, vectors(25))
        assert collection.existing(list(range(25))) == set(range(25))
        assert asked == [10, 10, 5, 25]


def test_what_the_server_refuses_is_told(store):
    """With its own reason, and at once."""
    collection = made(store)
    with pytest.raises(Refused, match="upsert"):
        collection.write(rows([1]), np.ones((1, DIMENSION + 1), dtype=np.float32))
    store.drop(NAME)
    with pytest.raises(Refused, match="upsert"):
        collection.write(rows([1]), vectors(1))


def test_several_writes_at_the_same_time_lose_nothing(store):
    """As many as the collection asks for, and twice as many."""
    collection = made(store)
    with ThreadPoolExecutor(2 * collection.writes_in_flight) as pool:
        list(pool.map(lambda start: collection.write(rows(range(start, start + 50)), vectors(50, start)), range(0, 1_000, 50)))
    ready(collection)
    assert collection.count() == 1_000
    assert np.array_equal(stored_vectors(collection, range(950, 1_000)), vectors(50, 950))


@pytest.fixture
def own_server(milvus_wheel, tmp_path):
    with MilvusServer(tmp_path / "milvus", milvus_wheel, {"COMMON_SESSION_TTL": "10"}) as server:
        yield server


@pytest.mark.server
def test_a_server_killed_while_rows_are_written_costs_only_time(own_server):
    """Writers pause until it is back, and so do readers; every row is there once."""
    with MilvusStore(own_server.uri, own_server.token) as store:
        served = ready_with(store, FieldType.INT64, range(50))
        collection = made(store, OTHER)
        starts = range(0, 60_000, 500)
        with ThreadPoolExecutor(4) as pool:
            writes = [pool.submit(lambda start=start: collection.write(rows(range(start, start + 500)), vectors(500, start))) for start in starts]
            while sum(write.done() for write in writes) < len(writes) // 4:
                time.sleep(0.001)
            own_server.kill()
            assert not all(write.done() for write in writes)
            own_server.start()
            assert served.count() == 50
            assert sorted(key for page in served.contents() for key in page.keys) == list(range(50))
            for write in writes:
                write.result()
        own_server.kill()
        own_server.start()
        ready(collection)
        assert collection.count() == 60_000
        assert [key for page in collection.contents() for key in page.keys] == list(range(60_000))
        assert np.array_equal(stored_vectors(collection, range(30_000, 30_500)), vectors(500, 30_000))


@pytest.mark.server
def test_a_released_collection_is_refused_at_once_also_after_a_restart(own_server):
    """A server that is coming back says the same of collections that it will serve again; those are waited for, this one is not."""
    with MilvusStore(own_server.uri, own_server.token) as store:
        released = ready_with(store, FieldType.INT64, [1, 2])
        store._milvus.call("release_collection", NAME)
        own_server.kill()
        own_server.start()
        with pytest.raises(Refused, match="not loaded"):
            released.count()


def _plain(value):
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, (str, dict)) else value
