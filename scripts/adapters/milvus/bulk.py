"""Bulk import: rows go into Parquet files that the server reads by itself, which spares it its log and the network its rows.

A file's rows are imported as they are: a key that the collection holds already would be there twice. So an importer is opened before the
collection is read: it first waits for what an earlier run, which may have died, had handed to the server.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.adapters.filesystems import translated
from scripts.adapters.milvus.connection import RETRY_SECONDS, Connection
from scripts.adapters.milvus.raw import Wire, json_bytes
from scripts.errors import Inconclusive, Refused, UsageError
from scripts.layout import COLUMNS_HASH, TEXT_HASH, VECTOR, FieldType
from scripts.records import Rows

if TYPE_CHECKING:
    import pyarrow as pa

    from scripts.adapters.milvus.collection import MilvusCollection

# The server holds a file in memory while it imports it, and makes at least one segment of each, of 512 MiB at most.
FILE_BYTES = 128 * 1024 * 1024
# Fewer are written. 2.3.5 builds no index for a segment of fewer than 1,024 rows, and a loaded collection never serves an imported segment
# that has none.
SMALLEST_FILE_ROWS = 4_096
# The server gives a task up after 15 minutes of its own; it may have many of them to do before (2.3.5).
STALL_SECONDS = 3_600.0
SUBMISSIONS = 5
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 2.0
# The server forgets a task after a day, so an older file is nobody's.
STALE = timedelta(days=1)

_FAILED, _COMPLETED, _CLEANED = 1, 6, 7
_DONE = (_FAILED, _COMPLETED, _CLEANED)
_NOTHING_DONE = (_FAILED, _CLEANED)
_RESTARTED = "service restarted"
_UNSEEN = ("failed to get file size", "no such file", "not exist", "NoSuchKey", "key not found")


class MilvusImporter:
    """Implements ports.Importer; `add` may be called by several threads.

    `uri` is a folder as we name it, `prefix` the same folder as the server names it: on S3 or MinIO the path within its own bucket, on local
    storage an absolute path. Raises UsageError, when made, on milvus-lite and where the server does not find files of that folder.
    """

    def __init__(self, connection: Connection, collection: MilvusCollection, folder: tuple[Any, str], shown: str, prefix: str) -> None:
        self._milvus = connection
        self._wire = usable(connection)
        self._collection = collection
        self._files, root = folder
        self._place = f"{shown}/{collection.name}"
        self._folder = f"{root.rstrip('/')}/{collection.name}"
        self._prefix = f"{prefix.rstrip('/')}/{collection.name}" if prefix.strip("/") else f"{prefix}{collection.name}"
        self._run = uuid.uuid4().hex[:12]
        self._lock = Lock()
        self._held: list[tuple[Rows, np.ndarray, Any]] = []
        self._writing: _File | None = None
        self._count = 0
        self._tasks: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._samples: list[Any] = []
        with translated(self._place):
            self._files.create_dir(self._folder, recursive=True)
        self._wait_for(lambda task: True)
        self._remove_dead()
        self._probe()

    def add(self, rows: Rows, vectors: np.ndarray) -> None:
        fit = importable(self._collection, rows)
        if not fit.all():
            odd = np.flatnonzero(~fit)
            self._collection.write(rows.take(odd), vectors[odd])
            rows, vectors = rows.take(np.flatnonzero(fit)), vectors[fit]
        if not len(rows):
            return
        batch = record_batch(self._collection, rows, vectors)
        with self._lock, translated(self._place):
            self._held.append((rows, vectors, batch))
            if self._writing is None:
                if sum(len(held) for held, *_ in self._held) < SMALLEST_FILE_ROWS:
                    return
                self._writing = _File(self._files, self._folder, f"{self._run}-{self._count}.parquet", batch.schema)
                self._count += 1
            for held, _, held_batch in self._held:
                self._writing.write(held_batch)
                self._samples += [held.keys[0], held.keys[-1]]
            self._held.clear()
            if self._writing.bytes >= FILE_BYTES:
                self._hand_over()

    def close(self) -> None:
        """Raises Refused with the server's own reason where it could not import a file."""
        with self._lock:
            for rows, vectors, _ in self._held:
                self._collection.write(rows, vectors)
            if self._writing:
                with translated(self._place):
                    self._hand_over()
            try:
                self._finish()
                self._wait_until_served()
            finally:
                for name in self._tasks:
                    self._remove(name)

    def _hand_over(self) -> None:
        file, self._writing = self._writing, None
        file.close()
        self._rows[file.name] = file.rows
        self._tasks[file.name] = self._submit(file.name)

    def _submit(self, name: str) -> int:
        """The number of the file's task. Where the answer was lost, the server is asked first whether it has begun."""
        # A server that was killed hands imports to the data node that it had before, until that one's session ends; they are then given up
        # after 15 minutes only (2.3.5). A flush needs the data node as well, fails until it is there, and is waited for.
        self._collection.flush()
        path = f"{self._prefix}/{name}"
        asked = False

        def attempt() -> int:
            nonlocal asked
            tasks = self._wire.imports(self._collection.name, RETRY_SECONDS) if asked else []
            begun = [task.id for task in tasks if path in _info(task, "files") and task.state not in _NOTHING_DONE]
            asked = True
            return begun[0] if begun else self._wire.start_import(self._collection.name, path, RETRY_SECONDS)

        return self._milvus.patiently("import a file", self._collection.name, attempt)

    def _wait_for(self, mine: Callable[[Any], bool]) -> list[Any]:
        """The tasks that are there now and `mine`, when the last of them has ended."""
        waiting = {task.id for task in self._all() if mine(task)}
        pause, since, before = FIRST_PAUSE_SECONDS, time.monotonic(), None
        while True:
            tasks = [task for task in self._all() if task.id in waiting]
            going = [(task.id, task.state, _info(task, "progress_percent")) for task in tasks if task.state not in _DONE]
            if not going:
                return tasks
            if going != before:
                before, since = going, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                raise Inconclusive(f"The import into {self._collection.name} has not moved for {STALL_SECONDS / 60:.0f} minutes.", hint="Run the same command again.")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _finish(self) -> None:
        """Until every file is imported. What a killed server was at, it gives up when it is back, and no row of it is there."""
        for again in range(SUBMISSIONS):
            tasks = {task.id: task for task in self._wait_for(lambda task: task.id in self._tasks.values())}
            failed = {name: tasks.get(number) for name, number in self._tasks.items() if number not in tasks or tasks[number].state != _COMPLETED}
            for name, task in failed.items():
                reason = _info(task, "failed_reason") if task else "it does not know of it any more"
                if _RESTARTED not in reason or again == SUBMISSIONS - 1:
                    raise Refused(f"Milvus could not import {self._place}/{name}: {reason[:300]}.", hint="Run the same command again.")
            if not failed:
                break
            self._tasks |= {name: self._submit(name) for name in failed}
        for name, number in self._tasks.items():
            if (imported := tasks[number].row_count) != self._rows[name]:
                raise Refused(f"Milvus imported {imported:,} of the {self._rows[name]:,} rows of {self._place}/{name}.")

    def _wait_until_served(self) -> None:
        """A loaded collection shows imported rows only when they are indexed and loaded as well."""
        pause, since, before = FIRST_PAUSE_SECONDS, time.monotonic(), -1
        while self._samples and self._collection.is_loaded():
            found = len(self._collection.existing(self._samples))
            if found == len(self._samples):
                return
            if found != before:
                before, since = found, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                raise Inconclusive(f"Rows that were imported into {self._collection.name} are not served after {STALL_SECONDS / 60:.0f} minutes.")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _probe(self) -> None:
        """Before any row is encoded: does the server see this folder? An empty file is never imported, but it is looked for."""
        name = f"{self._run}-probe.parquet"
        with translated(self._place):
            self._files.open_output_stream(f"{self._folder}/{name}").close()
        try:
            number = self._submit(name)
            (task,) = self._wait_for(lambda task: task.id == number)
            if any(word in _info(task, "failed_reason") for word in _UNSEEN):
                raise UsageError(
                    f"bulk: Milvus does not find what is in {self._place} at {self._prefix}.",
                    hint="bulk.prefix is that folder as the server names it: an absolute path, or on S3 and MinIO the path within its bucket.",
                )
        finally:
            self._remove(name)

    def _remove_dead(self) -> None:
        """Files of earlier runs that the server is done with, or that nobody can be writing any more."""
        from pyarrow.fs import FileSelector

        finished = {_info(task, "files").rpartition("/")[2] for task in self._all() if task.state in _DONE}  # not those of shards beside this one
        with translated(self._place):
            for file in self._files.get_file_info(FileSelector(self._folder)):
                if file.base_name in finished or (file.mtime and file.mtime < datetime.now(UTC) - STALE):
                    self._remove(file.base_name)

    def _remove(self, name: str) -> None:
        try:
            self._files.delete_file(f"{self._folder}/{name}")
        except OSError:
            pass  # gone already, or for the next run to remove

    def _all(self) -> list[Any]:
        return self._milvus.patiently("list imports", self._collection.name, lambda: self._wire.imports(self._collection.name, RETRY_SECONDS))


