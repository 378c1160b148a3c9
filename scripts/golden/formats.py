"""Queries and judgments as files have them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.errors import UsageError
from scripts.golden.lines import File
from scripts.golden.query import Query
from scripts.golden.tables import GRADE, Format, Row, format_of, rows

# What columns are called: by the kit, by BEIR and by others. Of several the first counts.
QUERY_COLUMNS = {
    "id": ("query_id", "query-id", "id", "_id", "qid"),
    "text": ("query", "text"),
    "slice": ("slice", "slices"),
    "weight": ("weight",),
}
JUDGMENT_COLUMNS = {"query": ("query_id", "query-id", "qid"), "grade": ("grade", "score", "relevance", "rating")}
# Ids and slices are named in what is stamped on a pair, where 64 KB are all there is.
MAX_ID, MAX_SLICE = 256, 100
# Beyond, sums of floats overflow or forget their smallest parts.
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6
_TREC_ITERATION = "iteration"


@dataclass(frozen=True, slots=True)
class Judgment:
    line: int
    query: str
    document: str
    grade: int


def read_queries(file: File) -> dict[str, Query]:
    """By id, in the order of the file. Raises UsageError on a query without text and on an id that is there twice."""
    known: dict[str, Query] = {}
    for query in queries(file):
        if not query.text.strip():
            raise UsageError(f"{file}, line {query.line}: query {query.id!r} has no text.")
        if query.id in known:
            raise UsageError(f"{file}, line {query.line}: query id {query.id!r} is there twice, first in line {known[query.id].line}.")
        known[query.id] = query
    return known


def read_judgments(file: File, known: Collection[str]) -> dict[str, dict[str, int]]:
    """Grades by query and document. The same judgment may be there twice; two different ones raise UsageError, and so does a query that is
    not `known`: ids joined wrongly would leave a few lucky queries, whose measures look better than the truth."""
    qrels: dict[str, dict[str, int]] = {}
    for judgment in judgments(file):
        if judgment.query not in known:
            raise UsageError(f"{file}, line {judgment.line}: query {judgment.query!r} is not among the queries.")
        grades = qrels.setdefault(judgment.query, {})
        if grades.setdefault(judgment.document, judgment.grade) != judgment.grade:
            raise UsageError(
                f"{file}, line {judgment.line}: document {judgment.document!r} of query {judgment.query!r} has the grade {judgment.grade} "
                f"here and {grades[judgment.document]} before.",
                hint="Leave one of them.",
            )
    return qrels


def queries(file: File) -> Iterator[Query]:
    """Every query as it stands there, also one without text, and the same id again.

    Columns query_id (or id, _id), query (or text), and where they are there slice, with several separated by semicolons, and weight.
    """
    for row, names in _named(file, query_columns):
        values = {role: row.values[name] for role, name in names.items()}
        yield Query(
            id=bounded(_id(values["id"], "the query's id", file, row), "the query's id", MAX_ID, f"{file}, line {row.line}"),
            text=as_text(values["text"], "the query's text", file, row),
            slices=_slices(values.get("slice"), file, row),
            weight=_weight(values.get("weight"), file, row),
            line=row.line,
        )


def judgments(file: File) -> Iterator[Judgment]:
    """Every judgment as it stands there. TREC qrels have four columns and no header; others have query_id (or query-id), grade (or score)
    and one column besides, whatever its name, with the document's key."""
    for row, names in _named(file, judgment_columns):
        yield Judgment(
            row.line,
            _id(row.values[names["query"]], "the query's id", file, row),
            _id(row.values[names["document"]], "the document's key", file, row),
            grade_of(row.values[names["grade"]], f"{file}, line {row.line}"),
        )


def query_columns(names: Collection[str], place: str) -> dict[str, str]:
    """Which column holds the id, the text and, where there are such, the slice and the weight."""
    known = column_names(names, QUERY_COLUMNS)
    for role, called in (("id", "the query's id (query_id or id)"), ("text", "its text (query or text)")):
        if role not in known:
            raise UsageError(f"{place}: no column for {called}; there are: {', '.join(names) or 'none'}.")
    return known


def judgment_columns(names: Collection[str], place: str) -> dict[str, str]:
    """Which column holds the query, the document and the grade."""
    known = column_names(names, JUDGMENT_COLUMNS)
    documents = [name for name in names if name not in known.values() and name != _TREC_ITERATION]
    if len(known) != len(JUDGMENT_COLUMNS) or len(documents) != 1:
        expected = "three columns, query_id, the document's key and grade, or TREC qrels without a header"
        raise UsageError(f"{place}: expected {expected}; there are: {', '.join(names) or 'none'}.")
    return {**known, "document": documents[0]}


def column_names(names: Collection[str], wanted: dict[str, Sequence[str]]) -> dict[str, str]:
    """By role, of these names the first that goes by it."""
    return {role: found for role, known in wanted.items() if (found := next((name for name in known if name in names), None))}


def grade_of(value: Any, place: str) -> int:
    """A whole number, also as text or as 1.0. Raises UsageError."""
    text = repr(value) if type(value) in (int, float) else value
    if not isinstance(text, str) or not GRADE.fullmatch(text.strip()):
        raise UsageError(f"{place}: the grade {str(value)[:40]!r} is not a whole number of at most four digits.")
    return int(text.strip().partition(".")[0])


def _named(file: File, columns: Callable[[Collection[str], str], dict[str, str]]) -> Iterator[tuple[Row, dict[str, str]]]:
    """Rows with their columns by role: those of the header, but of JSON Lines each row's own."""
    format = format_of(file)
    names: dict[str, str] = {}
    for row in rows(file, format):
        if format is Format.JSONL:
            names = columns(row.values, f"{file}, line {row.line}")
        yield row, names or (names := columns(row.values, f"{file}, line 1"))


def _id(value: Any, what: str, file: File, row: Row) -> str:
    text = str(value) if type(value) is int else as_text(value, what, file, row)
    if not text.strip():
        raise UsageError(f"{file}, line {row.line}: {what} is empty.")
    return text


def as_text(value: Any, what: str, file: File, row: Row) -> str:
    """Raises UsageError, naming the line, on what is not a text."""
    if not isinstance(value, str):
        raise UsageError(f"{file}, line {row.line}: {what} is {str(value)[:40]!r}, not a text.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{file}, line {row.line}: {what} has half a surrogate pair.") from None
    return value


def _slices(value: Any, file: File, row: Row) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else ("" if value is None else as_text(value, "the slice", file, row)).split(";")
    names = (as_text(part, "the slice", file, row).strip() for part in parts)
    return tuple(dict.fromkeys(bounded(name, "the slice", MAX_SLICE, f"{file}, line {row.line}") for name in names if name))


def bounded(text: str, what: str, most: int, place: str) -> str:
    """The text. Raises UsageError, naming the place, where it has more characters than `most`."""
    if len(text) > most:
        raise UsageError(f"{place}: {what} {text[:40]!r}… has {len(text):,} characters, more than {most}.")
    return text


def _weight(value: Any, file: File, row: Row) -> float:
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value) if type(value) in (int, float, str) else math.nan
    except (ValueError, OverflowError):
        weight = math.nan
    if not (MIN_WEIGHT <= weight <= MAX_WEIGHT):
        raise UsageError(f"{file}, line {row.line}: the weight {str(value)[:40]!r} is not a number from 0.000001 to 1,000,000.")
    return weight
