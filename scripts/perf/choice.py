"""The cheapest setting that reaches a recall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scripts.errors import AnswerIsNo, Inconclusive
from scripts.perf.load import Level
from scripts.quality.statistics import MIN_QUERIES, Interval, mean_interval

CONFIDENCE = 0.95
# A setting with more work that is faster by more than this share was measured in a quieter moment: two runs of one setting differ by less.
DISTURBED = 0.2
# 0.95 is not always 0.95 once it was added up.
_SLACK = 1e-9


@dataclass(frozen=True)
class Point:
    """One setting: how much of the exact answer it gives, and how fast. `recall` is NaN while it is not known; `interval` is None where there were
    too few queries for one."""

    value: int
    recall: float
    interval: Interval | None
    level: Level
    served: bool = False
    """Whether the collection is stamped with it."""

    @property
    def sure(self) -> float:
        """The recall that it has at least, with the confidence of the interval."""
        return self.interval.low if self.interval else -math.inf


@dataclass(frozen=True)
class Choice:
    """`point` is the one to use, None where none can be named; `why` says why in either case."""

    target: float
    point: Point | None
    why: str
    exit_code: int = 0


def timed(value: int, level: Level, *, served: bool) -> Point:
    """Of which nothing is known yet but how fast it is."""
    return Point(value, math.nan, None, level, served)


def judged(of: Point, shares: np.ndarray) -> Point:
    """With the `shares` of the exact answer that it gives, float [queries]."""
    return replace(of, recall=float(np.mean(shares)), interval=_interval(shares) if len(shares) >= MIN_QUERIES else None)


def unknown(target: float) -> Choice:
    return Choice(target, None, "Which setting reaches it is not known: the sweep was broken off before exact search.", Inconclusive.exit_code)


def _interval(shares: np.ndarray) -> Interval:
    """Within what a share can be. Shares that are all alike show no spread, and still do not show what was not asked: so many queries as may be
    another kind without one of them among these may find nothing, or everything (Clopper and Pearson, Biometrika 1934, for none of n)."""
    alike = float(shares[0])
    if (shares == alike).all():
        unseen = 1 - ((1 - CONFIDENCE) / 2) ** (1 / len(shares))
        return Interval(low=alike * (1 - unseen), high=alike + (1 - alike) * unseen, confidence=CONFIDENCE)
    found = mean_interval(shares, np.ones(len(shares)), CONFIDENCE)
    return found.model_copy(update={"low": max(found.low, 0.0), "high": min(found.high, 1.0)})


def choose(points: Sequence[Point], target: float, parameter: str, more: str = "--recall-queries") -> Choice:
    """Of those that surely reach the target the one with the least work, which is the smallest value: a server does more for each step of `ef`,
    `nprobe` or `search_list`, so what is measured otherwise was disturbed, see `disturbed`. A setting with failures at p95 is none. There is at
    least one. `more` is the option that gives more queries.

    Sure is the lower end of a 95% interval: whoever picks the smallest that reaches a target on average falls below it half of the time.
    """
    usable = [each for each in points if math.isfinite(each.level.latency.p95)]
    if not usable:
        return Choice(target, None, "More than 5% of the searches of every setting failed.", Inconclusive.exit_code)
    reaching = [each for each in usable if each.sure >= target - _SLACK]
    if reaching:
        found = min(reaching, key=lambda each: each.value)
        why = f"The cheapest that reaches {target:g} is {parameter}={found.value}: recall {told(found)}, p95 {found.level.latency.p95:.1f} ms."
        return Choice(target, found, f"{why} It is what is served." if found.served else why)
    best = max(usable, key=lambda each: each.recall)
    if best.recall >= target - _SLACK:
        why = f"{parameter}={best.value} reaches {target:g} on average, with {told(best)}: too few queries to be sure. Ask for more {more}."
        return Choice(target, None, why, Inconclusive.exit_code)
    return Choice(target, None, f"No setting reaches {target:g}: the best is {parameter}={best.value} with {told(best)}.", AnswerIsNo.exit_code)


def disturbed(points: Sequence[Point]) -> bool:
    """Whether a setting with more work was clearly faster at p50 than one with less."""
    return any(
        more.level.latency.p50 < (1 - DISTURBED) * less.level.latency.p50 for less in points for more in points if less.value < more.value
    )


def told(of: Point) -> str:
    """`0.9712 (0.9655 – 0.9761)`."""
    if of.interval is None:
        return "–" if math.isnan(of.recall) else f"{of.recall:.4f}"
    return f"{of.recall:.4f} ({of.interval.low:.4f} – {of.interval.high:.4f})"
