"""A log of real queries, read as far as it is needed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.errors import UsageError

LIMIT = 1000
NAMES = ("query", "text", "q")
"""What the column with the query may be called, in this order."""
_COMMAS, _TABS, _JSON = (".csv",), (".tsv", ".tab"), (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Log:
    """The first distinct queries of a log, in its order."""

    name: str
    queries: tuple[str, ...]
    entries: int
    """How many were read for them."""
    blank: int = 0
    repeated: int = 0
    complete: bool = True
    """Whether the log was read to its end."""

    def told(self) -> str:
        """In words, for the first line of a result."""
        read = f"{self.entries:,} entries{'' if self.complete else ' read'}, {self.blank:,} blank, {self.repeated:,} repeated"
        return f"{len(self.queries):,} distinct queries of {self.name} ({read})"


def read_log(path: Path, limit: int = LIMIT) -> Log:
    """The first `limit` distinct queries of a .csv, .tsv or .jsonl with a column `query`, `text` or `q`, or of any other file with one a line.

    Stops reading once it has them. Blank entries and repetitions are counted and left out. Raises UsageError, naming the line, for what is not
    UTF-8 or not of that form, and where there is no query at all.
    """
    queries: dict[str, None] = {}
    entries = blank = repeated = 0
    complete = True
    for text in _texts(path):
        query = text.strip()
        if query and query not in queries and len(queries) == limit:
            complete = False
            break
        entries += 1
        blank += not query
        repeated += query in queries
        if query:
            queries[query] = None
    if not queries:
        raise UsageError(f"{path} has no queries.", hint=f"It has one a line, or a column called {', '.join(NAMES[:-1])} or {NAMES[-1]} (.csv, .tsv, .jsonl).")
    return Log(path.name, tuple(queries), entries, blank, repeated, complete)


def _texts(path: Path) -> Iterator[str]:
    suffix = path.suffix.lower()
    read = _of_csv if suffix in _COMMAS else _of_tsv if suffix in _TABS else _of_json if suffix in _JSON else _of_text
    try:
        with path.open("rb") as file:
            yield from read(path, _lines(path, file))
    except OSError as error:
        raise UsageError(f"The query log {path} cannot be read: {error.strerror or error}.") from None


def _lines(path: Path, file: Iterable[bytes]) -> Iterator[str]:
    """Each with its line end, as the csv module wants them."""
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            byte = f"byte {error.start + 1} is 0x{line[error.start]:02x}"
            raise UsageError(f"{path}, line {number} is not UTF-8: {byte}.", hint="Save the log as UTF-8.") from None


def _of_text(path: Path, lines: Iterator[str]) -> Iterator[str]:
    return lines


def _of_csv(path: Path, lines: Iterator[str]) -> Iterator[str]:
    reader = csv.reader(lines, strict=True)
    try:
        position, columns = _column(path, next(reader, []))
        for row in reader:
            if row and len(row) != columns:
                raise UsageError(f"{path}, line {reader.line_num}: expected {columns} columns, found {len(row)}.")
            yield row[position] if row else ""
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: {error}.") from None


def _of_tsv(path: Path, lines: Iterator[str]) -> Iterator[str]:
    """Tabs part the columns and a quotation mark is one: people search for "exact phrases"."""
    position, columns = _column(path, next(lines, "").rstrip("\r\n").split("\t"))
    for number, line in enumerate(lines, start=2):
        row = line.rstrip("\r\n").split("\t")
        if any(row) and len(row) != columns:
            raise UsageError(f"{path}, line {number}: expected {columns} columns, found {len(row)}.")
        yield row[position] if any(row) else ""


def _column(path: Path, header: list[str]) -> tuple[int, int]:
    """Where the query stands, and of how many columns."""
    names = [name.strip().lower() for name in header]
    found = next((name for name in NAMES if name in names), None)
    if found is None:
        raise UsageError(f"{path} has no column called {', '.join(NAMES[:-1])} or {NAMES[-1]}; it has {', '.join(header)[:200] or 'nothing'}.")
    return names.index(found), len(header)


def _of_json(path: Path, lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            yield ""
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}, line {number} is not JSON: {error}.") from None
        names = [name for name in NAMES if name in entry] if isinstance(entry, dict) else []
        query = entry[names[0]] if names else 0
        if not isinstance(query, str | None):
            raise UsageError(f"{path}, line {number} has no text under {', '.join(NAMES[:-1])} or {NAMES[-1]}.")
        yield _encodable(query or "", f"{path}, line {number}")


def _encodable(text: str, place: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can write half a character
        raise UsageError(f"{place} has half a character: {text[:60]!r}.") from None
    return text
