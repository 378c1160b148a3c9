"""Tables as suites and logs of queries have them: CSV, TSV, JSON Lines and TREC qrels, each row with the line where it begins."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scripts.errors import UsageError
from scripts.golden.lines import File, lines

GRADE = re.compile(r"[+-]?[0-9]{1,4}(\.0*)?")
TREC_COLUMNS = ("query_id", "iteration", "doc_id", "grade")


class Format(StrEnum):
    CSV = "CSV"
    TSV = "TSV"
    """Fields are as they stand between tabs: a quotation mark is a quotation mark."""
    JSONL = "JSON Lines"
    TREC = "TREC qrels"


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    values: dict[str, Any]
    """By the names of the header in lower case; strings, but in JSON Lines what JSON has."""


_BY_SUFFIX = {".csv": Format.CSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".json": Format.JSONL}


def format_of(file: File) -> Format:
    """By the file's name where that says it, else by its first line."""
    suffix = file.suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    first = next((text for _, text in lines(file) if text.strip()), "")
    fields = first.split()
    if len(fields) == len(TREC_COLUMNS) and GRADE.fullmatch(fields[-1]):
        return Format.TREC
    if suffix == ".tsv" or "\t" in first:
        return Format.TSV
    return Format.JSONL if first.lstrip().startswith("{") else Format.CSV


def columns(file: File, format: Format) -> list[str]:
    """Names in the order of the header, in lower case; of JSON Lines the first row's."""
    match format:
        case Format.TREC:
            return list(TREC_COLUMNS)
        case Format.JSONL:
            return next((list(row.values) for row in rows(file, format)), [])
        case _:
            return next((_names(record, file, line) for line, record in _records(lines(file), file, format) if record), [])


def rows(file: File, format: Format) -> Iterator[Row]:
    """Blank lines are left out. Raises UsageError naming file and line."""
    return (row for row in rows_of(lines(file), file, format) if row)


def rows_of(numbered: Iterator[tuple[int, str]], file: File, format: Format) -> Iterator[Row | None]:
    """As `rows`, of the numbered lines of `file`; None for a blank one below the header."""
    if format is Format.JSONL:
        yield from _objects(numbered, file)
        return
    if format is Format.TREC:
        yield from _judged(numbered, file)
        return
    records = _records(numbered, file, format)
    names = next((_names(record, file, line) for line, record in records if record), None)
    if names is None:
        raise UsageError(f"{file} is empty: expected a header, with the names of its columns.")
    for line, record in records:
        if record and len(record) != len(names):
            raise UsageError(f"{file}, line {line}: expected {len(names)} columns ({', '.join(names)}), found {len(record)}.")
        yield Row(line, dict(zip(names, record, strict=True))) if record else None


def _names(record: list[str], file: File, line: int) -> list[str]:
    names = [name.strip().lower() for name in record]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"{file}, line {line}: column {twice!r} is there twice.")
    if len(names) == 1 and ";" in names[0]:
        raise UsageError(f"{file}, line {line}: its columns are separated by semicolons.", hint="Save it with commas.")
    return names


def _records(numbered: Iterator[tuple[int, str]], file: File, format: Format) -> Iterator[tuple[int, list[str]]]:
    """A blank line is a record of nothing."""
    if format is Format.TSV:
        for number, text in numbered:
            yield number, text.rstrip("\r\n").split("\t") if text.strip() else []
        return
    reader = csv.reader((text for _, text in numbered), strict=True)
    begins = 1
    try:
        while (record := next(reader, None)) is not None:
            yield begins, record
            begins = reader.line_num + 1  # a field can run over several lines
    except csv.Error as error:
        raise UsageError(f"{file}, line {begins}: not CSV: {error}.") from None


def _objects(numbered: Iterator[tuple[int, str]], file: File) -> Iterator[Row | None]:
    for number, text in numbered:
        if not text.strip():
            yield None
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{file}, line {number}: not JSON: {error}.", hint="Each line is one JSON object.") from None
        if not isinstance(value, dict):
            raise UsageError(f"{file}, line {number}: expected a JSON object, found {str(value)[:40]!r}.")
        yield Row(number, {name.lower(): inner for name, inner in value.items()})


def _judged(numbered: Iterator[tuple[int, str]], file: File) -> Iterator[Row | None]:
    for number, text in numbered:
        fields = text.split()
        if fields and len(fields) != len(TREC_COLUMNS):
            expected = "the four columns of TREC qrels (query, iteration, document, grade)"
            raise UsageError(f"{file}, line {number}: expected {expected}, found {len(fields)}.")
        yield Row(number, dict(zip(TREC_COLUMNS, fields, strict=True))) if fields else None
