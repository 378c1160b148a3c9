"""What Prometheus reads, in its text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

from collections import Counter

from scripts.receiver.answers import Outcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Milliseconds where there is nothing to start, seconds where MLflow, Milvus and CircleCI are asked.
_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)


class Metrics:
    def __init__(self) -> None:
        self.in_flight = 0
        self.connections_refused = 0
        self._outcomes: Counter[Outcome] = Counter()
        self._within: Counter[float] = Counter()
        self._seconds = 0.0
        self._last_success = 0.0

    def answered(self, outcome: Outcome, seconds: float, now: float) -> None:
        """`now` in unix seconds."""
        self._outcomes[outcome] += 1
        self._seconds += seconds
        self._within[next((bound for bound in _BOUNDS_S if seconds <= bound), float("inf"))] += 1
        if outcome in (Outcome.STARTED, Outcome.FOUND):
            self._last_success = now

    def text(self) -> str:
        lines = _head("promotion_webhook_deliveries_total", "counter", "Deliveries answered, by what came of them.")
        lines += [f'promotion_webhook_deliveries_total{{outcome="{outcome}"}} {self._outcomes[outcome]}' for outcome in Outcome]
        lines += self._histogram("promotion_webhook_seconds")
        lines += _single("promotion_webhook_in_flight", "gauge", "Deliveries that wait for their answer.", self.in_flight)
        refused = "Connections closed because there were too many, no request came in time, or answers were not read."
        lines += _single("promotion_webhook_connections_refused_total", "counter", refused, self.connections_refused)
        last = "When a pipeline was last started or found; 0 for never."
        lines += _single("promotion_webhook_last_success_timestamp_seconds", "gauge", last, f"{self._last_success:.3f}")
        lines += _single("promotion_webhook_pipelines_started_total", "counter", "Pipelines started.", self._outcomes[Outcome.STARTED])
        return "\n".join(lines) + "\n"

    def _histogram(self, name: str) -> list[str]:
        lines, running = _head(name, "histogram", "From a delivery's headers to its answer."), 0
        for bound in _BOUNDS_S:
            running += self._within[bound]
            lines.append(f'{name}_bucket{{le="{bound}"}} {running}')
        total = self._outcomes.total()
        return [*lines, f'{name}_bucket{{le="+Inf"}} {total}', f"{name}_sum {self._seconds:.6f}", f"{name}_count {total}"]


def _head(name: str, kind: str, what: str) -> list[str]:
    return [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]


def _single(name: str, kind: str, what: str, value: float | str) -> list[str]:
    return [*_head(name, kind, what), f"{name} {value}"]
