"""The two arms of a canary, counted and compared."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from scripts.canary import Arm
from scripts.canary_outcomes import NO_CANARY, Event, QueryId, Reading
from scripts.errors import KitError, UsageError
from scripts.percentiles import PERCENTS, nearest_rank

CONFIDENCE = 0.95
FEWEST_QUERIES = 50
"""In each arm; of fewer nothing is said. The golden gates ask for as many."""
TOO_MANY = 100_000_000


class Verdict(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no difference shown"
    TOO_FEW = "too few queries"


@dataclass
class Tally:
    """What one arm was asked. A query counts as clicked once, however often it was."""

    pairs: set[str] = field(default_factory=set)
    answered: int = 0
    errors: int = 0
    clicked: int = 0
    milliseconds: array[float] = field(default_factory=lambda: array("f"))

    @property
    def rate(self) -> float | None:
        return self.clicked / self.answered if self.answered else None

    def latency(self) -> dict[str, float] | None:
        """Milliseconds, by nearest rank, of the answers that say how long they took; None where there is none."""
        taken = np.asarray(self.milliseconds)
        ordered = np.sort(taken[~np.isnan(taken)])
        return {f"p{percent}": nearest_rank(ordered, percent) for percent in PERCENTS} if len(ordered) else None

    def facts(self) -> dict[str, Any]:
        return {
            "pairs": sorted(self.pairs),
            "answered": self.answered,
            "errors": self.errors,
            "clicked": self.clicked,
            "click_rate": self.rate,
            "milliseconds": self.latency(),
        }


@dataclass(frozen=True)
class Difference:
    """Of the candidate's click rate minus production's, with its interval."""

    of: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        if self.low > 0:
            return Verdict.BETTER
        return Verdict.WORSE if self.high < 0 else Verdict.NO_DIFFERENCE


@dataclass
class Comparison:
    """Of one canary. `overlaps` are those of the mirrored answers."""

    canary: str
    production: Tally = field(default_factory=Tally)
    candidate: Tally = field(default_factory=Tally)
    mirrored: bool = False
    overlaps: array[float] = field(default_factory=lambda: array("f"))
    others: tuple[str, ...] = ()
    """Canaries that the files tell of as well."""
    unreadable: int = 0

    @property
    def enough(self) -> bool:
        fewest = min(self.production.answered + self.production.errors, self.candidate.answered + self.candidate.errors)
        return fewest >= FEWEST_QUERIES

    @property
    def difference(self) -> Difference | None:
        """None where nothing can be said of clicks: too few queries, a mirror, whose answers nobody sees, or no feedback at all."""
        ours, theirs = self.candidate, self.production
        if self.mirrored or min(ours.answered, theirs.answered) < FEWEST_QUERIES or not ours.clicked + theirs.clicked:
            return None
        return newcombe(ours.clicked, ours.answered, theirs.clicked, theirs.answered)

    @property
    def verdict(self) -> Verdict | None:
        if not self.enough:
            return Verdict.TOO_FEW
        return self.difference.verdict if self.difference else None

    @property
    def more_queries(self) -> int | None:
        """How many more queries, divided as until now, it would take for the interval to leave out 0, if both rates stayed what they are and the
        interval narrowed with the root of their number. None where it leaves it out already, or no sensible number would do."""
        seen = self.difference
        if seen is None or seen.verdict is not Verdict.NO_DIFFERENCE or seen.of == 0:
            return None
        asked = self.candidate.answered + self.production.answered
        reach = seen.of - seen.low if seen.of > 0 else seen.high - seen.of
        needed = asked * (reach / seen.of) ** 2
        return max(math.ceil(needed - asked), 1) if needed < TOO_MANY else None


def newcombe(ours: int, of_ours: int, theirs: int, of_theirs: int, confidence: float = CONFIDENCE) -> Difference:
    """The difference of two independent proportions with its hybrid score interval: method 10 of R. G. Newcombe, "Interval estimation for the
    difference between independent proportions: comparison of eleven methods", Statistics in Medicine 17 (1998), 873-890. It is built from the
    Wilson interval of each, and stays within -1 and 1."""
    from scipy.stats import binomtest

    p, q = ours / of_ours, theirs / of_theirs
    one = binomtest(ours, of_ours).proportion_ci(confidence_level=confidence, method="wilson")
    other = binomtest(theirs, of_theirs).proportion_ci(confidence_level=confidence, method="wilson")
    return Difference(
        of=p - q,
        low=p - q - math.hypot(p - one.low, other.high - q),
        high=p - q + math.hypot(one.high - p, q - other.low),
    )


def compare(outcomes: Reading, canary: str = "") -> Comparison:
    """Of the canary with this id, or of the one that was asked last. Reads twice: feedback may be in another file than its query.

    In memory are the ids of clicked queries and one number for each query. Raises UsageError where the files do not tell of it.
    """
    clicked: set[str] = set()
    last: dict[str, int] = {}
    for outcome in outcomes:
        query = _query(outcome)
        if query is None or outcome["event"] == Event.MIRROR:
            continue
        if outcome["event"] == Event.FEEDBACK:
            if outcome.get("clicked") is True and canary in ("", query.canary):
                clicked.add(str(query))
        elif query.at_ms > last.get(query.canary, 0):
            last[query.canary] = query.at_ms
    if not last:
        raise UsageError(f"The files tell of no query in a canary ({outcomes.unreadable:,} lines cannot be read).", hint="Did one run while they were written?")
    chosen = canary or max(last, key=lambda each: last[each])
    if chosen not in last:
        raise UsageError(f"The files tell nothing of canary {canary}.", hint=f"They tell of {', '.join(sorted(last))}.")
    comparison = Comparison(chosen, others=tuple(sorted(last.keys() - {chosen})))
    _count(comparison, outcomes, clicked)
    comparison.unreadable = outcomes.unreadable
    return comparison


def _count(comparison: Comparison, outcomes: Iterable[dict[str, Any]], clicked: set[str]) -> None:
    for outcome in outcomes:
        query = _query(outcome)
        if query is None or query.canary != comparison.canary or outcome["event"] == Event.FEEDBACK:
            continue
        mirrored = outcome["event"] == Event.MIRROR
        tally = comparison.candidate if mirrored or query.arm is Arm.CANDIDATE else comparison.production
        comparison.mirrored = comparison.mirrored or mirrored
        tally.pairs.add(str(outcome.get("pair", "")))
        if outcome.get("error"):
            tally.errors += 1
            continue
        tally.answered += 1
        tally.clicked += not mirrored and str(query) in clicked
        tally.milliseconds.append(_number(outcome.get("ms")))
        if mirrored and "overlap" in outcome:
            comparison.overlaps.append(_number(outcome["overlap"]))


def _query(outcome: dict[str, Any]) -> QueryId | None:
    """None for an id that no searcher gave."""
    try:
        query = QueryId.parse(str(outcome["query"]))
    except KitError:
        return None
    return query if query.canary != NO_CANARY else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan

