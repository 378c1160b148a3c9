"""Writing suites: new ones whole or not at all, existing ones by appending, so that a person's edits stay and the difference is small."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scripts import outputs
from scripts.errors import Refused, UsageError
from scripts.golden.description import Files
from scripts.golden.formats import MAX_ID, MAX_SLICE, bounded, judgment_columns, query_columns
from scripts.golden.imports.collecting import Imported
from scripts.golden.lines import lines
from scripts.golden.query import Query
from scripts.golden.suite import load
from scripts.golden.tables import Format, columns, format_of

_DESCRIPTION = """\
# Imported from {source}: {queries:,} queries, {judgments:,} judgments with grades from {lowest} to {highest}.
# Measures have the names of ir_measures (https://ir-measur.es): nDCG@10, R@100, RR@10, P@5, AP, Judged@10 and others.
measures: [nDCG@10, R@100, RR@10, Judged@10]
max_grade: {max_grade}
gates:
  # A first pair, with no production to compare with, must reach this. Validate a pair that is good enough, then set it a little below.
  - {{gate: floor, measure: nDCG@10, at_least: 0.1}}
  # Every later pair may lose this much against production, measured in the same run.
  - {{gate: max_loss, measure: nDCG@10, at_most: 0.02}}
  # Where less than this of what a pair shows was ever judged, its measures say little: the verdict is inconclusive.
  - {{gate: judged, measure: Judged@10, at_least: 0.2}}
"""


def write_suite(folder: Path, imported: Imported) -> None:
    """A new suite, there in whole or not at all. Raises Refused where the folder exists."""
    if folder.exists() and not _is_empty(folder):
        raise Refused(f"{folder} exists already.", hint="Import into another folder, or remove this one first.")
    lowest, highest = imported.grades
    described = _DESCRIPTION.format(
        source=" ".join(imported.source.split()),
        queries=len(imported.queries),
        judgments=imported.judgments,
        lowest=lowest,
        highest=highest,
        max_grade=max(1, highest),
    )
    grades = ((query, document, grade) for query, graded in imported.qrels.items() for document, grade in graded.items())
    aside = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        aside.mkdir(parents=True)
        (aside / "suite.yaml").write_text(described, encoding="utf-8")
        _write_csv(aside / "queries.csv", ("query_id", "query"), ((query.id, query.text) for query in imported.queries.values()))
        _write_csv(aside / "judgments.csv", ("query_id", "doc_id", "grade"), grades)
        load(aside)
        aside.rename(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class Appending:
    """Adds to a suite's files what a person says, in the format that they have, each time whole or not at all.

    Raises UsageError at once where the files cannot take it: before the person has been asked.
    """

    def __init__(self, files: Files, query: Query, *, new: bool) -> None:
        self._files = files
        self._query = query
        self._new = new
        if new:
            self._query_line()
        self._judgment_line("0", 0)
        for file in {files.queries, files.judgments}:
            if not os.access(file, os.W_OK) or not os.access(file.resolve().parent, os.W_OK):
                raise UsageError(f"{file} cannot be written: no permission.")

    def judge(self, document: str, grade: int) -> None:
        """The query goes first: a query without judgments is a suite, judgments without their query are none."""
        line = self._judgment_line(document, grade)
        if self._new:
            _append(self._files.queries, self._query_line())
            self._new = False
        _append(self._files.judgments, line)

    def _query_line(self) -> str:
        file, query = self._files.queries, self._query
        bounded(query.id, "the query's id", MAX_ID, str(file))
        for slice in query.slices:
            bounded(slice, "the slice", MAX_SLICE, str(file))
        format = format_of(file)
        names = columns(file, format) or ["query_id", "query"]
        by_role = query_columns(names, f"{file}, line 1")
        values: dict[str, Any] = {by_role["id"]: query.id, by_role["text"]: query.text}
        if format is Format.JSONL:
            return _json_line(values | ({by_role.get("slice", "slice"): list(query.slices)} if query.slices else {}))
        if query.slices and "slice" not in by_role:
            raise UsageError(f"{file} has no column for slices.", hint="Add a column `slice` to it first.")
        if "slice" in by_role:
            values[by_role["slice"]] = ";".join(query.slices)
        return _separated([values.get(name, "") for name in names], format, file)

    def _judgment_line(self, document: str, grade: int) -> str:
        file = self._files.judgments
        format = format_of(file)
        names = columns(file, format) or ["query_id", "doc_id", "grade"]
        by_role = judgment_columns(names, f"{file}, line 1")
        values: dict[str, Any] = {by_role["query"]: self._query.id, by_role["document"]: document, by_role["grade"]: grade}
        if format is Format.JSONL:
            return _json_line(values)
        return _separated([values.get(name, 0) for name in names], format, file)


def _json_line(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False)


def _separated(values: Sequence[Any], format: Format, file: Path) -> str:
    if format is Format.CSV:
        buffer = io.StringIO()
        quoting = csv.QUOTE_NONNUMERIC if _first_line(file).startswith('"') else csv.QUOTE_MINIMAL
        csv.writer(buffer, quoting=quoting).writerow(values)
        return buffer.getvalue().removesuffix("\r\n")
    fields = [str(value) for value in values]
    if format is Format.TREC:
        if odd := next((field for field in fields if len(field.split()) != 1), None):
            raise UsageError(f"{file}: {odd!r} cannot be written into TREC qrels, whose columns have no spaces.", hint="Keep the judgments as CSV.")
        return ("\t" if "\t" in _first_line(file) else " ").join(fields)
    if odd := next((field for field in fields if any(mark in field for mark in "\t\r\n")), None):
        raise UsageError(f"{file}: {odd!r} cannot be written between tabs.", hint="Keep the file as CSV.")
    return "\t".join(fields)


def _append(file: Path, line: str) -> None:
    """As the file ends its lines. What others have added to it meanwhile stays."""
    newline = "\r\n" if _first_line(file).endswith("\r\n") else "\n"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from None
    if content and not content.endswith(b"\n"):
        content += newline.encode()
    outputs.replace(file, content + (line + newline).encode())


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is None


def _first_line(file: Path) -> str:
    return next((text for _, text in lines(file)), "")


def _write_csv(file: Path, header: Sequence[str], records: Iterable[Sequence[Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        # Else a carriage return within a text would be read as the end of its line.
        writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(header)
        writer.writerows(records)
