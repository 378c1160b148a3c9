"""Percentiles of what was measured, to be shown. (Gates compare another kind: see quality.latency.)"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

PERCENTS = (50, 95, 99)


def nearest_rank(ordered: Sequence[float] | np.ndarray, percent: int) -> float:
    """The smallest of these that at least `percent` of them do not exceed; NaN of none. It is always one that was measured, and p99 of fewer than
    100 is the largest.

    Definition 1 of Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician, 1996; numpy's `inverted_cdf`.
    """
    if not len(ordered):
        return math.nan
    return float(ordered[max(-(-percent * len(ordered) // 100), 1) - 1])
