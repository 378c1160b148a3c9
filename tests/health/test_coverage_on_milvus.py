"""Coverage on the real server with tens of thousands of rows, against a truth that these tests keep by themselves: which rows are in sealed segments,
which were written since, and which were deleted. Milvus' own counters are wrong for most of the way. `compact` is held against it as well."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.inspection import MilvusInspection
from scripts.adapters.milvus.upkeep import MilvusUpkeep
from scripts.health.indexes import Judgment
from scripts.health.statuses import CollectionHealth, Status, examine
from scripts.jobs.compact import compact

NAME, DIMENSION, SEALED = "much", 32, 25_000
BATCH, PAUSE_SECONDS = 500, 0.5
SETTLED_WITHIN_SECONDS = 120


class Books:
    """Writes, and knows of every live row whether a sealed segment has it. `begun` and `done` bound what is on its way."""

    def __init__(self, client: MilvusClient) -> None:
        self._client = client
        self._rng = np.random.default_rng(3)
        self.sealed: set[int] = set()
        self.begun: set[int] = set()
        self.done: set[int] = set()

    def write(self, keys: range) -> None:
        for start in range(keys.start, keys.stop, BATCH):
            batch = range(start, min(start + BATCH, keys.stop))
            vectors = self._rng.normal(size=(len(batch), DIMENSION)).astype(np.float32)
            self.begun |= set(batch)
            self._client.upsert(NAME, [{"id": key, "vector": vector} for key, vector in zip(batch, vectors, strict=True)])
            self.sealed -= set(batch)
            self.done |= set(batch)

    def delete(self, keys: range) -> None:
        self._client.delete(NAME, ids=list(keys))
        for each in (self.sealed, self.begun, self.done):
            each -= set(keys)

    def all_is_sealed(self) -> None:
        self.sealed |= self.begun | self.done
        self.begun, self.done = set(), set()

    @property
    def coverage(self) -> float:
        """The truth, while nothing is on its way."""
        return int(10_000 * len(self.sealed) / len(self.sealed | self.done)) / 100


@pytest.fixture(scope="module")
def client(milvus_server):
    opened = MilvusClient(milvus_server.uri, token=milvus_server.token)
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = opened.prepare_index_params()
    index.add_index("vector", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 100})
    opened.create_collection(NAME, schema=schema)
    opened.create_index(NAME, index)
    opened.create_alias(NAME, "much_prod")
    yield opened
    opened.drop_alias("much_prod")
    opened.drop_collection(NAME)
    opened.close()


@pytest.fixture(scope="module")
def books(client):
    return Books(client)


@pytest.fixture(scope="module")
def inspection(milvus_server, client):
    with MilvusInspection(milvus_server.uri, milvus_server.token, patience=20.0) as opened:
        yield opened


@pytest.fixture
def store(milvus_server):
    with MilvusStore(milvus_server.uri, milvus_server.token) as opened:
        yield opened


def look(inspection) -> CollectionHealth:
    return examine(inspection.look(NAME))


@contextmanager
def writing(books, keys: range):
    """Batch after batch, while the block runs."""
    stop = threading.Event()

    def write() -> None:
        for start in range(keys.start, keys.stop, BATCH):
            if stop.wait(PAUSE_SECONDS):
                return
            books.write(range(start, start + BATCH))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def test_an_index_that_is_building_is_never_said_to_be_completed(client, books, inspection):
    """Waiting without rows; then at nothing, whatever it says of itself."""
    client.load_collection(NAME)
    assert look(inspection).indexes[0].judgment is Judgment.WAITING
    books.write(range(SEALED))
    each = look(inspection)
    assert (each.seen.rows, each.indexes[0].judgment, each.indexes[0].coverage) == (SEALED, Judgment.BUILDING, 0)
    assert (each.status, each.indexes[0].index.state) == (Status.ERROR, "Finished")


def test_while_data_arrives_and_the_index_is_being_built_it_says_building(client, books, inspection):
    """The night's alert: red until what was sealed is indexed and loaded, and then by what came since. Each look's rows lie between what was
    acknowledged before it and what was sent when it ended; the server says "Finished" all the time."""
    client._get_connection().flush([NAME], _async=True)
    books.all_is_sealed()
    waits = covered = 0
    until = time.monotonic() + SETTLED_WITHIN_SECONDS
    with writing(books, range(SEALED, 10 * SEALED)):
        while covered < 3:
            least = len(books.done)
            each = look(inspection)
            most = len(books.begun)
            (index,) = each.indexes
            assert SEALED + least <= each.seen.rows <= SEALED + most
            assert least <= index.uncovered_rows <= most or SEALED + least <= index.uncovered_rows <= SEALED + most
            assert index.index.state == "Finished" and index.judgment is (Judgment.BUILDING if index.uncovered_rows else Judgment.COMPLETED)
            if index.uncovered_rows >= SEALED + least:
                waits += 1
                assert each.status is Status.ERROR and "are searched one by one" in str(each.findings[0])
            else:
                covered += least > 0
            assert time.monotonic() < until, str(each.seen)
            time.sleep(0.1)
    assert waits


def test_deleted_and_replaced_rows_are_counted_where_they_are(client, books, inspection):
    """To the row: what was deleted from sealed segments hides nothing of what is not sealed yet."""
    books.delete(range(0, 8_000))
    books.write(range(9_000, 13_000))
    books.write(range(1_000_000, 1_002_000))
    each = look(inspection)
    (index,) = each.indexes
    assert (each.seen.rows, index.uncovered_rows) == (len(books.sealed | books.done), len(books.done))
    assert (index.judgment, index.coverage) == (Judgment.BUILDING, books.coverage)
    assert each.seen.growing_rows == len(books.done)


def test_compaction_leaves_the_judgment_where_the_counters_lie(books, inspection, store):
    """`compact` seals and merges, by the alias, and loses no row. Old segments answer, with their index, until the merged one can: what is covered stays
    covered, also while the server says that all of it is pending, or that more is indexed than there is."""
    rows = len(books.sealed | books.done)
    until = time.monotonic() + SETTLED_WITHIN_SECONDS
    looks, lies, told = [], 0, []
    with ThreadPoolExecutor(1) as beside:
        compacting = beside.submit(compact, store, MilvusUpkeep(store), "much_prod", within=SETTLED_WITHIN_SECONDS, tell=told.append)
        while True:
            each = look(inspection)
            looks.append(each)
            says = each.indexes[0].index
            lies += says.indexed > says.total or (says.pending > 0 and each.indexes[0].judgment is Judgment.COMPLETED)
            in_use = all(segment.stored and segment.index for segment in each.seen.segments)
            if lies and in_use and compacting.done():
                break
            assert time.monotonic() < until, str(each.seen)
            time.sleep(0.3)
        done = compacting.result()
    shares = [each.indexes[0].coverage for each in looks]
    assert {each.seen.rows for each in looks} == {rows} and shares == sorted(shares) and shares[-1] == 100
    before, after = done.facts()["before"], done.facts()["after"]
    begun = [int(re.search(r"compaction \d+ of (\d+) segments has begun", line)[1]) for line in told]
    assert (done.collection, after["segments"], after["small"]) == (NAME, 1, 0) and before["segments"] and begun[0] >= 2 and after["rows"] >= rows
