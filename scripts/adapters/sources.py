"""Rows from files – Parquet, CSV, JSON Lines – and from databases, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from scripts.adapters import source_types
from scripts.adapters.source_files import SourceFile, find
from scripts.adapters.source_types import Kind, TypedSource
from scripts.errors import UsageError
from scripts.ports import Source
from scripts.records import RawRows
from scripts.settings import SourceSettings
from scripts.values import shown

ASKED_AT_ONCE = 16


def open_source(settings: SourceSettings, root: Path, password: SecretStr = SecretStr("")) -> Source:  # noqa: B008 - it is immutable
    """What `source.uri` names, relative to `root`: a database with its table or query, or files, in the order of the patterns, sorted
    within each, each file once.

    Files are looked for here; nothing is read, and no database is connected to, before it is asked for. Raises UsageError where a pattern
    matches no file, or one that has no known format; Unreachable where nothing answers or lets us in.
    """
    if settings.is_database:
        from scripts.adapters.source_sql import SqlSource

        return SqlSource(settings, root, password)
    files: dict[str, SourceFile] = {}
    for uri in settings.uri:
        for file in find(uri, root):
            files.setdefault(file.identity, file)
    return FileSource(settings, list(files.values()))


class FileSource(TypedSource):
    """The rows of some files. Their types are those of the first file that has rows."""

    def __init__(self, settings: SourceSettings, files: Sequence[SourceFile]) -> None:
        super().__init__(settings)
        self._files = files

    def read(self) -> Iterator[RawRows]:
        """Raises UsageError at the end where a file changed since the beginning: a row that moved from one that was yet to be read into one that
        had been read would seem to be gone."""
        keys = _KeysAlike(self._settings)
        versions = self._of_all(SourceFile.version)
        for file in self._files:
            first_row = 1
            for columns in file.pieces(self._settings.read_columns):
                rows = RawRows(file.shown, first_row, columns)
                if first_row == 1:
                    keys.require(rows)
                yield rows
                first_row += len(rows)
        self._of_all(SourceFile.refuse_other_than, versions)

    def rows_estimate(self) -> int | None:
        counts = self._of_all(SourceFile.rows)
        return None if None in counts else sum(filter(None, counts))

    def look_up(self) -> dict[str, Kind]:
        of_empty_files: dict[str, Kind] = {}
        for file in self._files:
            if kinds := file.kinds(self._settings.read_columns, self._settings.types):
                if file.rows() != 0:
                    return kinds
                of_empty_files = of_empty_files or kinds
        return of_empty_files

    def _of_all(self, ask: Callable[..., Any], *more: Iterable[Any]) -> list[Any]:
        with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:  # S3 takes a tenth of a second to answer, most of it waiting
            return list(threads.map(ask, self._files, *more))


class _KeysAlike:
    """Refuses files whose keys are numbers beside files whose keys are text: 123 may be what became of 00123."""

    def __init__(self, settings: SourceSettings) -> None:
        self._key = settings.key
        self._declared = settings.key in settings.types
        self._first: dict[type, str] = {}

    def require(self, rows: RawRows) -> None:
        """Looks at the first rows of a file. One file may mix them, as only JSON can."""
        kinds = {} if self._declared else source_types.key_kinds(rows.columns[self._key])
        if len(kinds) != 1:
            return
        ((kind, key),) = kinds.items()
        self._first.setdefault(kind, rows.file)
        if other := self._first.get(float if kind is str else str):
            is_, others = ("text", "numbers") if kind is str else ("a number", "text")
            raise UsageError(
                f"{rows.file}: the key {shown(key)} is {is_}, but those in {other} are {others}.",
                hint=f"Write them alike, or declare source.types: {{{self._key}: string}} if they are meant so.",
            )
