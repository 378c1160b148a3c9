"""Quepid: what a case exports as Basic (CSV), RRE or plain JSON, or LTR.

Columns and keys are those of Quepid's own source (app/controllers/api/v1/export and its views) as of version 8 and, where they were others,
before. Of its other exports Detailed has only the documents that are on the screen, TREC names queries by number alone, and that of a book has
a column per rater.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.errors import UsageError
from scripts.golden.formats import column_names, grade_of
from scripts.golden.imports.collecting import Collecting, Imported
from scripts.golden.lines import File, lines, whole
from scripts.golden.query import Query
from scripts.golden.tables import Format, rows

_COLUMNS = {"query": ("query",), "document": ("docid", "doc_id"), "rating": ("rating",)}
# `3 qid:17 # 1370 star trek`
_LTR = re.compile(r"(?P<rating>\S+)\s+qid:(?P<qid>\S+)\s*#\s*(?P<document>\S+)\s+(?P<query>.*\S)")


@dataclass(frozen=True, slots=True)
class _Rated:
    """A rating, or a query or document that nobody has rated."""

    query: str
    document: str
    rating: Any
    place: str


def read_quepid(source: Path) -> Imported:
    """The queries with at least one rating; Quepid exports no ids, so they are numbered. Raises UsageError naming the file and the line."""
    rated = {".json": _json, ".txt": _ltr}.get(source.suffix.lower(), _csv)
    collecting = Collecting(f"{source.name} (Quepid)")
    ids: dict[str, str] = {}
    for each in rated(source):
        # A text that begins with = + - @ is exported with a space before it, so that no spreadsheet runs it.
        text = each.query.strip()
        if each.rating in (None, "") or not each.document.strip():
            collecting.drop("rows without a rating", f"{each.place}: {text[:40]!r}")
            continue
        id = ids.setdefault(text, f"q{len(ids) + 1}")
        collecting.judge(id, each.document, grade_of(each.rating, f"{source}, {each.place}"), each.place)
    for text, id in ids.items():
        collecting.ask(Query(id, text), f"query {text[:40]!r}")
    return collecting.imported()


def _csv(file: File) -> Iterator[_Rated]:
    for row in rows(file, Format.CSV):
        names = column_names(row.values, _COLUMNS)
        if len(names) != len(_COLUMNS):
            there = ", ".join(row.values)
            hint = "Export the case as Basic; a book has a column per rater, its case has the rating."
            raise UsageError(f"{file}, line 1: expected the columns query, docid and rating; there are: {there}.", hint=hint)
        yield _Rated(*(row.values[names[role]] for role in _COLUMNS), f"line {row.line}")


def _ltr(file: File) -> Iterator[_Rated]:
    for number, text in lines(file):
        if not text.strip():
            continue
        found = _LTR.fullmatch(text.strip())
        if not found:
            hint = "Of Quepid's text exports only LTR has the queries' texts."
            raise UsageError(f"{file}, line {number}: expected `rating qid:… # document query`.", hint=hint)
        yield _Rated(found["query"], found["document"], found["rating"], f"line {number}")


def _json(file: File) -> Iterator[_Rated]:
    try:
        value = json.loads(whole(file))
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair, as JSON can write it, is a ValueError
        for number, query in enumerate(value["queries"], start=1):
            yield from _of_query(query, f"query {number}")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON: {error}.") from None
    except (KeyError, TypeError, AttributeError):
        hint = "Export the case as RRE or Basic."
        raise UsageError(f"{file} is no export of Quepid's: expected `queries`, each with a text and its ratings.", hint=hint) from None


def _of_query(query: dict[str, Any], place: str) -> Iterator[_Rated]:
    """RRE has documents with their gain, and had gains with their documents; plain JSON has ratings."""
    text = query["query"] if "query" in query else query["placeholders"]["$query"]
    if not isinstance(text, str):
        raise TypeError(text)
    rated = query.get("ratings") or query.get("relevant_documents") or {}
    if not rated:
        yield _Rated(text, "", None, place)
    for name, value in rated.items():
        if isinstance(value, list):
            yield from (_Rated(text, str(document), name, place) for document in value)
        else:
            yield _Rated(text, name, value["gain"] if isinstance(value, dict) else value, place)
