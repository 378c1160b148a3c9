"""Ways to put an interval around a mean difference, side by side on the same resamples."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import ndtr, ndtri

RESAMPLES = 1_999
KITS = "BCa and t, the wider"
Ends = tuple[float, float]


def intervals(differences: np.ndarray, threshold: float, confidence: float, rng: np.random.Generator) -> dict[str, Ends]:
    """By method. The permutation has no interval of its own: where it rejects the threshold, its interval is the mean; where it does not, everything."""
    mean, n, tail = differences.mean(), len(differences), (1 - confidence) / 2
    if np.ptp(differences) == 0:
        return dict.fromkeys(("percentile", "BCa", "studentised", "Student's t", "sign-flip permutation", KITS), (mean, mean))
    drawn = differences[rng.integers(0, n, (RESAMPLES, n))]
    means = np.round(drawn.mean(axis=1), 12)
    errors = drawn.std(axis=1, ddof=1) / np.sqrt(n)
    error = differences.std(ddof=1) / np.sqrt(n)
    reach = stats.t.ppf(1 - tail, n - 1) * error
    found = {
        "percentile": _ends(np.quantile(means, [tail, 1 - tail])),
        "BCa": _bca(differences, means, tail),
        "studentised": _studentised(mean, error, means, errors, tail),
        "Student's t": (mean - reach, mean + reach),
        "sign-flip permutation": _flipped(differences, threshold, tail, rng),
    }
    found[KITS] = (min(found["BCa"][0], mean - reach), max(found["BCa"][1], mean + reach))
    return found


def _bca(differences: np.ndarray, means: np.ndarray, tail: float) -> Ends:
    """Efron, JASA 1987."""
    apart, mean = differences - differences.mean(), round(differences.mean(), 12)
    bias = ndtri(((means < mean).mean() + (means <= mean).mean()) / 2)
    acceleration = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
    normal = bias + ndtri(np.array([tail, 1 - tail]))
    return _ends(np.quantile(means, ndtr(bias + normal / (1 - acceleration * normal))))


def _studentised(mean: float, error: float, means: np.ndarray, errors: np.ndarray, tail: float) -> Ends:
    """Hall, Annals of Statistics 1988. A resample in which all are equal is infinitely far away, unless it is at the mean."""
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.nan_to_num((means - mean) / errors, nan=0.0)
    low, high = np.quantile(far, [tail, 1 - tail], method="nearest")
    return mean - high * error, mean - low * error


def _flipped(differences: np.ndarray, threshold: float, tail: float, rng: np.random.Generator) -> Ends:
    """Whether the differences could be symmetrical about the threshold (Fisher, 1935)."""
    apart = differences - threshold
    flipped = rng.choice(np.array([-1.0, 1.0]), (RESAMPLES, len(apart))) @ apart
    as_far = min((np.sum(flipped >= apart.sum() - 1e-9) + 1), (np.sum(flipped <= apart.sum() + 1e-9) + 1)) / (RESAMPLES + 1)
    return (differences.mean(),) * 2 if as_far <= tail else (-np.inf, np.inf)


def _ends(pair: np.ndarray) -> Ends:
    return float(pair[0]), float(pair[1])