class _File:
    """A Parquet file that grows by one row group at a time."""

    def __init__(self, files: Any, folder: str, name: str, schema: pa.Schema) -> None:
        from pyarrow import parquet

        self.name = name
        self.rows = self.bytes = 0
        self._sink = files.open_output_stream(f"{folder}/{name}")
        self._writer = parquet.ParquetWriter(self._sink, schema, compression="none", use_dictionary=False, write_statistics=False)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)
        self.rows += batch.num_rows
        self.bytes += batch.nbytes

    def close(self) -> None:
        self._writer.close()
        self._sink.close()


def usable(connection: Connection) -> Wire:
    """What an import is asked for with. Raises UsageError on milvus-lite, and where pymilvus does not have it."""
    if connection.embedded:
        raise UsageError("milvus-lite has no bulk import.", hint="Write row by row, or set MILVUS_URI to a server.")
    if connection.wire is None:
        raise UsageError("This version of pymilvus has no way to bulk import that the kit knows.", hint="Write row by row.")
    return connection.wire


def importable(collection: MilvusCollection, rows: Rows) -> np.ndarray:
    """Which rows a file may hold: 2.3.5 imports no number that is NaN or infinite, though it stores them when they are written."""
    fit = np.ones(len(rows), dtype=bool)
    for column in collection.layout.columns:
        values = rows.columns[column.name]
        if column.type is FieldType.DOUBLE:
            fit &= np.isfinite(np.asarray(values, dtype=np.float64))
        elif column.type is FieldType.DOUBLES:
            fit &= np.fromiter((bool(np.isfinite(value).all()) for value in values), dtype=bool, count=len(values))
    return fit


