"""Gates on replayed queries: how much of what people see changes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scripts.quality.facts import Replayed
from scripts.quality.gates.verdict import GateResult, Judged, Outcome, reaches, within
from scripts.quality.seen import Seen


class _OnReplay(Judged):
    def judge(self, seen: Seen) -> GateResult:
        if seen.baseline.absent:
            return self.result(Outcome.NOT_APPLICABLE, "there is no production to compare with")
        if seen.replayed is None:
            why = seen.unseen.get("replayed") or seen.baseline.unmeasured_because or "no queries were replayed: give a log with --replay, or name it in suite.yaml"
            return self.result(Outcome.INCONCLUSIVE, why)
        if not seen.replayed.queries:
            return self.result(Outcome.INCONCLUSIVE, "the log has no query to replay")
        return self._of(seen.replayed)

    def _of(self, replayed: Replayed) -> GateResult:
        raise NotImplementedError


class Overlap(_OnReplay):
    """On average `at_least` this share of the top results stays."""

    gate: Literal["overlap"] = "overlap"
    at_least: float = Field(ge=0, le=1)

    def __str__(self) -> str:
        return f"overlap with production >= {self.at_least:g}"

    def _of(self, replayed: Replayed) -> GateResult:
        value = replayed.overlap
        return self.limited(reaches(value, self.at_least), f"{value:.4f} of the top {replayed.k} over {replayed.queries} queries", candidate=value)


class RankBiasedOverlap(_OnReplay):
    """On average the rankings' rank-biased overlap is `at_least` this."""

    gate: Literal["rbo"] = "rbo"
    at_least: float = Field(ge=0, le=1)

    def __str__(self) -> str:
        return f"rank-biased overlap with production >= {self.at_least:g}"

    def _of(self, replayed: Replayed) -> GateResult:
        return self.limited(reaches(replayed.rbo, self.at_least), f"{replayed.rbo:.4f} over {replayed.queries} queries", candidate=replayed.rbo)


class TopChanged(_OnReplay):
    """`at_most` this share of queries has another first result."""

    gate: Literal["top_changed"] = "top_changed"
    at_most: float = Field(ge=0, le=1)

    def __str__(self) -> str:
        return f"queries with another first result <= {100 * self.at_most:g}%"

    def _of(self, replayed: Replayed) -> GateResult:
        value = replayed.top_changed
        return self.limited(within(value, self.at_most), f"{value:.1%} of {replayed.queries} queries", candidate=value)


class EmptyResults(_OnReplay):
    """`at_most` this share of queries finds nothing."""

    gate: Literal["empty_results"] = "empty_results"
    at_most: float = Field(ge=0, le=1)

    def __str__(self) -> str:
        return f"queries without results <= {100 * self.at_most:g}%"

    def _of(self, replayed: Replayed) -> GateResult:
        why = f"{replayed.empty:.2%} of {replayed.queries} queries, production {replayed.production_empty:.2%}"
        return self.limited(within(replayed.empty, self.at_most), why, candidate=replayed.empty, production=replayed.production_empty)
