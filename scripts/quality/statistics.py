"""Paired differences between candidate and production, with an interval that says how far they can be trusted.

Method and numbers were chosen by simulation: `python -m benchmarks.gate_errors`, docs/quality-gate.md.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from pydantic import BaseModel, ConfigDict

# Fewer queries than these cannot carry an interval, however alike their answers are.
MIN_QUERIES = 50

_RESAMPLES = 4_999
_SEED = 20_260_101
# Resampled values that are held at once: 10,000 queries take no more memory than 300.
_HELD = 1_000_000
# Means that are equal must compare as equal whatever the order in which a machine adds, and 0.58 - 0.6 is a loss of 0.02.
_DECIMALS = 9
# More queries than anybody will judge.
_TOO_MANY = 1_000_000


class Interval(BaseModel):
    """Two-sided, with the confidence at which it holds the true mean."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    confidence: float


def mean_interval(differences: np.ndarray, weights: np.ndarray, confidence: float) -> Interval:
    """The interval of the weighted mean of paired differences, float [queries]. The same differences and weights, in whatever order, always give
    the same interval. Where all differences are equal it is that one number: how few queries may say so is the caller's to decide.

    The wider, at either end, of two: the BCa bootstrap (Efron, JASA 1987; scipy's), which follows skewed differences, and Student's t, which knows
    that a small sample shows too little of its spread. Each alone errs more often than it says, where the other does not.

    `weights` are positive. Raises ValueError where there is no query, or a difference that is not a number.
    """
    if not len(differences) or not np.isfinite(differences).all():
        raise ValueError("there is no mean of no numbers")
    differences, weights = np.round(np.asarray(differences, float), _DECIMALS + 3), np.asarray(weights, float) / np.max(weights)
    # The bootstrap draws by position, so positions must not depend on the order in which queries were read.
    order = np.lexsort((weights, differences))
    differences, weights = differences[order], weights[order]
    if differences[0] == differences[-1]:
        low = high = float(differences[0])
    else:
        (one, other), (low, high) = _student(differences, weights, confidence), _bca(differences, weights, confidence)
        low, high = np.fmin(one, low), np.fmax(other, high)
    return Interval(low=round(float(low), _DECIMALS) + 0.0, high=round(float(high), _DECIMALS) + 0.0, confidence=confidence)


def effective_queries(weights: np.ndarray) -> float:
    """How many queries of equal weight say as much about a mean: all of them where weights are equal, one where one weighs more than the rest
    together by far (Kish, Survey Sampling, 1965)."""
    if not len(weights):
        return 0.0
    shares = np.asarray(weights, float) / np.max(weights)
    return float(shares.sum() ** 2 / np.square(shares).sum())


def queries_to_settle(differences: np.ndarray, weights: np.ndarray, interval: Interval, threshold: float) -> int | None:
    """How many queries it would take in all for the interval not to include `threshold`, if mean and spread stayed what they are and the interval
    narrowed with the root of their number. None where no number would do, the mean being `threshold`, or only more than a million."""
    mean = float(np.average(differences, weights=weights))
    away = mean - threshold
    reach = mean - interval.low if away > 0 else interval.high - mean
    if abs(away) < 10**-_DECIMALS:
        return None
    needed = len(differences) * (reach / away) ** 2
    return max(math.floor(needed), len(differences)) + 1 if needed < _TOO_MANY else None


def _bca(differences: np.ndarray, weights: np.ndarray, confidence: float) -> tuple[float, float]:
    """Queries are drawn with their weights. NaN where rounding leaves nothing to tell apart."""
    from scipy import stats

    def mean(weighted: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
        return np.round(weighted.sum(axis=axis) / weights.sum(axis=axis), _DECIMALS + 3)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (differences * weights, weights),
            mean,
            paired=True,
            vectorized=True,
            n_resamples=_RESAMPLES,
            batch=max(1, _HELD // len(differences)),
            confidence_level=confidence,
            method="BCa",
            rng=np.random.default_rng(_SEED),
        )
    return found.confidence_interval.low, found.confidence_interval.high


def _student(differences: np.ndarray, weights: np.ndarray, confidence: float) -> tuple[float, float]:
    """With the variance of a ratio of two sums for the weighted mean (Cochran, Sampling Techniques, 1977, ch. 6)."""
    from scipy import stats

    mean, count = np.average(differences, weights=weights), max(effective_queries(weights), 2.0)
    error = np.sqrt(np.sum((weights * (differences - mean)) ** 2) * count / (count - 1)) / weights.sum()
    reach = stats.t.ppf((1 + confidence) / 2, count - 1) * error
    return mean - reach, mean + reach
