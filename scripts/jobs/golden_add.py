"""`golden add`: a query's results side by side, and a person's grades of what any of the pairs shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scripts import catalogue, golden
from scripts.catalogue import Catalogue, Entry
from scripts.encoding import stamped_encoder
from scripts.errors import Refused, UsageError
from scripts.golden import Query, Suite, checking
from scripts.golden.description import read_description
from scripts.golden.pooling import Pooled, Ranking, pool
from scripts.golden.query import normalised
from scripts.golden.writing import Appending
from scripts.pair import State
from scripts.ports import Hit, Parts
from scripts.quality.asking import title_column
from scripts.report.words import printable

Grader = Callable[[Sequence[Pooled], int], Iterable[tuple[str, int]]]
"""Asks a person about documents that nobody has graded, given the highest grade: key and grade, as each is given. May end early."""

_WIDTH = 58


@dataclass(frozen=True)
class Wanted:
    """Which query, in which pair besides production, how deep; and grades by key that are known without asking."""

    text: str
    id: str = ""
    pair: str = ""
    depth: int = 10
    slices: tuple[str, ...] = ()
    grades: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Added:
    """`grades` are all of the query, those of before included; `recorded` those that were given now."""

    query: Query
    new: bool
    rankings: tuple[Ranking, ...]
    pool: tuple[Pooled, ...]
    grades: Mapping[str, int]
    recorded: Mapping[str, int]
    exit_code: int = 0

    @property
    def ungraded(self) -> int:
        return sum(document.key not in self.grades for document in self.pool)

    def lines(self) -> list[str]:
        graded = f"{len(self.pool) - self.ungraded} of the {len(self.pool)} documents that are shown are graded"
        known = "not in the suite yet" if self.new and not self.recorded else f"query {self.query.id!r}{', which is new' if self.new else ''}"
        hint = " Grade with --grade KEY=GRADE, or in a terminal." if self.ungraded else ""
        return [
            f"{self.query.text!r}: {known}.",
            "".join(f"{f'{ranking.role} {ranking.pair}':{_WIDTH + 2}}" for ranking in self.rankings).rstrip(),
            *self._side_by_side(),
            f"{len(self.recorded)} recorded; {graded}.{hint}",
        ]

    def facts(self) -> dict[str, Any]:
        return {
            "query": {"id": self.query.id, "text": self.query.text, "new": self.new},
            "pairs": {ranking.role: ranking.pair for ranking in self.rankings},
            "pool": [{"key": each.key, "title": each.title, "ranks": dict(each.ranks), "grade": each.grade} for each in self.pool],
            "recorded": dict(self.recorded),
            "ungraded": self.ungraded,
        }

    def _side_by_side(self) -> list[str]:
        titles = {document.key: document.title for document in self.pool}
        columns = [[self._cell(rank, str(hit.key), titles) for rank, hit in enumerate(ranking.hits, start=1)] for ranking in self.rankings]
        rows = max(map(len, columns), default=0)
        cells = [[column[row] if row < len(column) else "" for column in columns] for row in range(rows)]
        return ["".join(f"{cell:{_WIDTH + 2}}" for cell in row).rstrip() for row in cells]

    def _cell(self, rank: int, key: str, titles: Mapping[str, str]) -> str:
        """Rank, grade (· for none), key and title."""
        return printable(f"{rank:>3} {self.grades.get(key, '·'):>3}  {key}  {titles[key]}")[:_WIDTH]


def golden_add(parts: Parts, wanted: Wanted, grader: Grader | None = None) -> Added:
    """Every grade is written as it is given, so that what stops this loses none; the same command goes on where it stopped.

    A query that the suite has, by text or id, gets more judgments. Raises UsageError for grades and ids that do not fit, Refused where there
    is no pair to ask or a document has another grade already.
    """
    folder = parts.settings.golden_folder
    suite, (_, files) = golden.read(folder), read_description(folder)
    query, new = _query(suite, wanted)
    before = suite.qrels.get(query.id, {})
    _refuse_grades(wanted.grades, before, suite.max_grade)
    book = Appending(files, query, new=new)
    entries = _asked(catalogue.read(parts.store, parts.settings), wanted.pair)
    rankings = tuple(
        Ranking(entry.pair.collection, role, _hits(entry, query.text, wanted.depth, parts), title_column(entry, suite.title))
        for role, entry in entries.items()
    )
    pooled = pool(query.text, rankings, before)
    _refuse_unknown(wanted.grades, pooled, entries.values(), parts)

    recorded: dict[str, int] = {}
    for key, grade in wanted.grades.items():
        if key not in before:
            book.judge(key, grade)
            recorded[key] = grade
    if grader is not None:
        for key, grade in grader([document for document in pooled if document.key not in {**before, **recorded}], suite.max_grade):
            book.judge(key, grade)
            recorded[key] = grade
    grades = {**before, **recorded}
    return Added(query, new, rankings, tuple(replace(document, grade=grades.get(document.key)) for document in pooled), grades, recorded)


def _query(suite: Suite, wanted: Wanted) -> tuple[Query, bool]:
    """The suite's own where it has it, else a new one."""
    text = " ".join(wanted.text.split())
    if not text:
        raise UsageError("The query has no text.")
    try:
        f"{text}{wanted.id}".encode()
    except UnicodeEncodeError:
        raise UsageError("The query is not text in UTF-8.") from None
    known = next((query for query in suite.queries.values() if normalised(query.text) == normalised(text)), None)
    named = suite.queries.get(wanted.id) if wanted.id else known
    if wanted.id and known and known is not named:
        raise UsageError(f"The suite has {text!r} as {known.id!r}, not as {wanted.id!r}.", hint="Leave --id out.")
    if named and named is not known and normalised(named.text) != normalised(text):
        raise UsageError(f"The suite's query {named.id!r} is {named.text!r}, not {text!r}.", hint="Give the new query another --id.")
    if named and wanted.slices and set(wanted.slices) - set(named.slices):
        raise UsageError(f"The suite has {text!r} already, as {named.id!r}.", hint="Put it into other slices in its file.")
    return (named, False) if named else (Query(wanted.id or _next_id(suite), text, wanted.slices), True)


