"""Rows from local files: Parquet, CSV and JSON Lines, streamed."""

from __future__ import annotations

import glob
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from scripts.adapters.source_formats import FORMATS, Columns, Format, Unusable, require
from scripts.adapters.source_types import Kind
from scripts.addresses import shown
from scripts.config import SourceSettings
from scripts.errors import UsageError
from scripts.layout import Column, FieldType
from scripts.records import RawRows


def open_source(settings: SourceSettings, root: Path) -> FileSource:
    """The files that `source.uri` names, relative to `root`: in the order of the patterns, sorted within each, each file once.

    Raises UsageError where a pattern matches no file, or one that has no known format.
    """
    paths = {path.resolve(): path for uri in settings.uri for path in _paths(uri, root)}
    return FileSource(settings, [_file(path, root) for path in paths.values()])


class FileSource:
    """The rows of some files. Types are looked up once, in the first file that has rows, and only when they are asked for."""

    def __init__(self, settings: SourceSettings, files: Sequence[_File]) -> None:
        self._settings = settings
        self._files = files

    @cached_property
    def key(self) -> Column:
        key = self._column(self._settings.key, Kind.for_key)
        if key.type not in (FieldType.INT64, FieldType.STRING):
            raise UsageError(f"The key {key.name} is {key.type}, but a key is int64 or string.", hint="Name another column as source.key.")
        return key

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return tuple(self._column(name, Kind.for_column) for name in self._settings.columns)

    def read(self) -> Iterator[RawRows]:
        for file in self._files:
            first_row = 1
            for columns in file.pieces(self._settings.read_columns):
                rows = RawRows(file.shown, first_row, columns)
                yield rows
                first_row += len(rows)

    def rows_estimate(self) -> int | None:
        counts = [file.rows() for file in self._files]
        return None if None in counts else sum(filter(None, counts))

    def _column(self, name: str, type_of: Callable[[Kind], FieldType]) -> Column:
        kinds, declared = self._kinds, self._settings.types.get(name)
        if not kinds and not declared:
            raise UsageError("The source has no rows.", hint="Check source.uri.")
        return Column(name=name, type=declared or type_of(kinds[name]))

    @cached_property
    def _kinds(self) -> dict[str, Kind]:
        """Empty where no file has rows, nor a schema."""
        empty_last = sorted(self._files, key=lambda file: file.rows() == 0)
        return next(filter(None, (file.kinds(self._settings.read_columns, self._settings.types) for file in empty_last)), {})


def _paths(uri: str, root: Path) -> list[Path]:
    with _blaming(f"source.uri {shown(uri)}"):
        if found := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", uri):
            address = urlsplit(uri)
            if found[1].lower() != "file" or address.netloc not in ("", "localhost"):
                raise Unusable("only local paths in this version", hint="Copy the files to this machine first.")
            uri = unquote(address.path)
        if (root / uri).is_file():
            return [root / uri]
        if (root / uri).is_dir():
            raise Unusable("is a folder", hint="Name its files, for example with /*.parquet at the end.")
        paths = sorted(path for name in glob.glob(uri, root_dir=root, recursive=True) if (path := root / name).is_file())
        if not paths:
            raise Unusable(f"no file matches in {root}")
        return paths


def _file(path: Path, root: Path) -> _File:
    shown = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    for ending, format_ in FORMATS.items():
        if path.name.lower().endswith(ending):
            return _File(path, shown, format_)
    raise UsageError(f"{shown} has no format that can be read.", hint=f"These can: {', '.join(FORMATS)}.")


@dataclass(frozen=True, slots=True)
class _File:
    """A file and how to read it. Whatever is wrong with it is told with its name."""

    path: Path
    shown: str
    format: Format

    def pieces(self, columns: Sequence[str]) -> Iterator[Columns]:
        with _blaming(self.shown):
            yield from self.format.pieces(self.path, columns)

    def kinds(self, columns: Sequence[str], declared: Collection[str]) -> dict[str, Kind]:
        """Of these columns and perhaps others. A declared column may be one that the first rows lack."""
        with _blaming(self.shown):
            kinds = self.format.kinds(self.path, columns)
            if kinds:
                require([name for name in columns if name not in declared], list(kinds))
            return kinds

    def rows(self) -> int | None:
        with _blaming(self.shown):
            return self.format.rows(self.path)


_UNREADABLE = (OSError, EOFError, zlib.error, ValueError, OverflowError, RecursionError, pa.ArrowException, KeyError)


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    """Turns what fails within into a UsageError that names the file."""
    try:
        yield
    except Unusable as error:
        raise UsageError(f"{name}: {error}.", hint=error.hint) from None
    except _UNREADABLE as error:
        raise UsageError(f"{name} cannot be read: {error}.") from None
