"""Gates on the latency of single searches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scripts.quality.facts import Metered
from scripts.quality.gates.verdict import GateResult, Judged, Outcome, within
from scripts.quality.latency import MEASURED_QUERIES, WARM_UP_QUERIES
from scripts.quality.seen import Seen

Percentile = Literal["p50", "p95", "p99"]

# Of fewer searches than 20, p95 is the slowest; p99 wants what a hundred distinct queries leave when some of them have warmed up.
MIN_MEASURED = {"p50": 20, "p95": 20, "p99": MEASURED_QUERIES - WARM_UP_QUERIES}


class LatencyCeiling(Judged):
    """A percentile of the candidate's single searches takes `at_most_ms` milliseconds."""

    gate: Literal["latency"] = "latency"
    percentile: Percentile = "p95"
    at_most_ms: float = Field(gt=0, allow_inf_nan=False)

    def __str__(self) -> str:
        return f"{self.percentile} latency <= {self.at_most_ms:g} ms"

    def judge(self, seen: Seen) -> GateResult:
        if seen.latency is None:
            return self.result(Outcome.INCONCLUSIVE, "latency was not measured")
        if too_few := _too_few(seen.latency.queries, self.percentile):
            return self.result(Outcome.INCONCLUSIVE, too_few)
        value = _of(seen.latency.candidate, self.percentile)
        return self.limited(within(value, self.at_most_ms), f"{value:.1f} ms over {seen.latency.queries} queries", candidate=value)


class LatencyRatio(Judged):
    """A percentile of the candidate's single searches takes `at_most` this many times production's, measured in turn in the same run."""

    gate: Literal["latency_ratio"] = "latency_ratio"
    percentile: Percentile = "p95"
    at_most: float = Field(gt=0, allow_inf_nan=False)

    def __str__(self) -> str:
        return f"{self.percentile} latency <= {self.at_most:g} x production"

    def judge(self, seen: Seen) -> GateResult:
        if seen.baseline.absent:
            return self.result(Outcome.NOT_APPLICABLE, "there is no production to compare with")
        if seen.latency is None or seen.latency.production is None:
            return self.result(Outcome.INCONCLUSIVE, f"production's latency was not measured: {seen.baseline.unmeasured_because or 'nothing was'}")
        if too_few := _too_few(seen.latency.queries, self.percentile):
            return self.result(Outcome.INCONCLUSIVE, too_few)
        ours, theirs = _of(seen.latency.candidate, self.percentile), _of(seen.latency.production, self.percentile)
        if theirs <= 0:
            return self.result(Outcome.INCONCLUSIVE, f"production's latency is {theirs:g} ms, which nothing can be a multiple of")
        ratio = ours / theirs
        why = f"{ours:.1f} ms against production's {theirs:.1f} ms, {ratio:.2f} times, over {seen.latency.queries} queries"
        return self.limited(within(ratio, self.at_most), why, candidate=ours, production=theirs)


def _of(metered: Metered, percentile: Percentile) -> float:
    return {"p50": metered.p50, "p95": metered.p95, "p99": metered.p99}[percentile]


def _too_few(queries: int, percentile: Percentile) -> str:
    """Why a percentile would say nothing; empty where it does."""
    least = MIN_MEASURED[percentile]
    return f"{queries} measured queries are too few for {percentile}: {least} are needed" if queries < least else ""
