"""`canary report`: the two arms of a canary compared, from the outcomes that searchers wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.canary_comparison import (
    CONFIDENCE,
    FEWEST_QUERIES,
    Comparison,
    Tally,
    Verdict,
    compare,
)
from scripts.canary_outcomes import Reading

_HEAD = f"{'arm':10}  {'queries':>9}  {'errors':>7}  {'clicked':>16}  {'p50':>9}  {'p95':>9}  {'p99':>9}  pair"


@dataclass(frozen=True)
class CanaryReport:
    seen: Comparison

    @property
    def exit_code(self) -> int:
        return 0 if self.seen.enough else 3

    def lines(self) -> list[str]:
        seen = self.seen
        lines = [f"Canary {seen.canary}{' (mirror)' if seen.mirrored else ''}", _HEAD]
        lines += [_row("candidate", seen.candidate, seen.mirrored), _row("production", seen.production, seen.mirrored)]
        if len(seen.overlaps):
            lines.append(f"overlap of the answers: mean {self._overlap():.3f}, the same rows in {self._alike():.1%} of {len(seen.overlaps):,}")
        if difference := seen.difference:
            interval = f"{CONFIDENCE:.0%} interval {_points(difference.low)} to {_points(difference.high)}"
            lines.append(f"click rate, candidate minus production: {_points(difference.of)} ({interval})")
        lines.append(self._conclusion())
        if seen.others:
            lines.append(f"The files tell of other canaries, too; --id picks one: {', '.join(seen.others)}.")
        if seen.unreadable:
            lines.append(f"{seen.unreadable:,} lines cannot be read and were left out.")
        return lines

    def facts(self) -> dict[str, Any]:
        seen, difference = self.seen, self.seen.difference
        return {
            "canary": seen.canary,
            "mode": "mirror" if seen.mirrored else "split",
            "candidate": seen.candidate.facts(),
            "production": seen.production.facts(),
            "click_rate_difference": {"of": difference.of, "low": difference.low, "high": difference.high, "confidence": CONFIDENCE} if difference else None,
            "overlap": {"mean": self._overlap(), "alike": self._alike(), "queries": len(seen.overlaps)} if len(seen.overlaps) else None,
            "verdict": seen.verdict.value if seen.verdict else None,
            "more_queries": seen.more_queries,
            "others": list(seen.others),
            "unreadable_lines": seen.unreadable,
        }

    def _conclusion(self) -> str:
        seen = self.seen
        if seen.verdict is Verdict.TOO_FEW:
            return f"INCONCLUSIVE: fewer than {FEWEST_QUERIES} queries in an arm say nothing."
        if seen.mirrored:
            return "Nobody saw the candidate's answers, so clicks say nothing of them."
        if seen.difference is None:
            return "No verdict on clicks: there is no feedback, or too few queries were answered."
        if seen.verdict is Verdict.NO_DIFFERENCE:
            if seen.more_queries is None:
                return "No difference shown: no sensible number of queries would show one."
            return f"No difference shown: about {seen.more_queries:,} more queries would show it, if the rates stay."
        return f"The candidate is {seen.verdict}: the interval leaves out 0."

    def _overlap(self) -> float:
        return float(np.nanmean(np.asarray(self.seen.overlaps)))

    def _alike(self) -> float:
        return float(np.mean(np.asarray(self.seen.overlaps) == 1))


def canary_report(places: Sequence[Path], canary: str = "") -> CanaryReport:
    """Safe to run at any time, also while the canary runs: half a line at the end of a file is left out. Asks no service.

    Raises UsageError where the files tell of no canary, or not of this one.
    """
    return CanaryReport(compare(Reading.of(places), canary))


def _row(arm: str, tally: Tally, mirrored: bool) -> str:
    latency = tally.latency()
    times = [f"{latency[name]:>6.1f} ms" if latency else f"{'-':>9}" for name in ("p50", "p95", "p99")]
    clicked = "-" if mirrored or tally.rate is None else f"{tally.clicked:,} ({tally.rate:.2%})"
    return f"{arm:10}  {tally.answered + tally.errors:>9,}  {tally.errors:>7,}  {clicked:>16}  {'  '.join(times)}  {', '.join(sorted(tally.pairs)) or '-'}"


def _points(share: float) -> str:
    return f"{100 * share:+.2f} points"
