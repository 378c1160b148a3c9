"""A log of real queries, read as far as it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts import digests
from scripts.errors import UsageError
from scripts.golden.formats import as_text
from scripts.golden.lines import endless_lines
from scripts.golden.tables import Format, Row, rows_of

LIMIT = 1000
NAMES = ("query", "text", "q")
"""What the column with the query may be called, in this order."""
_FORMATS = {".csv": Format.CSV, ".tsv": Format.TSV, ".tab": Format.TSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL}


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

    @property
    def digest(self) -> str:
        return digests.of_json(self.queries)

    def told(self) -> str:
        """In words, for the first line of a result."""
        read = f"{self.entries:,} entries{'' if self.complete else ' read'}, {self.blank:,} blank, {self.repeated:,} repeated"
        return f"{len(self.queries):,} distinct queries of {self.name} ({read})"


def read_log(path: Path, limit: int = LIMIT) -> Log:
    """The first `limit` distinct queries of a .csv, .tsv or .jsonl with a column `query`, `text` or `q`, or of any other file with one a line.

    Stops reading once it has them. Blank entries and repetitions are counted and left out. Raises UsageError, naming the line, for what is too
    long, not UTF-8 or not of that form, and where there is no query at all.
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
    format = _FORMATS.get(path.suffix.lower())
    numbered = endless_lines(path)
    if format:
        yield from (_query(row, path) if row else "" for row in rows_of(numbered, path, format))
    else:
        yield from (text for _, text in numbered)


def _query(row: Row, path: Path) -> str:
    name = next((name for name in NAMES if name in row.values), None)
    if name is None:
        there = ", ".join(row.values)[:200] or "nothing"
        raise UsageError(f"{path}, line {row.line} has no column called {', '.join(NAMES[:-1])} or {NAMES[-1]}; it has {there}.")
    return "" if row.values[name] is None else as_text(row.values[name], "the query", path, row)
