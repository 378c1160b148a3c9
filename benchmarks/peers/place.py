"""Where a peer builds: a server, a collection, the index that all of them get, and when everything there is ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pymilvus import MilvusClient

INDEX, METRIC = "HNSW", "COSINE"
PARAMS = {"M": 16, "efConstruction": 200}
SMALLEST_INDEXED = 1024
"""Milvus 2.3.5 leaves segments with fewer rows without an index (`indexCoord.segment.minSegmentNumRowsToEnableIndex`)."""
READY_LIMIT_S = 600


@dataclass(frozen=True, slots=True)
class Place:
    uri: str
    token: str = field(repr=False)
    collection: str
    folder: Path
    """For what a peer keeps beside Milvus, such as a list of what it wrote."""

    @property
    def connection(self) -> dict[str, str]:
        return {"uri": self.uri, "token": self.token}

    @property
    def index(self) -> dict[str, object]:
        return {"index_type": INDEX, "metric_type": METRIC, "params": PARAMS}

    def client(self) -> MilvusClient:
        return MilvusClient(**self.connection)


def count(client: MilvusClient, collection: str) -> int:
    """The true number of rows."""
    (row,) = client.query(collection, filter="", output_fields=["count(*)"], consistency_level="Strong")
    return row["count(*)"]


def wait_until_indexed(client: MilvusClient, collection: str) -> int:
    """Flushes, and returns the number of rows once the index covers all of them and the collection is loaded.

    The index's state says `Finished` while segments wait for theirs, so its rows are counted.
    """
    client.flush(collection)
    rows = count(client, collection)
    (name,) = client.list_indexes(collection)

    def indexed() -> bool:
        index = client.describe_index(collection, name)
        return index["total_rows"] == index["indexed_rows"] == rows and index["pending_index_rows"] == 0 and _loaded(client, collection)

    _wait(indexed, f"{collection} to be indexed")
    return rows


def wait_until_served(client: MilvusClient, collection: str, rows: int) -> None:
    """Returns once every segment that searches look at is one with the index.

    A collection that was loaded before it was filled is `Loaded` all the time, and answers from the rows as they came in until the server
    has swapped them for the indexed ones. Such a swap comes 10 to 20 seconds after the index.
    """

    def served() -> bool:
        segments = client.list_loaded_segments(collection)
        sealed = all(segment.state_name == "Sealed" for segment in segments)
        indexed = all(segment.index_name for segment in segments if segment.num_rows >= SMALLEST_INDEXED)
        return sealed and indexed and sum(segment.num_rows for segment in segments) == rows

    _wait(served, f"{collection} to be served from its index")


def _loaded(client: MilvusClient, collection: str) -> bool:
    return client.get_load_state(collection)["state"].name == "Loaded"


def _wait(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_LIMIT_S
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"Waited {READY_LIMIT_S} s for {what}.")
        time.sleep(0.1)
