"""What is wrong with a suite, or weak: told before a validation rests on it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from scripts.golden.description import Files
from scripts.golden.query import Query, normalised
from scripts.golden.suite import Suite
from scripts.layout import FieldType
from scripts.ports import Collection
from scripts.quality.gates.measured import KnownDocuments
from scripts.quality.statistics import MIN_QUERIES, effective_queries

# Longer than anybody types, and than most models read.
LONG_TEXT = 2_000


class Severity(StrEnum):
    ERROR = "error"
    """Measures of this suite would say something wrong, or nothing."""
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    kind: str
    severity: Severity
    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.place}: {self.what}"


def check(suite: Suite, files: Files) -> list[Finding]:
    """Everything that shows without looking into a collection."""
    return [*_duplicates(suite, files), *_texts(suite, files), *_grades(suite, files), *_unjudged(suite, files), *_sizes(suite, files)]


def missing(suite: Suite, files: Files, absent: dict[str, str], collection: str) -> list[Finding]:
    """Of `missing_documents`: errors, unless the suite's own gate lets so many go."""
    allowed = next((gate.at_most for gate in suite.gates if isinstance(gate, KnownDocuments)), 0.0)
    severity = Severity.WARNING if len(absent) <= allowed * len(suite.relevant_documents()) else Severity.ERROR
    return [
        Finding("missing_document", severity, f"{files.judgments.name}, query {query!r}", f"document {document!r} is not in {collection}")
        for document, query in absent.items()
    ]


def missing_documents(suite: Suite, key_type: FieldType, collection: Collection) -> dict[str, str]:
    """Relevant documents that the collection does not hold, each with a query that names it."""
    relevant = suite.relevant_documents()
    existing = existing_documents(relevant, key_type, collection)
    return {document: query for document, query in relevant.items() if document not in existing}


def existing_documents(documents: Iterable[str], key_type: FieldType, collection: Collection) -> set[str]:
    """Those of these documents, as a suite names them, that the collection holds."""
    whole = key_type is FieldType.INT64
    keys: dict[Any, str] = {int(document) if whole else document: document for document in documents if not whole or _is_key(document)}
    return {keys[key] for key in collection.existing(list(keys))} if keys else set()


def _is_key(text: str) -> bool:
    """Whether a search could show this key: `007` never comes back as that. No row has the smallest or the largest int64, see `records`."""
    return re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text) is not None and -(2**63) < int(text) < 2**63 - 1


def _place(query: Query, files: Files) -> str:
    return f"{files.queries.name}, line {query.line}"


def _duplicates(suite: Suite, files: Files) -> Iterator[Finding]:
    """The same text twice counts twice in every mean; with other grades it also contradicts itself."""
    first: dict[str, Query] = {}
    for query in suite.queries.values():
        before = first.setdefault(normalised(query.text), query)
        if before is query:
            continue
        one, other = suite.qrels.get(before.id, {}), suite.qrels.get(query.id, {})
        contradicted = next((document for document in one if document in other and one[document] != other[document]), None)
        what = f"query {query.id!r} asks the same as {before.id!r} in line {before.line}"
        if contradicted is None:
            yield Finding("duplicate_query", Severity.WARNING, _place(query, files), what)
        else:
            what += f", and document {contradicted!r} has the grade {other[contradicted]} here, {one[contradicted]} there"
            yield Finding("duplicate_query", Severity.ERROR, _place(query, files), what)


def _texts(suite: Suite, files: Files) -> Iterator[Finding]:
    for query in suite.queries.values():
        if len(query.text) > LONG_TEXT:
            what = f"query {query.id!r} has {len(query.text):,} characters; a model reads the beginning"
            yield Finding("long_text", Severity.WARNING, _place(query, files), what)
        if not any(map(str.isalnum, query.text)):
            what = f"query {query.id!r} has no letter and no digit: {query.text[:40]!r}"
            yield Finding("no_words", Severity.WARNING, _place(query, files), what)


def _grades(suite: Suite, files: Files) -> Iterator[Finding]:
    for query, grades in suite.qrels.items():
        for document, grade in grades.items():
            place = f"{files.judgments.name}, query {query!r}"
            if grade > suite.max_grade:
                what = f"document {document!r} has the grade {grade}, above max_grade {suite.max_grade}"
                yield Finding("grade_out_of_range", Severity.ERROR, place, what)
            elif grade < 0:
                what = f"document {document!r} has the grade {grade}, which counts as not relevant"
                yield Finding("grade_out_of_range", Severity.WARNING, place, what)


def _unjudged(suite: Suite, files: Files) -> Iterator[Finding]:
    for query in suite.queries.values():
        if not suite.qrels.get(query.id):
            what = f'query {query.id!r} has no judgments: `golden add "{_shortened(query.text)}"` asks for some'
            yield Finding("unjudged_query", Severity.WARNING, _place(query, files), what)
        elif query.id not in suite.judged:
            what = f"query {query.id!r} has no relevant document, so it is not measured"
            yield Finding("no_relevant_document", Severity.WARNING, _place(query, files), what)


def _sizes(suite: Suite, files: Files) -> Iterator[Finding]:
    judged = len(suite.judged)
    if not judged:
        yield Finding("small_suite", Severity.ERROR, files.judgments.name, "no query has a relevant document: nothing can be measured")
    elif short := _too_few(suite, suite.judged):
        yield Finding("small_suite", Severity.WARNING, files.queries.name, short)
    for name, queries in suite.slices.items():
        if short := _too_few(suite, queries):
            yield Finding("small_slice", Severity.WARNING, files.queries.name, f"slice {name!r} has {short}")


def _too_few(suite: Suite, queries: Iterable[str]) -> str:
    """What these queries lack to be compared by; empty where they are enough."""
    weights = np.array([suite.queries[query].weight for query in queries])
    effective = effective_queries(weights)
    if effective >= MIN_QUERIES:
        return ""
    unequal = f", by their weights worth {effective:.0f}" if effective < weights.size - 0.5 else ""
    return f"{_queries(weights.size)} with a relevant document{unequal}: comparisons with production need {MIN_QUERIES}"


def _queries(count: int) -> str:
    return f"{count} quer{'y' if count == 1 else 'ies'}"


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
