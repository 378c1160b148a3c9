"""Gates and verdicts: pass, fail or inconclusive, and only pass promotes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not applicable"
    """A comparison with production where there is no production yet. It never counts towards a pass."""


class Gate(BaseModel):
    """One condition on one measure: an absolute floor, or the most that may be lost against production."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: str
    at_least: float | None = Field(default=None)
    max_loss: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one_condition(self) -> Gate:
        if (self.at_least is None) == (self.max_loss is None):
            raise ValueError("a gate has exactly one of at_least (a floor) and max_loss (against production)")
        return self

    def __str__(self) -> str:
        if self.at_least is not None:
            return f"{self.measure} >= {self.at_least:g}"
        return f"{self.measure} >= production - {self.max_loss:g}"


class GateResult(BaseModel):
    model_config = ConfigDict(frozen=True)

    gate: str
    outcome: Outcome
    candidate: float | None
    production: float | None
    why: str


class Baseline(BaseModel):
    """Production's means, or why there are none. `pair` is empty where there is no production at all."""

    model_config = ConfigDict(frozen=True)

    pair: str = ""
    means: dict[str, float] = Field(default_factory=dict)
    unmeasured_because: str = ""
    foreign: bool = False
    """Whether production is a collection that the kit did not build, which no model of the kit's can query. Its first pair is judged by floors."""


def judge(gates: Iterable[Gate], candidate: Mapping[str, float], baseline: Baseline) -> tuple[GateResult, ...]:
    """One result per gate. `candidate` holds means by measure name; an absent one was not measurable."""
    return tuple(_judge_one(gate, candidate.get(gate.measure), baseline) for gate in gates)


def verdict(results: Iterable[GateResult]) -> Verdict:
    """Fail if any gate fails; pass if at least one passes and none is inconclusive; inconclusive otherwise, so also without gates."""
    outcomes = {result.outcome for result in results}
    if Outcome.FAIL in outcomes:
        return Verdict.FAIL
    if Outcome.INCONCLUSIVE in outcomes or Outcome.PASS not in outcomes:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS


def _judge_one(gate: Gate, value: float | None, baseline: Baseline) -> GateResult:
    reference = baseline.means.get(gate.measure)

    def result(outcome: Outcome, why: str) -> GateResult:
        return GateResult(gate=str(gate), outcome=outcome, candidate=value, production=reference, why=why)

    if value is None:
        return result(Outcome.INCONCLUSIVE, "not measured")
    if gate.at_least is not None:
        passed = value >= gate.at_least
        return result(Outcome.PASS if passed else Outcome.FAIL, f"{value:.4f} against a floor of {gate.at_least:g}")
    if not baseline.pair or baseline.foreign:
        return result(Outcome.NOT_APPLICABLE, "there is no production to compare with")
    if reference is None:
        return result(Outcome.INCONCLUSIVE, f"production {baseline.pair} was not measured: {baseline.unmeasured_because}")
    passed = value >= reference - gate.max_loss
    return result(Outcome.PASS if passed else Outcome.FAIL, f"{value:.4f} against production's {reference:.4f}, a change of {value - reference:+.4f}")
