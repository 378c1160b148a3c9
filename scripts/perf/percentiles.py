"""Percentiles of latencies, failures among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scripts.percentiles import PERCENTS, nearest_rank


@dataclass(frozen=True)
class Latency:
    """Milliseconds a search. A search that failed has no latency and counts as slower than all others: a percentile that falls among failures is
    infinite. `mean` and `slowest` are of those that were answered; NaN where none was."""

    p50: float
    p95: float
    p99: float
    mean: float
    slowest: float


def latency(seconds: Sequence[float] | np.ndarray, failed: int = 0) -> Latency:
    """Of searches that took so many seconds, and `failed` more that got no answer."""
    answered = np.sort(1_000 * np.asarray(seconds, dtype=np.float64))
    ordered = np.concatenate([answered, np.full(failed, math.inf)])
    p50, p95, p99 = (nearest_rank(ordered, percent) for percent in PERCENTS)
    mean, slowest = (float(answered.mean()), float(answered[-1])) if len(answered) else (math.nan, math.nan)
    return Latency(p50, p95, p99, mean, slowest)
