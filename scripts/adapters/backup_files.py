"""Backups as Parquet files, in a folder on this machine, on S3, or wherever else Arrow reaches."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.adapters.filesystems import explained, resolve, translated
from scripts.addresses import shown
from scripts.backup.ports import FileFacts, WholePage
from scripts.errors import KitError, Refused, UsageError
from scripts.layout import COLUMNS_HASH, TEXT_HASH, VECTOR, FieldType, Layout

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_BYTES = 4 << 20
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def open_folder(uri: str, root: Path) -> BackupFiles:
    """A plain path is relative to `root`. Raises UsageError where the address cannot be used."""
    if not uri.strip():
        raise UsageError("The address of the folder is empty.")
    if "\0" in uri or any("\ud800" <= letter <= "\udfff" for letter in uri):
        raise UsageError(f"The address of the folder {shown(uri)!a} has a character in it that is none.")
    with translated(shown(uri)):
        system, path = resolve(uri, root)
    return BackupFiles(system, path, shown(uri).rstrip("/"))


class BackupFiles:
    """Implements backup.ports.Folder."""

    def __init__(self, system: Any, path: str, name: str) -> None:
        from pyarrow import fs

        self.name = name
        self._system = system
        self._path = path.rstrip("/")
        self._local = isinstance(system, fs.LocalFileSystem)
        self._has_folders = not isinstance(system, fs.S3FileSystem)

    def below(self, name: str) -> BackupFiles:
        return BackupFiles(self._system, f"{self._path}/{name}", f"{self.name}/{name}")

    def names(self) -> list[str]:
        from pyarrow import fs

        with translated(self.name):
            if self._system.get_file_info(self._path).type is fs.FileType.File:
                raise Refused(f"{self.name} is a file, not a folder.")
            found = self._system.get_file_info(fs.FileSelector(self._path, allow_not_found=True, recursive=True))
        return sorted(info.path[len(self._path) + 1 :] for info in found if info.is_file)

    def read(self, name: str) -> bytes | None:
        with translated(self._shown(name)):
            try:
                with self._system.open_input_stream(self._at(name)) as file:
                    return file.read()
            except FileNotFoundError:
                return None
            except NotADirectoryError:
                raise UsageError(f"{self.name} is a file, not a folder.") from None

    def write(self, name: str, content: bytes) -> None:
        """On S3 a file appears when it is complete; elsewhere it gets its name then."""
        if not self._has_folders:
            with self._writing(name), self._system.open_output_stream(self._at(name)) as file:
                file.write(content)
            return
        aside = f".{name}.{secrets.token_hex(4)}"
        with self._writing(name):
            self._make()
            with self._system.open_output_stream(self._at(aside)) as file:
                file.write(content)
            self._settle(aside)
            self._system.move(self._at(aside), self._at(name))
            self._settle("")

    def remove(self, name: str) -> None:
        with translated(self._shown(name)):
            try:
                self._system.delete_file(self._at(name))
            except FileNotFoundError:
                pass

    def facts(self, name: str) -> FileFacts | None:
        digest, size = hashlib.sha256(), 0
        with translated(self._shown(name)):
            try:
                with self._system.open_input_stream(self._at(name)) as file:
                    while piece := file.read(CHUNK_BYTES):
                        digest.update(piece)
                        size += len(piece)
            except FileNotFoundError:
                return None
        return FileFacts(size, digest.hexdigest())

    @contextmanager
    def part(self, name: str, layout: Layout) -> Iterator[_Part]:
        with self._writing(name):
            self._make()
            part = _Part(self._system.open_output_stream(self._at(name)), layout, lambda: self._settle(name))
            try:
                yield part
            finally:
                part.leave()

    def pages(self, name: str, layout: Layout) -> Iterator[WholePage]:
        import pyarrow as pa
        from pyarrow import parquet

        with translated(self._shown(name)):
            try:
                with self._system.open_input_file(self._at(name)) as file, parquet.ParquetFile(file) as opened:
                    if not opened.schema_arrow.equals(schema(layout)):
                        raise Refused(f"{self._shown(name)} has other columns than the pair's.")
                    for group in range(opened.num_row_groups):  # a page as it was written, whatever its rows weigh
                        for batch in opened.iter_batches(batch_size=opened.metadata.row_group(group).num_rows, row_groups=[group]):
                            yield page(layout, batch)
            except pa.ArrowException as error:  # an OSError, of which there are other reasons, is told by `translated`
                raise Refused(f"{self._shown(name)} cannot be read: {shown(str(error))[:200]}.") from None

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path

    def _shown(self, name: str) -> str:
        return f"{self.name}/{name}"

    def _make(self) -> None:
        if self._has_folders:
            self._system.create_dir(self._path, recursive=True)

    def _settle(self, name: str) -> None:
        """On the disk itself, not in memory: what the manifest says is there must outlive the machine's next crash."""
        if not self._local:
            return
        handle = os.open(self._at(name), os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except KitError:
            raise
        except OSError as error:
            if error.errno in _FULL or "No space left" in str(error):
                hint = "Make some and run the same command again; it goes on where it stopped."
                raise Refused(f"There is no room for {self._shown(name)}.", hint=hint) from None
            if isinstance(error, PermissionError):
                raise Refused(f"{self._shown(name)} cannot be written: access is denied.", hint="Check who may write there.") from None
            told = explained(error, self._shown(name))
            told.what = told.what.replace("cannot be read", "cannot be written")
            raise told from None


class _Part:
    """Implements backup.ports.PartFile: its checksum is of the bytes as they go by."""

    def __init__(self, stream: Any, layout: Layout, settle: Any) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self._layout = layout
        self._settle = settle
        self._sink = _Summed(stream)
        packed = {name: "NONE" if name == VECTOR else "ZSTD" for name in schema(layout).names}  # vectors are noise, nothing makes them smaller
        sink = pa.PythonFile(self._sink, mode="w")
        self._writer = parquet.ParquetWriter(sink, schema(layout), compression=packed, use_dictionary=False, write_statistics=False)
        self._closed = False

    @property
    def bytes(self) -> int:
        return self._sink.size

    def add(self, page: WholePage) -> None:
        self._writer.write_batch(batch(self._layout, page))

    def close(self) -> FileFacts:
        self._writer.close()
        self._sink.close()
        self._settle()
        self._closed = True
        return FileFacts(self._sink.size, self._sink.digest.hexdigest())

    def leave(self) -> None:
        """What is half written stays so; it is in no manifest."""
        if self._closed:
            return
        for end in (self._writer.close, self._sink.close):
            try:
                end()
            except Exception:  # what went wrong before is told
                pass


class _Summed:
    """A stream as Python knows them, over one of Arrow's."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, content: Any) -> int:
        self.digest.update(content)
        self._stream.write(content)
        self.size += len(content)
        return len(content)

    def flush(self) -> None:
        pass

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._stream.close()


def schema(layout: Layout) -> pa.Schema:
    """Fields as the collection names them. JSON is kept as text."""
    import pyarrow as pa

    numbers, strings = pa.int64(), pa.string()
    types = {FieldType.INT64: numbers, FieldType.DOUBLE: pa.float64(), FieldType.BOOL: pa.bool_(), FieldType.STRING: strings, FieldType.JSON: strings}
    types |= {FieldType.INT64S: pa.list_(numbers), FieldType.DOUBLES: pa.list_(pa.float64()), FieldType.STRINGS: pa.list_(strings)}
    first = [(layout.key.name, types[layout.key.type]), (TEXT_HASH, numbers), (COLUMNS_HASH, numbers)]
    vector = (VECTOR, pa.list_(pa.float32(), layout.dimension))
    return pa.schema([*first, *((column.name, types[column.type]) for column in layout.columns), vector])


def batch(layout: Layout, page: WholePage) -> pa.RecordBatch:
    import pyarrow as pa

    whole = schema(layout)
    values: dict[str, Any] = {layout.key.name: page.keys, TEXT_HASH: page.text_hashes, COLUMNS_HASH: page.column_hashes}
    for column in layout.columns:
        as_json = column.type is FieldType.JSON
        values[column.name] = [json.dumps(value, ensure_ascii=False) for value in page.columns[column.name]] if as_json else page.columns[column.name]
    arrays = [pa.array(values[field.name], field.type) for field in whole if field.name != VECTOR]
    flat = pa.array(np.ascontiguousarray(page.vectors, dtype=np.float32).ravel())
    return pa.RecordBatch.from_arrays([*arrays, pa.FixedSizeListArray.from_arrays(flat, layout.dimension)], schema=whole)


def page(layout: Layout, batch: pa.RecordBatch) -> WholePage:
    vectors = batch.column(VECTOR).flatten().to_numpy().reshape(-1, layout.dimension)
    columns = {column.name: batch.column(column.name).to_pylist() for column in layout.columns}
    for column in layout.columns:
        if column.type is FieldType.JSON:
            columns[column.name] = [json.loads(value) for value in columns[column.name]]
    return WholePage(
        keys=batch.column(layout.key.name).to_pylist(),
        text_hashes=batch.column(TEXT_HASH).to_numpy(),
        column_hashes=batch.column(COLUMNS_HASH).to_numpy(),
        vectors=vectors,
        columns=columns,
    )
