"""File formats: each gives pieces of rows, the kinds of its columns, and the number of rows where it knows it."""

from __future__ import annotations

import codecs
import difflib
import gzip
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet

from scripts.adapters import source_types
from scripts.adapters.source_types import Kind
from scripts.records import PART_BYTES

ROWS_AT_ONCE = 4096
CSV_BLOCK_BYTES = 8 << 20  # also the longest row that can be read
# With these and without pre_buffer, no column of a whole row group is held in memory. Over a network each is one request.
BUFFER_BYTES = 1 << 20
REMOTE_BUFFER_BYTES = 4 << 20

Columns = dict[str, list[Any]]


class Unusable(Exception):
    """What is wrong with a file, said without its name."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Place:
    """A file: its file system and its path there."""

    system: pyarrow.fs.FileSystem
    path: str

    @property
    def buffer_bytes(self) -> int:
        return BUFFER_BYTES if isinstance(self.system, pyarrow.fs.LocalFileSystem) else REMOTE_BUFFER_BYTES

    @property
    def is_compressed(self) -> bool:
        return self.path.lower().endswith(".gz")

    def parquet(self) -> pa.parquet.ParquetFile:
        return pa.parquet.ParquetFile(self.path, filesystem=self.system, buffer_size=self.buffer_bytes, pre_buffer=False)

    def stream(self, *, decompress: bool) -> pa.NativeFile:
        compression = "gzip" if decompress and self.is_compressed else None
        return self.system.open_input_stream(self.path, compression, self.buffer_bytes)


class Format(Protocol):
    def pieces(self, file: Place, columns: Sequence[str]) -> Iterator[Columns]: ...

    def kinds(self, file: Place, columns: Sequence[str]) -> dict[str, Kind]:
        """Empty where the file does not tell, because it has no rows."""
        ...

    def rows(self, file: Place) -> int | None:
        """None where only reading would tell."""
        ...


class _Parquet:
    def pieces(self, file: Place, columns: Sequence[str]) -> Iterator[Columns]:
        with file.parquet() as parquet:
            require(columns, parquet.schema_arrow.names)
            for batch in parquet.iter_batches(_rows_at_once(parquet.metadata, columns), columns=columns):
                yield _plain(batch)

    def kinds(self, file: Place, columns: Sequence[str]) -> dict[str, Kind]:
        first = next(self.pieces(file, columns), {})
        with file.parquet() as parquet:
            gaps = {name for name, values in first.items() if None in values} | _columns_with_nulls(parquet.metadata)
            types = {name: source_types.of_arrow(parquet.schema_arrow.field(name).type) for name in columns}
        return {name: Kind(type_, missing=name in gaps) for name, type_ in types.items()}

    def rows(self, file: Place) -> int:
        with file.parquet() as parquet:
            return parquet.metadata.num_rows


def _rows_at_once(metadata: pa.parquet.FileMetaData, columns: Sequence[str]) -> int:
    """Fewer where rows are heavy, as far as the first of them tell."""
    if not metadata.num_row_groups:
        return ROWS_AT_ONCE
    first = metadata.row_group(0)
    chunks = map(first.column, range(metadata.num_columns))
    weight = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.partition(".")[0] in columns)
    of_one = weight // max(first.num_rows, 1)
    return max(1, min(ROWS_AT_ONCE, PART_BYTES // max(of_one, 1)))


def _columns_with_nulls(metadata: pa.parquet.FileMetaData) -> set[str]:
    chunks = (metadata.row_group(group).column(i) for group in range(metadata.num_row_groups) for i in range(metadata.num_columns))
    return {chunk.path_in_schema for chunk in chunks if chunk.statistics and chunk.statistics.null_count}


class _Delimited:
    """CSV and its like. Every column is read as bytes, so that 00123 stays what it is."""

    END = b"\0end\0"

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter

    def pieces(self, file: Place, columns: Sequence[str]) -> Iterator[Columns]:
        rows, ended = 0, False
        try:
            with file.stream(decompress=True) as stream, self._open(stream) as header:
                names = header.schema.names
            require(columns, names)
            # pyarrow takes the rest of the file for a value where a quote is never closed. Then this last row goes the same way, and is missed.
            end = b"\n" + self._delimiter.encode().join([self.END] * len(names)) + b"\n"
            with file.stream(decompress=True) as stream, self._open(_Followed(stream, end), columns) as batches:
                for batch in batches:
                    if len(batch) and all(column[-1].as_py() == self.END for column in batch.columns):
                        ended = True
                    count = len(batch) - 1 if ended else len(batch)
                    rows += count
                    for start in range(0, count, ROWS_AT_ONCE):
                        yield _plain(batch.slice(start, min(ROWS_AT_ONCE, count - start)))
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                return
            raise self._understood(error, rows) from None
        if not ended:
            raise Unusable(f"row {rows} opens a quote that nothing closes")

    @staticmethod
    def _understood(error: pa.ArrowInvalid, rows: int) -> Exception:
        if "straddling" in str(error):
            return Unusable(f"a row after row {rows} is longer than {CSV_BLOCK_BYTES >> 20} MiB", hint="Is a quote left open?")
        if found := re.search(r"Row #(\d+): (.*)", str(error), re.DOTALL):
            return Unusable(f"row {int(found[1]) - 1}: {found[2]}")
        return error

    def kinds(self, file: Place, columns: Sequence[str]) -> dict[str, Kind]:
        first = next(self.pieces(file, columns), {})
        return {name: source_types.of_words(words) for name, words in first.items()}

    def rows(self, file: Place) -> None:
        return None

    def _open(self, stream: Any, columns: Sequence[str] = ()) -> pa.csv.CSVStreamingReader:
        return pa.csv.open_csv(
            stream,
            read_options=pa.csv.ReadOptions(block_size=CSV_BLOCK_BYTES, use_threads=False),  # threads cannot say which row is malformed
            parse_options=pa.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.binary())),
        )


class _Followed(io.RawIOBase):
    """A stream with some more bytes after its end."""

    def __init__(self, stream: pa.NativeFile, more: bytes) -> None:
        self._stream, self._more = stream, io.BytesIO(more)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._stream.readinto(buffer) or self._more.readinto(buffer)


class _JsonLines:
    def pieces(self, file: Place, columns: Sequence[str]) -> Iterator[Columns]:
        rows = _json_objects(file)
        while some := list(islice(rows, ROWS_AT_ONCE)):
            yield {name: [strings_as_bytes(row.get(name)) for row in some] for name in columns}

    def kinds(self, file: Place, columns: Sequence[str]) -> dict[str, Kind]:
        rows = list(islice(_json_objects(file), ROWS_AT_ONCE))
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: source_types.of_values(row.get(name) for row in rows) for name in names}

    def rows(self, file: Place) -> None:
        return None


def _json_objects(file: Place) -> Iterator[dict[str, Any]]:
    """Empty lines are none. Bytes that are not UTF-8 come as surrogates, as Python's file names do."""
    with file.stream(decompress=False) as stream, gzip.open(stream) if file.is_compressed else io.BufferedReader(stream, BUFFER_BYTES) as lines:
        for number, line in enumerate(lines, start=1):
            if line.isspace():
                continue
            try:
                row = json.loads(line.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape"))
            except (ValueError, RecursionError) as error:
                raise Unusable(f"line {number} is not JSON: {error}") from None
            if not isinstance(row, dict):
                raise Unusable(f"line {number} is not a JSON object")
            yield row


def strings_as_bytes(value: Any) -> Any:
    """Whoever decodes these bytes meets what stood in the file. A half of a surrogate pair, written as \\ud83d, is no UTF-8 either."""
    if isinstance(value, str):
        try:
            return value.encode(errors="surrogateescape")
        except UnicodeEncodeError:
            return value.encode(errors="surrogatepass")
    if isinstance(value, list):
        return [strings_as_bytes(item) for item in value]
    if isinstance(value, dict):
        return {strings_as_bytes(name): strings_as_bytes(inner) for name, inner in value.items()}
    return value


def _plain(batch: pa.RecordBatch) -> Columns:
    """Python values, with strings as bytes: what is not UTF-8 is found in its row, and does not fail the whole file."""
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        maps = "strict" if pa.types.is_nested(column.type) else None  # asking for it costs pyarrow's fast path, ten times
        columns[name] = column.cast(source_types.as_bytes(column.type), safe=False).to_pylist(maps_as_pydicts=maps)
    return columns


def require(columns: Sequence[str], available: Sequence[str]) -> None:
    for name in columns:
        if name not in available:
            near = difflib.get_close_matches(name, available, n=1)
            raise Unusable(f"there is no column {name}, only {', '.join(available)}", hint=f"Did you mean {near[0]}?" if near else "")
        if available.count(name) > 1:
            raise Unusable(f"more than one column is named {name}")


FORMATS: dict[str, Format] = {
    ".parquet": _Parquet(),
    ".csv": _Delimited(","),
    ".csv.gz": _Delimited(","),
    ".tsv": _Delimited("\t"),
    ".tsv.gz": _Delimited("\t"),
    ".jsonl": _JsonLines(),
    ".jsonl.gz": _JsonLines(),
    ".ndjson": _JsonLines(),
    ".ndjson.gz": _JsonLines(),
}
