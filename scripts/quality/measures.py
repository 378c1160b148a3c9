"""The measures of a run: per query, and their means over all queries or a slice."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import ir_measures

if TYPE_CHECKING:
    from scripts.golden import Suite

Run = Mapping[str, Mapping[str, float]]
"""Query id → document id → score."""


@dataclass(frozen=True)
class Measured:
    """Each judged query's value, by measure name and then query id; a weighted mean over any of them."""

    by_query: dict[str, dict[str, float]] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    """Of every judged query."""

    def mean(self, measure: str, queries: Collection[str] | None = None) -> float | None:
        """Over all judged queries, or those of `queries` that are judged; None where there are none, or the measure was not computed."""
        values = self.by_query.get(measure, {})
        asked = [query for query in values if queries is None or query in queries]
        total = sum(self.weights[query] for query in asked)
        return sum(values[query] * self.weights[query] for query in asked) / total if total else None

    def joined(self, other: Measured) -> Measured:
        """Of this one's queries and, after them, of the other's."""
        names = dict.fromkeys([*self.by_query, *other.by_query])
        return Measured({name: self.by_query.get(name, {}) | other.by_query.get(name, {}) for name in names}, self.weights | other.weights)

    @property
    def means(self) -> dict[str, float]:
        return {measure: mean for measure in self.by_query if (mean := self.mean(measure)) is not None}


def measure(suite: Suite, run: Run, queries: Sequence[str] | None = None) -> Measured:
    """The suite's measures of a run, over the judged queries, or over these of them. A query without results scores zero. No judged query: no means.

    Computed by ir_measures (MacAvaney et al., ECIR 2022) under its standard names.
    """
    judged = suite.judged if queries is None else {query: suite.judged[query] for query in queries}
    by_query: dict[str, dict[str, float]] = {name: dict.fromkeys(judged, 0.0) for name in suite.measures}
    parsed = [ir_measures.parse_measure(name) for name in suite.measures]
    answered = {query: dict(run[query]) for query in judged if run.get(query)}
    for metric in ir_measures.iter_calc(parsed, judged, answered) if answered else ():
        by_query[str(metric.measure)][metric.query_id] = float(metric.value)
    return Measured(by_query, {query: suite.queries[query].weight for query in judged})
