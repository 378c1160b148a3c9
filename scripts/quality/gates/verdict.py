"""What a gate says, and what all of them say together: pass, fail or inconclusive, and only pass promotes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from scripts.quality.statistics import Interval

# Results are stamped on the pair, where 64 KB are all there is: keys, ids and prompts, which are named, can be long.
WHY_CHARS, GATE_CHARS, ID_CHARS = 500, 200, 60


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


# Sums of floats: a mean of 0.3 may come out as 0.29999999999999998, and is 0.3.
EXACT = 1e-9


def reaches(value: float, limit: float) -> bool:
    """Whether it is at least that. What is not a number reaches nothing."""
    return value >= limit - EXACT


def within(value: float, limit: float) -> bool:
    """Whether it is at most that. What is not a number is within nothing."""
    return value <= limit + EXACT


def cut(text: str, most: int) -> str:
    """At most so many characters of it; an ellipsis says that there were more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not applicable"
    """A comparison with production where there is no production yet. It never counts towards a pass."""


class GateResult(BaseModel):
    """What one gate says of what was seen."""

    model_config = ConfigDict(frozen=True)

    gate: str
    """As the suite has it, in words."""
    kind: str
    outcome: Outcome
    why: str
    candidate: float | None = None
    production: float | None = None
    interval: Interval | None = None
    """Of the mean difference to production, where the gate judges one."""
    limit: float | None = None
    """The change that this interval is held against, negative for a loss."""
    worst: tuple[str, ...] = ()
    """The first queries that fell below their floor, worst first."""


class Judged(BaseModel):
    """Base of every gate kind: a value in suite.yaml, frozen, with no field that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def result(self, outcome: Outcome, why: str, **figures: Any) -> GateResult:
        kind: str = self.gate  # type: ignore[attr-defined]
        return GateResult(gate=cut(str(self), GATE_CHARS), kind=kind, outcome=outcome, why=cut(why, WHY_CHARS), **figures)

    def limited(self, good: bool, why: str, **figures: Any) -> GateResult:
        return self.result(Outcome.PASS if good else Outcome.FAIL, why, **figures)