def record_batch(collection: MilvusCollection, rows: Rows, vectors: np.ndarray) -> pa.RecordBatch:
    """The rows as the server's import reads them."""
    import pyarrow as pa

    layout = collection.layout
    numbers, strings = pa.int64(), pa.string()
    types = {FieldType.INT64: numbers, FieldType.DOUBLE: pa.float64(), FieldType.BOOL: pa.bool_(), FieldType.STRING: strings, FieldType.JSON: strings}
    types |= {FieldType.INT64S: pa.list_(numbers), FieldType.DOUBLES: pa.list_(pa.float64()), FieldType.STRINGS: pa.list_(strings)}
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * layout.dimension
    flat = np.ascontiguousarray(vectors, dtype=np.float32).ravel()
    arrays: dict[str, pa.Array] = {
        layout.key.name: pa.array(rows.keys, types[layout.key.type]),
        VECTOR: pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat)),
        TEXT_HASH: pa.array(rows.text_hashes, numbers),
        COLUMNS_HASH: pa.array(rows.column_hashes, numbers),
    }
    for column in layout.columns:
        values = rows.columns[column.name]
        values = [json_bytes(value).decode() for value in values] if column.type is FieldType.JSON else values
        arrays[column.name] = pa.array(values, types[column.type])
    return pa.RecordBatch.from_pydict(arrays)


def _info(task: Any, key: str) -> str:
    return next((pair.value for pair in task.infos if pair.key == key), "")