def _next_id(suite: Suite) -> str:
    """One more than the suite's own numbers, written as its last id is."""
    last = re.fullmatch(r"(.*?)([0-9]+)", next(reversed(suite.queries), "q0"))
    if last is None:
        return next(id for number in range(1, len(suite.queries) + 2) if (id := f"q{number}") not in suite.queries)
    prefix, width = last[1], len(last[2])
    numbers = (int(id[len(prefix) :]) for id in suite.queries if id.startswith(prefix) and re.fullmatch("[0-9]{1,18}", id[len(prefix) :]))
    return f"{prefix}{max(numbers, default=0) + 1:0{width}}"


def _refuse_grades(grades: Mapping[str, int], before: Mapping[str, int], highest: int) -> None:
    for key, grade in grades.items():
        if not 0 <= grade <= highest:
            raise UsageError(f"The grade {grade} of {key} is not from 0 to {highest}.", hint="suite.yaml sets max_grade.")
        if before.get(key, grade) != grade:
            raise Refused(f"{key} has the grade {before[key]} already.", hint="To change a grade, edit the suite's judgments.")


def _asked(world: Catalogue, pair: str) -> dict[str, Entry]:
    """The pairs to search, by role."""
    entries = {"production": world.production} if world.production else {}
    if pair and not (world.production and world.production.pair.collection == pair):
        entries["candidate"] = world.find(pair)
    if not entries:
        raise Refused(f"The alias {world.alias} does not point to a pair.", hint="Name one with --pair.")
    return entries


def _hits(entry: Entry, text: str, depth: int, parts: Parts) -> list[Hit]:
    """With the pair's own model and prompts, from its physical collection."""
    name = entry.pair.collection
    collection = parts.store.open(name)
    if entry.state is State.BUILDING or not collection.is_loaded():
        raise Refused(f"{name} is {'still building' if entry.state is State.BUILDING else 'not loaded'}.", hint=f"Run `finish --pair {name}`.")
    encoder = stamped_encoder(parts.registry, entry.stamp, parts.settings.model_cache)
    fields = [column.name for column in entry.stamp.layout.columns]
    return collection.search(encoder.queries([text]), depth, fields=fields)[0]


def _refuse_unknown(grades: Mapping[str, int], pooled: Sequence[Pooled], entries: Iterable[Entry], parts: Parts) -> None:
    """A person may grade what no pair shows, and should where it is what they look for; but it must exist."""
    unknown = grades.keys() - {document.key for document in pooled}
    for entry in entries if unknown else ():
        unknown -= checking.existing_documents(unknown, entry.stamp.layout.key.type, parts.store.open(entry.pair.collection))
    if unknown:
        raise UsageError(f"There is no document {min(unknown)!r} in the pairs that were searched.")
