"""A suite: its queries, its judgments (qrels), the measures and the gates; read from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts import digests
from scripts.errors import UsageError
from scripts.golden.description import depth_of, nearest, read_description
from scripts.golden.formats import read_judgments, read_queries
from scripts.golden.query import Query
from scripts.quality.gates import ON_MEASURES, Gate


@dataclass(frozen=True)
class Suite:
    """Queries by id, qrels (query id → document id → grade), and what is asked of them."""

    name: str
    queries: dict[str, Query]
    qrels: dict[str, dict[str, int]]
    measures: tuple[str, ...]
    gates: tuple[Gate, ...] = ()
    max_grade: int = 3
    title: str = ""
    """The stored column that names a document; empty: one is chosen."""
    replay: Path | None = None
    """A log of real queries to replay with every validation."""

    @cached_property
    def judged(self) -> dict[str, dict[str, int]]:
        """Qrels of the queries that can score at all: those with a relevant document (grade above 0)."""
        return {q: self.qrels[q] for q in self.queries if any(grade > 0 for grade in self.qrels.get(q, {}).values())}

    @cached_property
    def slices(self) -> dict[str, frozenset[str]]:
        """Ids of the judged queries by slice, in the order in which the slices first appear; judged by nobody, a slice is empty."""
        members: dict[str, list[str]] = {name: [] for query in self.queries.values() for name in query.slices}
        for query in self.judged:
            for name in self.queries[query].slices:
                members[name].append(query)
        return {name: frozenset(queries) for name, queries in members.items()}

    @cached_property
    def depth(self) -> int:
        """How many hits a query needs, so that the deepest measure sees all it asks for."""
        return max(map(depth_of, self.measures))

    @cached_property
    def digest(self) -> str:
        """Changes when a query, a judgment, a measure or a gate does."""
        queries = {id: [q.text, q.slices, q.weight] for id, q in self.queries.items()}
        gates = [gate.model_dump() for gate in self.gates]
        return digests.of_json([queries, self.qrels, self.measures, gates])

    def relevant_documents(self) -> dict[str, str]:
        """Every document graded above 0, with one query that names it."""
        return {doc: query for query, grades in self.judged.items() for doc, grade in grades.items() if grade > 0}


def load(folder: Path) -> Suite:
    """The suite in this folder: suite.yaml, queries and judgments. Raises UsageError naming the file, the line and the field."""
    suite = read(folder)
    if not suite.queries:
        raise UsageError(f"{read_description(folder)[1].queries} has no queries.", hint='Add one with `golden add "query"`.')
    for gate in suite.gates:
        if gate.gate in ON_MEASURES and gate.slice and gate.slice not in suite.slices:
            hint = nearest(gate.slice, list(suite.slices))
            raise UsageError(f"{folder / 'suite.yaml'}: a gate is for the slice {gate.slice!r}, which no query is in.", hint=hint)
    return suite


def read(folder: Path) -> Suite:
    """A suite as it stands, which may have no query yet."""
    described, files = read_description(folder)
    queries = read_queries(files.queries)
    return Suite(
        name=folder.resolve().name,
        queries=queries,
        qrels=read_judgments(files.judgments, queries),
        measures=described.measures,
        gates=described.gates,
        max_grade=described.max_grade,
        title=described.title,
        replay=folder / described.replay if described.replay else None,
    )
