"""Gates on the measures of judged queries."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, field_validator

from scripts.quality.gates.verdict import EXACT, ID_CHARS, GateResult, Judged, Outcome, cut, reaches, within
from scripts.quality.seen import Seen
from scripts.quality.statistics import MIN_QUERIES, effective_queries, mean_interval, queries_to_settle

# A result is stamped on the pair, where room is short.
NAMED = 5


def _above_nothing(floor: float) -> float:
    if floor <= EXACT:
        raise ValueError(f"a floor of {floor:g} says nothing: whoever finds nothing reaches it; set it above 0")
    return floor


_Floor = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_above_nothing)]


class _OnMeasure(Judged):
    measure: str
    slice: str = ""
    """Only the queries of this slice."""

    def _queries(self, seen: Seen) -> frozenset[str] | None:
        return seen.slices[self.slice] if self.slice else None

    def _named(self) -> str:
        return f"{self.measure} of {self.slice}" if self.slice else self.measure


class Floor(_OnMeasure):
    """The mean of a measure must reach `at_least`. A first pair, with no production to compare with, needs one."""

    gate: Literal["floor"] = "floor"
    at_least: _Floor

    def __str__(self) -> str:
        return f"{self._named()} >= {self.at_least:g}"

    def judge(self, seen: Seen) -> GateResult:
        value = seen.candidate.mean(self.measure, self._queries(seen))
        if value is None:
            return self.result(Outcome.INCONCLUSIVE, "not measured: no judged query")
        return self.limited(reaches(value, self.at_least), f"{value:.4f} against a floor of {self.at_least:g}", candidate=value)


class QueryFloor(_OnMeasure):
    """Every single query, or every one of a slice, must reach `at_least`: for searches that may never break."""

    gate: Literal["query_floor"] = "query_floor"
    at_least: _Floor

    def __str__(self) -> str:
        return f"every query's {self._named()} >= {self.at_least:g}"

    def judge(self, seen: Seen) -> GateResult:
        values = self.values(seen)
        if not values:
            return self.result(Outcome.INCONCLUSIVE, "not measured: no judged query")
        below = self.below(seen)
        worst = min(values.values())
        why = f"{len(below)} of {len(values)} queries are below {self.at_least:g}" + (f", first of all {below[0]!r} with {worst:.4f}" if below else "")
        return self.limited(not below, why, candidate=worst, worst=tuple(cut(query, ID_CHARS) for query in below[:NAMED]))

    def below(self, seen: Seen) -> list[str]:
        """The queries that miss it, worst first."""
        values = self.values(seen)
        return sorted((query for query, value in values.items() if not reaches(value, self.at_least)), key=values.__getitem__)

    def values(self, seen: Seen) -> dict[str, float]:
        """Each query that has this floor, with its value."""
        asked = self._queries(seen)
        return {query: value for query, value in seen.candidate.by_query.get(self.measure, {}).items() if asked is None or query in asked}


class MaxLoss(_OnMeasure):
    """The mean may be at most `at_most` below production's. Judged by the interval of the paired differences: all of it must lie above the
    tolerated loss to pass, all of it below to fail."""

    gate: Literal["max_loss"] = "max_loss"
    at_most: float = Field(ge=0, allow_inf_nan=False)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)

    def __str__(self) -> str:
        return f"{self._named()} >= production - {self.at_most:g}"

    def judge(self, seen: Seen) -> GateResult:
        baseline = seen.baseline
        if baseline.absent:
            return self.result(Outcome.NOT_APPLICABLE, "there is no production to compare with")
        if baseline.measured is None:
            return self.result(Outcome.INCONCLUSIVE, f"production {baseline.pair} was not measured: {baseline.unmeasured_because}")
        asked = self._queries(seen)
        ours, theirs = seen.candidate.by_query.get(self.measure, {}), baseline.measured.by_query.get(self.measure, {})
        queries = [query for query in ours if query in theirs and (asked is None or query in asked)]
        differences = np.array([ours[query] - theirs[query] for query in queries])
        weights = np.array([seen.candidate.weights[query] for query in queries])
        if not np.isfinite(differences).all():
            odd = queries[int(np.argmin(np.isfinite(differences)))]
            return self.result(Outcome.INCONCLUSIVE, f"of query {odd!r} {self.measure} is not a number")
        if too_few := _too_few(weights):
            return self.result(Outcome.INCONCLUSIVE, too_few)
        interval = mean_interval(differences, weights, self.confidence)
        candidate, production = seen.candidate.mean(self.measure, set(queries)), baseline.measured.mean(self.measure, set(queries))
        why = (
            f"{candidate:.4f} against production's {production:.4f}: a change of {candidate - production:+.4f}, "
            f"{100 * self.confidence:g}% interval {interval.low:+.4f} to {interval.high:+.4f} over {len(queries)} queries"
        )
        figures = {"candidate": candidate, "production": production, "interval": interval, "limit": -self.at_most}
        if interval.low >= -self.at_most:
            return self.result(Outcome.PASS, why, **figures)
        if interval.high < -self.at_most:
            return self.result(Outcome.FAIL, why, **figures)
        needed = queries_to_settle(differences, weights, interval, -self.at_most)
        settled = (
            f"about {needed - len(queries):,} more judged queries like these would settle it"
            if needed
            else "no number of queries would settle it: the change is the tolerated loss, or as good as that"
        )
        return self.result(Outcome.INCONCLUSIVE, f"{why}; {settled}", **figures)


class EnoughJudged(_OnMeasure):
    """Too little of what the candidate shows was ever judged: what it scores says nothing. Below `at_least` is inconclusive, and so are the
    gates on measures that would fail."""

    gate: Literal["judged"] = "judged"
    measure: str = "Judged@10"
    at_least: float = Field(ge=0, le=1)

    @field_validator("measure")
    @classmethod
    def _of_judged(cls, measure: str) -> str:
        if not measure.lower().startswith("judged"):
            raise ValueError(f"the gate judged is on Judged@k, such as Judged@10, not on {measure}")
        return measure

    def __str__(self) -> str:
        return f"{self._named()} >= {self.at_least:g}"

    def judge(self, seen: Seen) -> GateResult:
        value = seen.candidate.mean(self.measure, self._queries(seen))
        if value is None:
            return self.result(Outcome.INCONCLUSIVE, "not measured: no judged query")
        why = f"{value:.0%} of what the candidate shows is judged"
        if reaches(value, self.at_least):
            return self.result(Outcome.PASS, why, candidate=value)
        return self.result(Outcome.INCONCLUSIVE, f'{why}, less than {self.at_least:.0%}: grade its new results with `golden add "query"`', candidate=value)


class KnownDocuments(Judged):
    """`at_most` this share of the relevant documents may be missing from the collection. Where more are, judgments and source do not belong
    together, and nothing can be said."""

    gate: Literal["judgments"] = "judgments"
    at_most: float = Field(default=0.0, ge=0, le=1)

    def __str__(self) -> str:
        return f"relevant documents that the collection lacks <= {100 * self.at_most:g}%"

    def judge(self, seen: Seen) -> GateResult:
        if seen.missing is None:
            return self.result(Outcome.INCONCLUSIVE, seen.unseen.get("missing", "not looked for"))
        share = seen.missing.missing / max(seen.missing.relevant, 1)
        why = f"{seen.missing.missing:,} of {seen.missing.relevant:,} relevant documents are not in the collection"
        if within(share, self.at_most):
            return self.result(Outcome.PASS, why, candidate=share)
        named = "; ".join(seen.missing.examples[:2])
        return self.result(Outcome.INCONCLUSIVE, f"{why} ({named}): mend the judgments, or set this gate's at_most", candidate=share)


def _too_few(weights: np.ndarray) -> str:
    """Why an interval would say nothing; empty where it does. A few queries that weigh more than all others are few queries."""
    count, effective = len(weights), effective_queries(weights)
    if effective >= MIN_QUERIES - 1e-6:
        return ""
    if count < MIN_QUERIES:
        return f"{count} judged queries are too few to compare by: {MIN_QUERIES - count} more are needed"
    return f"{count} judged queries count by their weights as {effective:.0f}, too few to compare by: {MIN_QUERIES} are needed; make the weights more alike"
