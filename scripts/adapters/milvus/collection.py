"""One physical collection: reading, writing, searching, and whether it is ready."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from scripts.adapters.milvus.connection import Connection
from scripts.adapters.milvus.schema import batches, index_params, key_in, literal
from scripts.errors import Inconclusive
from scripts.layout import COLUMNS_HASH, TEXT_HASH, VECTOR, IndexType, Layout
from scripts.ports import Hit, Page, Readiness
from scripts.records import Rows

# Pages of keys and hashes: a server is fastest at 5k, in milvus-lite every page walks the whole collection.
PAGE_ROWS = 5_000
EMBEDDED_PAGE_ROWS = 16_384
KEYS_PER_QUERY = 1_000
QUERIES_PER_SEARCH = 100
# Below this many rows 2.3.5 builds no index for a segment and searches it exactly instead.
SMALLEST_INDEXED_SEGMENT = 1_024
# An index that has not grown for so long will not be finished: 2.3.5 without DiskANN stays "InProgress" for good.
INDEX_STALL_SECONDS = 1_800.0
POLL_SECONDS = 0.5

# No row has the smallest int64 as its key, see `records`.
_BEFORE_ALL_INT64 = -(2**63) + 1


class MilvusCollection:
    """Implements ports.Collection. Works by physical name: pymilvus caches schemas by the name given, aliases included."""

    def __init__(self, connection: Connection, name: str, layout: Layout) -> None:
        self.name = name
        self.layout = layout
        self._milvus = connection

    def contents(self) -> Iterator[Page]:
        """Makes the collection readable if it is not (an unfinished build is neither flushed, indexed nor loaded)."""
        if not self.is_loaded():
            self.flush()
            if int(self._milvus.call("get_collection_stats", self.name)["row_count"]) == 0:
                return
            self.build_index()
            self.load()
        # Pages are read without waiting for the latest writes, whatever consistency is asked for (2.3.5). A strong read before them waits.
        self.count()
        key = self.layout.key.name
        size = EMBEDDED_PAGE_ROWS if self._milvus.embedded else PAGE_ROWS
        after: int | str | None = None
        while True:
            rows = self._milvus.call(
                "query",
                self.name,
                filter=self._beyond(after),
                output_fields=[key, TEXT_HASH, COLUMNS_HASH],
                limit=size,
                # What pymilvus' own iterator sends to get rows in order of keys. That iterator itself skips the largest int64
                # and breaks on keys with quotes or backslashes (3.0.2).
                iterator="True",
                reduce_stop_for_best="True",
            )
            if not rows:
                return
            yield Page(
                keys=[row[key] for row in rows],
                text_hashes=np.fromiter((row[TEXT_HASH] for row in rows), dtype=np.int64, count=len(rows)),
                column_hashes=np.fromiter((row[COLUMNS_HASH] for row in rows), dtype=np.int64, count=len(rows)),
            )
            after = rows[-1][key]

    def vectors(self, keys: Sequence[int] | Sequence[str]) -> np.ndarray:
        found = {row[self.layout.key.name]: row[VECTOR] for row in self._by_key(keys, [VECTOR])}
        return np.asarray([found[key] for key in keys], dtype=np.float32)

    def find(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """The text's hash is compared with what comes back, not with what was read before: another pass may write to this collection meanwhile."""
        held = {row[self.layout.key.name]: row for row in self._by_key(rows.keys, [TEXT_HASH, VECTOR])}
        found = [i for i, key in enumerate(rows.keys) if key in held and held[key][TEXT_HASH] == rows.text_hashes[i]]
        vectors = np.asarray([held[rows.keys[i]][VECTOR] for i in found], dtype=np.float32)
        return np.asarray(found, dtype=np.int64), vectors.reshape(len(found), self.layout.dimension)

    def existing(self, keys: Sequence[int] | Sequence[str]) -> set[int] | set[str]:
        return {row[self.layout.key.name] for row in self._by_key(keys, [])}

    def write(self, rows: Rows, vectors: np.ndarray) -> None:
        for batch in batches(self.layout, rows, vectors):
            self._milvus.call("upsert", self.name, batch)

    def delete(self, keys: Sequence[int] | Sequence[str]) -> None:
        for some in _chunks(keys, KEYS_PER_QUERY):
            self._milvus.call("delete", self.name, filter=key_in(self.layout.key, some))

    def flush(self) -> None:
        self._milvus.call("flush", self.name, timeout=None)

    def build_index(self) -> None:
        """Waits while the index grows. Raises Inconclusive when it stalls."""
        if VECTOR not in self._milvus.call("list_indexes", self.name):  # milvus-lite refuses to create it again
            self._milvus.call("create_index", self.name, index_params(self.layout), sync=False)
        grown, since = -1, time.monotonic()
        while True:
            index = self._milvus.call("describe_index", self.name, VECTOR)
            if index["pending_index_rows"] == 0:
                return
            if index["indexed_rows"] != grown:
                grown, since = index["indexed_rows"], time.monotonic()
            elif time.monotonic() - since > INDEX_STALL_SECONDS:
                raise Inconclusive(
                    f"The {self.layout.index.type} index of {self.name} stands at {grown:,} of {index['total_rows']:,} rows for {INDEX_STALL_SECONDS / 60:.0f} minutes.",
                    hint="Does this server support the index type, and are its index nodes up?",
                )
            time.sleep(POLL_SECONDS)

    def load(self) -> None:
        self._milvus.call("load_collection", self.name, timeout=None)

    def is_loaded(self) -> bool:
        return str(self._milvus.call("get_load_state", self.name)["state"]) == "Loaded"

    def count(self) -> int:
        return int(self._milvus.call("query", self.name, filter="", output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"])

    def readiness(self) -> Readiness:
        index = self._milvus.call("describe_index", self.name, VECTOR) or {}
        loaded = self.is_loaded()
        return Readiness(
            rows=self.count() if loaded else 0,
            indexed=int(index.get("indexed_rows", 0)),
            pending=int(index.get("pending_index_rows", 0)),
            loaded=loaded,
            unindexed_segments=self._unindexed_segments() if loaded else 0,
        )

    def search(self, vectors: np.ndarray, limit: int, *, where: str = "", fields: Sequence[str] = ()) -> list[list[Hit]]:
        index = self.layout.index
        answers: list[list[Hit]] = []
        for some in _chunks(list(vectors), QUERIES_PER_SEARCH):
            found = self._milvus.call(
                "search",
                self.name,
                data=some,
                anns_field=VECTOR,
                limit=limit,
                filter=where,
                output_fields=list(fields),
                search_params={"metric_type": index.metric.value, "params": index.search_params(limit)},
            )
            # The hit's key is called `id` on a server and by the field's name in milvus-lite; `.id` is right on both.
            answers += [[Hit(hit.id, float(hit.distance), _plain(hit.fields, fields)) for hit in hits] for hits in found]
        return answers

    def _by_key(self, keys: Sequence[int] | Sequence[str], fields: list[str]) -> Iterator[dict[str, Any]]:
        key = self.layout.key
        for some in _chunks(keys, KEYS_PER_QUERY):
            yield from self._milvus.call("query", self.name, filter=key_in(key, some), output_fields=[key.name, *fields], consistency_level="Strong")

    def _beyond(self, after: int | str | None) -> str:
        key = self.layout.key.name
        if after is not None:
            return f"{key} > {literal(after)}"
        return f'{key} != ""' if self.layout.key.type == "string" else f"{key} >= {_BEFORE_ALL_INT64}"

    def _unindexed_segments(self) -> int:
        """`Loaded` does not mean that queries use the index: each loaded segment says so itself. Small ones and FLAT never have one."""
        if self._milvus.embedded or self.layout.index.type is IndexType.FLAT:
            return 0
        segments = self._milvus.call("list_loaded_segments", self.name)
        return sum(1 for s in segments if not s.index_name and s.num_rows >= SMALLEST_INDEXED_SEGMENT)


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _plain(found: dict[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    return {name: list(value) if hasattr(value := found.get(name), "__iter__") and not isinstance(value, (str, dict)) else value for name in wanted}
