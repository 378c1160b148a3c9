"""What an import takes and what it leaves, counted with reasons."""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.errors import UsageError
from scripts.golden.query import Query

EXAMPLES = 3


@dataclass(slots=True)
class Dropped:
    """What was left out for one reason."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


@dataclass(frozen=True)
class Imported:
    """Queries with judgments, both in the order of the source; `dropped` by reason."""

    source: str
    queries: dict[str, Query]
    qrels: dict[str, dict[str, int]]
    dropped: dict[str, Dropped]

    @property
    def judgments(self) -> int:
        return sum(map(len, self.qrels.values()))

    @property
    def grades(self) -> tuple[int, int]:
        """The lowest and the highest."""
        every = {grade for grades in self.qrels.values() for grade in grades.values()}
        return min(every), max(every)


class Collecting:
    """Takes judgments, then queries, and keeps what has both."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._queries: dict[str, Query] = {}
        self._qrels: dict[str, dict[str, int]] = {}
        self._dropped: dict[str, Dropped] = {}

    def drop(self, reason: str, example: str) -> None:
        self._dropped.setdefault(reason, Dropped()).add(example)

    def judge(self, query: str, document: str, grade: int, place: str) -> None:
        before = self._qrels.setdefault(query, {}).setdefault(document, grade)
        if before != grade:
            example = f"{place}: query {query!r}, document {document!r}, {grade} after {before}"
            self.drop("judgments that contradict an earlier one, which is kept", example)

    def judged_as(self, query: str) -> str:
        """The id by which this query is judged. TREC has topics numbered 051 whose judgments say 51."""
        return query.lstrip("0") if query not in self._qrels and query.isdigit() and query.lstrip("0") in self._qrels else query

    def ask(self, query: Query, place: str) -> None:
        if query.id not in self._qrels:
            self.drop("queries without judgments", f"{place}: {query.id!r}")
        elif not query.text.strip():
            self.drop("queries without text", f"{place}: {query.id!r}")
        elif "\0" in query.text:
            self.drop("queries with a zero byte", f"{place}: {query.id!r}")
        elif query.id in self._queries:
            self.drop("queries whose id is there already", f"{place}: {query.id!r}")
        else:
            self._queries[query.id] = query

    def imported(self) -> Imported:
        """Raises UsageError where nothing is left."""
        qrels = {query: self._qrels[query] for query in self._queries}
        for query in self._qrels.keys() - qrels.keys():
            for document in self._qrels[query]:
                self.drop("judgments of a query that is not there", f"query {query!r}, document {document!r}")
        if not qrels:
            why = "; ".join(f"{reason}: {dropped.count:,}, first {dropped.examples[0]}" for reason, dropped in self._dropped.items())
            raise UsageError(f"{self._source} has no query with a judgment.", hint=f"Left out: {why}." if why else "")
        return Imported(self._source, self._queries, qrels, self._dropped)
