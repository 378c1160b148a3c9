"""Golden suites: queries with human judgments, and the measures computed from them."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import ir_measures
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scripts import digests
from scripts.errors import UsageError
from scripts.gates import Gate

Run = Mapping[str, Mapping[str, float]]
"""Query id → document id → score."""

# As deep as TREC runs go, for measures that have no cutoff of their own.
UNCUT_DEPTH = 1000


class _SuiteFile(BaseModel):
    """suite.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measures: tuple[str, ...] = Field(min_length=1)
    gates: tuple[Gate, ...] = ()
    queries: str = "queries.csv"
    judgments: str = "judgments.csv"
    allow_missing_documents: bool = False


@dataclass(frozen=True)
class Suite:
    """Queries by id, qrels (query id → document id → grade), and what is asked of them."""

    name: str
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    measures: tuple[str, ...]
    gates: tuple[Gate, ...]
    allow_missing_documents: bool = False

    @cached_property
    def judged(self) -> dict[str, dict[str, int]]:
        """Qrels of the queries that can score at all: those with a relevant document (grade above 0)."""
        return {q: grades for q, grades in self.qrels.items() if q in self.queries and any(g > 0 for g in grades.values())}

    @cached_property
    def depth(self) -> int:
        """How many hits a query needs, so that the deepest measure sees all it asks for."""
        return max(ir_measures.parse_measure(name).params.get("cutoff") or UNCUT_DEPTH for name in self.measures)

    @cached_property
    def digest(self) -> str:
        """Changes when a query, a judgment, a measure or a gate does."""
        gates = [gate.model_dump() for gate in self.gates]
        return digests.of_json([self.queries, self.qrels, self.measures, gates, self.allow_missing_documents])

    def relevant_documents(self) -> dict[str, str]:
        """Every document graded above 0, with one query that names it."""
        return {doc: query for query, grades in self.judged.items() for doc, grade in grades.items() if grade > 0}


@dataclass(frozen=True)
class Measured:
    """Means over the judged queries, and each query's own values, by measure name."""

    means: dict[str, float]
    by_query: dict[str, dict[str, float]]


def measure(suite: Suite, run: Run) -> Measured:
    """The suite's measures of a run, over the judged queries. A query without results scores zero. No judged query: no means.

    Computed by ir_measures (MacAvaney et al., ECIR 2022) under its standard names.
    """
    by_query: dict[str, dict[str, float]] = {name: dict.fromkeys(suite.judged, 0.0) for name in suite.measures}
    parsed = [ir_measures.parse_measure(name) for name in suite.measures]
    answered = {query: dict(run[query]) for query in suite.judged if run.get(query)}
    for metric in ir_measures.iter_calc(parsed, suite.judged, answered) if answered else ():
        by_query[str(metric.measure)][metric.query_id] = float(metric.value)
    count = len(suite.judged)
    return Measured({name: sum(values.values()) / count for name, values in by_query.items() if count}, by_query)


def load(folder: Path) -> Suite:
    """The suite in this folder: suite.yaml, queries and judgments. Raises UsageError naming the file and the field."""
    path = folder / "suite.yaml"
    try:
        described = _SuiteFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError(f"There is no golden suite at {path}.", hint="Set `golden:` in the configuration to the suite's folder.") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        raise UsageError(f"{path}: {where}: {fault['msg'].removeprefix('Value error, ')}.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
    measures = tuple(_standard_name(name, path) for name in described.measures)
    gates = tuple(gate.model_copy(update={"measure": _standard_name(gate.measure, path)}) for gate in described.gates)
    for gate in gates:
        if gate.measure not in measures:
            raise UsageError(f"{path}: a gate asks for {gate.measure}, which is not among the measures.", hint=_nearest(gate.measure, measures))
    queries, qrels = _read_queries(folder / described.queries), _read_judgments(folder / described.judgments)
    # Ids joined wrongly would leave a few lucky queries, whose measures look better than the truth.
    if unknown := next((query for query in qrels if query not in queries), None):
        raise UsageError(f"{folder / described.judgments}: query {unknown!r} is not in {described.queries}.")
    return Suite(
        name=folder.resolve().name,
        queries=queries,
        qrels=qrels,
        measures=measures,
        gates=gates,
        allow_missing_documents=described.allow_missing_documents,
    )


def _standard_name(name: str, path: Path) -> str:
    try:
        parsed = ir_measures.parse_measure(name)
        # Some names parse and cannot be computed: a cutoff is missing, or it needs what plain judgments do not have.
        list(ir_measures.iter_calc([parsed], {"q": {"d": 1}}, {"q": {"d": 1.0}}))
    except Exception:  # ir_measures and its providers raise whatever occurs to them
        hint = _nearest(name, ["nDCG@10", "R@100", "RR@10", "P@5", "AP", "Judged@10"])
        raise UsageError(f"{path}: {name!r} is not a measure that can be computed.", hint=hint) from None
    return str(parsed)


def _nearest(name: str, known: tuple[str, ...] | list[str]) -> str:
    lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.4)
    return f"Did you mean {lowered[near[0]]}?" if near else f"Known: {', '.join(known)}."


def _read_queries(path: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    for line, row in _read_csv(path, ("query_id", "query")):
        if not row["query"].strip():
            raise UsageError(f"{path}, line {line}: query {row['query_id']!r} has no text.")
        if row["query_id"] in queries:
            raise UsageError(f"{path}, line {line}: query id {row['query_id']!r} is there twice.")
        queries[row["query_id"]] = row["query"]
    return queries


def _read_judgments(path: Path) -> dict[str, dict[str, int]]:
    """Columns query_id and grade; the one column besides them, whatever its name, holds the document's key."""
    qrels: dict[str, dict[str, int]] = {}
    for line, row in _read_csv(path, ("query_id", "grade")):
        documents = [value for name, value in row.items() if name not in ("query_id", "grade")]
        if len(documents) != 1:
            raise UsageError(f"{path}: expected three columns: query_id, the document's key, grade.")
        try:
            grade = int(row["grade"])
        except ValueError:
            raise UsageError(f"{path}, line {line}: the grade {row['grade']!r} is not a whole number.") from None
        qrels.setdefault(row["query_id"], {})[documents[0]] = grade
    return qrels


def _read_csv(path: Path, needed: tuple[str, ...]):
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for name in needed:
                if name not in (reader.fieldnames or ()):
                    raise UsageError(f"{path} has no column {name!r}; it has {', '.join(reader.fieldnames or ['none'])}.")
            for row in reader:
                if None in row or None in row.values():
                    raise UsageError(f"{path}, line {reader.line_num}: expected {len(reader.fieldnames)} columns.")
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
