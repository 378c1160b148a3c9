"""What was measured, for a person and for a machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from scripts.errors import Unreachable
from scripts.perf import choice
from scripts.perf.choice import CONFIDENCE, Choice, Point
from scripts.perf.load import Level
from scripts.perf.plan import Plan
from scripts.perf.ports import Params, Target
from scripts.perf.sweep import Sweep
from scripts.report.words import counted, printable

INTERRUPTED = 130
# From here on the latencies are those of Python's one thread at a time, not of the server.
BUSY_CORES = 0.9
# Of how many kinds of failures each has a line.
MOST_KINDS = 5
# A silence that is said: so long, and so many times as long as a search takes.
STANDSTILL_SECONDS, STANDSTILL_SEARCHES = 1.0, 10


@dataclass(frozen=True)
class Swept:
    """The settings of a sweep. Without queries it was broken off before their recall was known."""

    sweep: Sweep
    queries: int
    """For recall."""
    rows: int
    """That were searched exactly."""
    points: tuple[Point, ...]
    choice: Choice


@dataclass(frozen=True)
class Report:
    """Implements jobs.result.Result. `params` are those of the levels: None where nobody knows what the collection's own clients send, and the server
    took its default. `failure` says why there is no more than this."""

    target: Target
    plan: Plan
    rows: int
    matching: int
    """Rows that the filter leaves."""
    queries: str
    params: Params | None
    levels: tuple[Level, ...] = ()
    swept: Swept | None = None
    own_first: float | None = None
    """The share of sampled queries whose first hit is the row that they were made from."""
    ceiling: float | None = None
    """Of a busy client: how many empty calls a second it makes at its most workers."""
    moved: str = ""
    failure: str = ""
    code: int = Unreachable.exit_code
    """Of the failure."""
    interrupted: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def exit_code(self) -> int:
        if self.failure:
            return self.code
        if self.interrupted:
            return INTERRUPTED
        return self.swept.choice.exit_code if self.swept else 0

    def lines(self) -> list[str]:
        lines = [*self.head(), "", *table(LEVEL_HEAD, [level_row(level) for level in self.levels])]
        if self.swept:
            lines += ["", *self.sweep_head(), *table(point_head(self.swept), [point_row(each) for each in self.swept.points]), self.swept.choice.why]
        return [printable(line) for line in (*lines, *self.remarks())]

    def head(self) -> list[str]:
        target, plan = self.target, self.plan
        filtered = f", {self.matching:,} of them match {plan.where}" if plan.where else ""
        served = f"{in_words(self.params)}, as served" if self.params is not None else f"the server's default parameters ({target.unstamped})"
        own = f"; for {self.own_first:.0%} of them its own row comes first" if self.own_first is not None else ""
        return [
            f"{target}: {self.rows:,} rows{filtered}; {target.index}/{target.metric} on {target.field}, {target.dimension} numbers",
            f"{self.queries}{own}",
            f"top {plan.k} with {served}; keys and scores only; {plan.seconds:g} s a level after {plan.warm_up:g} s of warm-up; milliseconds",
        ]

    def sweep_head(self) -> list[str]:
        assert self.swept
        swept = self.swept
        if not swept.queries:
            return [f"latency alone; {counted(swept.points[0].level.workers, 'worker')}:"]
        against = f"recall@{self.plan.k} of {swept.queries:,} queries against exact search over {swept.rows:,} rows"
        sure = f", {CONFIDENCE:.0%} interval" if swept.points[0].interval else ""
        return [f"{against}{sure}; {counted(swept.points[0].level.workers, 'worker')}:"]

    def remarks(self) -> list[str]:
        """What has to be known to read the figures rightly."""
        levels = self._all_levels
        told = _failures(levels)
        if longest := max(filter(_stood_still, levels), key=lambda level: level.silence, default=None):
            where = counted(longest.workers, "worker")
            told.append(f"Nothing was answered for {longest.silence:.1f} s at {where}; percentiles count that once for each of them.")
        if any(level.short for level in levels):
            told.append(f"{sum(level.short for level in levels):,} answers had fewer than {self.plan.k} hits.")
        if any(level.repeated for level in levels):
            told.append("Some queries were asked again within a level, once all of them had been asked: give it more --queries.")
        if any(level.answered < 100 for level in levels):
            told.append("p99 of fewer than 100 searches is the slowest of them: give it more --seconds.")
        if self.target.embedded:
            told.append("milvus-lite is part of this process: the client's cores are its own as well.")
        if self.is_busy:
            most = f"; it makes at most {self.ceiling:,.0f} calls/s" if self.ceiling else ""
            told.append(f"This client used {max(level.cpu for level in levels):.2f} cores: it, not the server, is the limit{most}.")
        if self.swept and choice.disturbed(self.swept.points):
            told.append("A setting with more work was faster: something else kept the server or this machine busy. Measure again when it is quiet.")
        told += self.notes
        if self.moved:
            told.append(self.moved)
        if self.interrupted:
            told.append("Interrupted: this is what was measured until then.")
        return [*told, *([f"error: {self.failure}"] if self.failure else [])]

    @property
    def failed(self) -> int:
        """Searches that got no answer."""
        return sum(level.failed for level in self._all_levels)

    @property
    def _all_levels(self) -> list[Level]:
        return [*self.levels, *(each.level for each in self.swept.points)] if self.swept else list(self.levels)

    @property
    def is_busy(self) -> bool:
        return not self.target.embedded and any(level.cpu >= BUSY_CORES for level in self.levels)

    def facts(self) -> dict[str, Any]:
        target = self.target
        return {
            "collection": target.name,
            "alias": target.alias or None,
            "field": target.field,
            "dimension": target.dimension,
            "index": target.index,
            "metric": target.metric.value,
            "rows": self.rows,
            "matching": self.matching,
            "queries": self.queries,
            "own_row_first": self.own_first,
            "plan": asdict(self.plan),
            "params": dict(self.params) if self.params is not None else None,
            "levels": [level_facts(level) for level in self.levels],
            "sweep": _sweep_facts(self.swept) if self.swept else None,
            "remarks": self.remarks(),
            "interrupted": self.interrupted,
            "failure": self.failure or None,
        }


LEVEL_HEAD = ("workers", "QPS", "p50", "p95", "p99", "slowest", "searches", "failed", "client cores")


def level_row(level: Level) -> tuple[str, ...]:
    at = level.latency
    figures = (f"{level.qps:,.1f}", *map(milliseconds, (at.p50, at.p95, at.p99, at.slowest)))
    return (str(level.workers), *figures, f"{level.searches:,}", f"{level.failed:,}", f"{level.cpu:.2f}")


def point_head(swept: Swept) -> tuple[str, ...]:
    return (swept.sweep.parameter, "recall", "p50", "p95", "p99", "QPS", "failed", "")


def point_row(each: Point) -> tuple[str, ...]:
    at = each.level.latency
    throughput = (f"{each.level.qps:,.1f}", f"{each.level.failed:,}", "← as served" if each.served else "")
    return (str(each.value), choice.told(each), *map(milliseconds, (at.p50, at.p95, at.p99)), *throughput)


def level_facts(level: Level) -> dict[str, Any]:
    return {
        "workers": level.workers,
        "seconds": round(level.seconds, 3),
        "searches": level.searches,
        "qps": level.qps,
        **{f"{name}_ms": value for name, value in asdict(level.latency).items()},
        "failed": level.failed,
        "failures": level.failures,
        "short_answers": level.short,
        "repeated_queries": level.repeated,
        "client_cores": round(level.cpu, 3),
        "longest_silence_s": round(level.silence, 3),
        "interrupted": level.interrupted,
    }


def point_facts(each: Point) -> dict[str, Any]:
    ends = {"recall_low": each.interval.low if each.interval else None, "recall_high": each.interval.high if each.interval else None}
    return {"value": each.value, "recall": each.recall, **ends, "served": each.served, **level_facts(each.level)}


def _sweep_facts(swept: Swept) -> dict[str, Any]:
    chosen = swept.choice
    return {
        "parameter": swept.sweep.parameter,
        "recall_queries": swept.queries,
        "exact_rows": swept.rows,
        "settings": [point_facts(each) for each in swept.points],
        "target_recall": chosen.target,
        "choice": chosen.point.value if chosen.point else None,
        "why": chosen.why,
    }


def in_words(params: Params) -> str:
    return ", ".join(f"{name} {value}" for name, value in params.items()) or "no parameters"


def milliseconds(value: float) -> str:
    """`failed` for a percentile that falls among the failures."""
    return "failed" if value == math.inf else "–" if math.isnan(value) else f"{value:,.1f}" if value >= 10 else f"{value:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Figures to the right, the last column to the left where it has no head."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    lines = ([cell.rjust(width) if name else cell for cell, width, name in zip(row, widths, head, strict=True)] for row in (head, *rows))
    return ["  ".join(line).rstrip() for line in lines]


def _stood_still(level: Level) -> bool:
    return level.answered > 0 and level.silence > max(STANDSTILL_SECONDS, STANDSTILL_SEARCHES * level.latency.p50 / 1_000)


def _failures(levels: Sequence[Level]) -> list[str]:
    """A line for each of the most frequent kinds."""
    kinds = sum((Counter(level.failures) for level in levels), Counter()).most_common()
    rest = sum(count for _, count in kinds[MOST_KINDS:])
    told = [f"{count:,} searches failed: {kind}" for kind, count in kinds[:MOST_KINDS]]
    return [*told, f"{rest:,} searches failed in {len(kinds) - MOST_KINDS:,} other ways."] if rest else told
