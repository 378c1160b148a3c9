"""One physical collection: reading, writing, searching, and whether it is ready."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scripts.adapters.milvus.connection import Connection
from scripts.adapters.milvus.raw import numbers, vectors_of
from scripts.adapters.milvus.schema import batches, index_params, key_in, literal
from scripts.adapters.milvus.whole import as_many_as_fit, plain, weighed
from scripts.backup.ports import WholePage
from scripts.errors import Inconclusive
from scripts.layout import COLUMNS_HASH, MAX_KEY_BYTES, TEXT_HASH, VECTOR, FieldType, IndexType, Layout
from scripts.ports import Hit, Importer, Page, Readiness, VectorPage
from scripts.records import Rows

# The largest page that Milvus gives, and the fastest: in milvus-lite every page walks the whole collection.
PAGE_ROWS = 16_384
# With vectors pages are smaller: well under the 64 MiB of a message, and of 384 numbers each 5,000 rows are read fastest (50k rows/s, 2.3.5).
PAGE_BYTES = 8 << 20
# Of whole rows the first page is small: strings may have 64 KiB each.
FIRST_PAGE_ROWS = 256
KEYS_PER_QUERY = 2_000
WRITES_IN_FLIGHT = 4
QUERIES_PER_SEARCH = 100
# Below this many rows 2.3.5 builds no index for a segment and searches it exactly instead.
SMALLEST_INDEXED_SEGMENT = 1_024
# An index that has not grown for so long will not be finished: 2.3.5 without DiskANN stays "InProgress" for good.
INDEX_STALL_SECONDS = 1_800.0
# How long to wait before looking again, as a share of what was waited already: a small index takes seconds, a large one hours.
POLL_SHARE, LONGEST_POLL_SECONDS = 0.05, 1.0

# No row has the smallest int64 as its key, see `records`.
_BEFORE_ALL_INT64 = -(2**63) + 1


class MilvusCollection:
    """Implements ports.Collection. Works by physical name: pymilvus caches schemas by the name given, aliases included."""

    def __init__(self, connection: Connection, name: str, layout: Layout) -> None:
        self.name = name
        self.layout = layout
        self.writes_in_flight = 1 if connection.embedded else WRITES_IN_FLIGHT  # milvus-lite gains nothing from more
        self._milvus = connection

    def contents(self) -> Iterator[Page]:
        """Makes the collection readable if it is not (an unfinished build is neither flushed, indexed nor loaded)."""
        for keys, found in self._pages([TEXT_HASH, COLUMNS_HASH], PAGE_ROWS):
            yield Page(keys=keys, text_hashes=numbers(found[TEXT_HASH]), column_hashes=numbers(found[COLUMNS_HASH]))

    def vectors(self) -> Iterator[VectorPage]:
        """In order of keys, and readable as of `contents`. A key that is there twice comes once: 2.3.5 gives one of its rows, and counts both."""
        for keys, found in self._pages([TEXT_HASH, COLUMNS_HASH, VECTOR], self._vectors_at_once()):
            yield VectorPage(
                keys=keys,
                text_hashes=numbers(found[TEXT_HASH]),
                column_hashes=numbers(found[COLUMNS_HASH]),
                # By the number of rows, not by the layout's dimension: it is looked at to find out whether that is so.
                vectors=np.array(found[VECTOR], dtype=np.float32).reshape(len(keys), -1),
            )

    def whole(self, after: int | str | None = None) -> Iterator[WholePage]:
        """Whole rows in order of keys, those beyond `after`; readable as of `contents`. Pages follow the weight of rows, which only reading shows."""
        columns = {column.name: column.type for column in self.layout.columns}
        fields = [self.layout.key.name, TEXT_HASH, COLUMNS_HASH, VECTOR, *columns]
        most, page = max(1, min(PAGE_ROWS, PAGE_BYTES // (4 * self.layout.dimension + 64))), FIRST_PAGE_ROWS
        if not self._is_readable():
            return
        while True:
            beyond = self._beyond(after)
            found = as_many_as_fit(lambda rows, beyond=beyond: self._columns(beyond, fields, page=rows), min(page, most))
            if not len(keys := found.get(self.layout.key.name, ())):
                return
            weight = 4 * self.layout.dimension + sum(weighed(found[name]) for name in columns) / len(keys)
            after, page = keys[-1], max(1, int(PAGE_BYTES / weight))
            whole = WholePage(
                keys=list(keys),
                text_hashes=numbers(found[TEXT_HASH]),
                column_hashes=numbers(found[COLUMNS_HASH]),
                vectors=vectors_of(found[VECTOR], self.layout.dimension),
                columns={name: plain(kind, found[name]) for name, kind in columns.items()},
            )
            del found, keys  # the message, which is as large as the page, would else stay until the next one is here
            yield whole
            del whole

    def find(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """The text's hash is compared with what comes back, not with what was read before: another pass may write to this collection meanwhile."""
        found, hashes, vectors = self._held(rows.keys)
        wanted = {key: position for position, key in enumerate(rows.keys)}
        positions = np.fromiter((wanted[key] for key in found), dtype=np.int64, count=len(found))
        same = np.flatnonzero(hashes == rows.text_hashes[positions])
        same = same[np.argsort(positions[same])]
        return positions[same], vectors[same]

    def existing(self, keys: Sequence[int] | Sequence[str]) -> set[int] | set[str]:
        return {key for found in self._by_key(keys, []) for key in found[self.layout.key.name]}

    def write(self, rows: Rows, vectors: np.ndarray) -> None:
        wire = self._milvus.wire
        if wire is None:
            for batch in batches(self.layout, rows, vectors):
                self._milvus.call("upsert", self.name, batch)
            return
        for request in wire.upserts(self.name, self.layout, rows, vectors):
            self._milvus.patiently("upsert", self.name, partial(wire.upsert, request, self._milvus.seconds))

    def importer(self, uri: str, root: Path, prefix: str) -> Importer:
        """Bulk import through files in the folder `uri`, which the server names `prefix`. To be opened before `contents` is read, see `bulk`."""
        from scripts.adapters.filesystems import resolve  # pyarrow, which a rollback need not wait for
        from scripts.adapters.milvus.bulk import MilvusImporter, usable

        usable(self._milvus)
        return MilvusImporter(self._milvus, self, resolve(uri, root), uri, prefix)

    def delete(self, keys: Sequence[int] | Sequence[str]) -> None:
        for some in _chunks(keys, KEYS_PER_QUERY):
            self._milvus.call("delete", self.name, filter=key_in(self.layout.key, some))

    def flush(self) -> None:
        self._milvus.call("flush", self.name, timeout=None)

    def build_index(self) -> None:
        """Waits while the index grows. Raises Inconclusive when it stalls."""
        if VECTOR not in self._milvus.call("list_indexes", self.name):  # milvus-lite refuses to create it again
            self._milvus.call("create_index", self.name, index_params(self.layout), sync=False)
        began = since = time.monotonic()
        grown = -1
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
            time.sleep(min(0.01 + POLL_SHARE * (time.monotonic() - began), LONGEST_POLL_SECONDS))

    def load(self) -> None:
        self._milvus.call("load_collection", self.name, timeout=None)

    def release(self) -> None:
        self._milvus.call("release_collection", self.name)

    def is_loaded(self) -> bool:
        return str(self._milvus.call("get_load_state", self.name)["state"]) == "Loaded"

    def count(self) -> int:
        return int(self._milvus.call("query", self.name, filter="", output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"])

    def readiness(self) -> Readiness:
        index = self._milvus.call("describe_index", self.name, VECTOR) or {}
        loaded = self.is_loaded()
        rows, indexed, pending = self.count() if loaded else 0, int(index.get("indexed_rows", 0)), int(index.get("pending_index_rows", 0))
        unindexed = self._unindexed_segments() if loaded else []
        return Readiness(
            rows=rows,
            indexed=indexed,
            pending=pending,
            loaded=loaded,
            unindexed_segments=len(unindexed),
            # Segments that are still written to are not among the loaded ones (2.3.5). While some are pending, `indexed` says nothing of what is
            # searched now; milvus-lite has no segments to ask.
            unindexed_rows=max(pending if self._milvus.embedded else sum(unindexed), 0 if pending else rows - indexed),
            metric=str(index.get("metric_type", "")).upper(),
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
            answers += [_hits(hits, fields) for hits in found]
        return answers

    def _held(self, keys: Sequence[int] | Sequence[str]) -> tuple[list[int] | list[str], np.ndarray, np.ndarray]:
        """Of these keys those that it holds, in any order, with their texts' hashes and their vectors."""
        parts = list(self._by_key(keys, [TEXT_HASH, VECTOR]))
        hashes = [numbers(part[TEXT_HASH]) for part in parts] or [np.empty(0, dtype=np.int64)]
        vectors = [vectors_of(part[VECTOR], self.layout.dimension) for part in parts] or [np.empty((0, self.layout.dimension), dtype=np.float32)]
        return [key for part in parts for key in part[self.layout.key.name]], np.concatenate(hashes), np.concatenate(vectors)

    def _by_key(self, keys: Sequence[int] | Sequence[str], fields: list[str]) -> Iterator[dict[str, Any]]:
        """Some rows at a time, column by column."""
        key = self.layout.key
        size = min(KEYS_PER_QUERY, self._vectors_at_once()) if VECTOR in fields else KEYS_PER_QUERY
        for number, some in enumerate(_chunks(keys, size)):
            # A strong read waits for the latest writes for 200 to 400 ms (2.3.5); what it has waited for, the reads after it see as well.
            found = self._columns(key_in(key, some), [key.name, *fields], strong=number == 0)
            if len(found.get(key.name, ())):
                yield found

    def _vectors_at_once(self) -> int:
        weight = 4 * self.layout.dimension + 64 + (MAX_KEY_BYTES if self.layout.key.type is FieldType.STRING else 0)
        return max(1, min(PAGE_ROWS, PAGE_BYTES // weight))

    def _pages(self, fields: list[str], page: int) -> Iterator[tuple[list[int] | list[str], dict[str, Any]]]:
        """All rows, `page` of them at a time: their keys, in order, and these fields."""
        if not self._is_readable():
            return
        key = self.layout.key.name
        after: int | str | None = None
        while True:
            found = self._columns(self._beyond(after), [key, *fields], page=page)
            keys = list(found.get(key, ()))
            if not keys:
                return
            yield keys, found
            after = keys[-1]

    def _is_readable(self) -> bool:
        """Makes it so where it holds anything."""
        if not self.is_loaded():
            self.flush()
            if int(self._milvus.call("get_collection_stats", self.name)["row_count"]) == 0:
                return False
            self.build_index()
            self.load()
        # Pages are read without waiting for the latest writes, whatever consistency is asked for (2.3.5). A strong read before them waits.
        self.count()
        return True

    def _columns(self, where: str, fields: list[str], *, strong: bool = False, page: int = 0) -> dict[str, Any]:
        """The fields of rows, each a sequence of its values. A page of rows comes in order of keys."""
        if wire := self._milvus.wire:
            query = partial(wire.query, self.name, where, fields, self._milvus.seconds, strong=strong, page=page)
            return self._milvus.patiently("query", self.name, query)
        # What pymilvus' own iterator sends to get rows in order of keys. That iterator itself skips the largest int64 and breaks on keys with
        # quotes or backslashes (3.0.2).
        how = {"limit": page, "iterator": "True", "reduce_stop_for_best": "True"} if page else {"consistency_level": "Strong" if strong else "Eventually"}
        rows = self._milvus.call("query", self.name, filter=where, output_fields=fields, **how)
        return {name: [row[name] for row in rows] for name in fields} if rows else {}

    def _beyond(self, after: int | str | None) -> str:
        key = self.layout.key.name
        if after is not None:
            return f"{key} > {literal(after)}"
        return f'{key} != ""' if self.layout.key.type == "string" else f"{key} >= {_BEFORE_ALL_INT64}"

    def _unindexed_segments(self) -> list[int]:
        """`Loaded` does not mean that queries use the index: each loaded segment says so itself. Small ones and FLAT never have one.
        The rows of those without."""
        if self._milvus.embedded or self.layout.index.type is IndexType.FLAT:
            return []
        segments = self._milvus.call("list_loaded_segments", self.name)
        return [s.num_rows for s in segments if not s.index_name and s.num_rows >= SMALLEST_INDEXED_SEGMENT]


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _hits(found: Any, fields: Sequence[str]) -> list[Hit]:
    """pymilvus makes an object of each hit only when it is looked at, which costs more than the search (3.0.2)."""
    if not fields and hasattr(found, "ids") and hasattr(found, "distances"):
        return [Hit(key, float(score), {}) for key, score in zip(found.ids, found.distances, strict=True)]
    # The hit's key is called `id` on a server and by the field's name in milvus-lite; `.id` is right on both.
    return [Hit(hit.id, float(hit.distance), _plain(hit.fields, fields)) for hit in found]


def _plain(found: dict[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    return {name: list(value) if hasattr(value := found.get(name), "__iter__") and not isinstance(value, (str, dict)) else value for name in wanted}
