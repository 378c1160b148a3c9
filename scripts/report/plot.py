"""Geometry of the drawings: horizontal places in percent, vertical ones in pixels, so that a drawing is as wide as the screen allows and its
lettering stays its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.assessment import Assessment, QueryRow
from scripts.quality.gates import GateResult
from scripts.report import findings
from scripts.report.words import measure, shortened, signed

HEIGHT = 180
MOST_BARS = 200
# Even a change of nothing is to be seen, and found with a finger.
_LEAST_HEIGHT = 1.0


@dataclass(frozen=True)
class Bar:
    """One query, or neighbours of like change. `x` and `width` in percent, `y` and `height` in pixels from the top."""

    x: float
    width: float
    y: float
    height: float
    reach_y: float
    """Of the whole range of the queries that a bar stands for; `y` and `height` are of their mean."""
    reach_height: float
    kind: str
    """gain, loss, same; value where there is nothing to compare with."""
    title: str
    query: str = ""
    """The id of the one query."""


@dataclass(frozen=True)
class Plot:
    """Bars from the most harmed to the most improved; from the lowest to the highest value where there is no production."""

    bars: tuple[Bar, ...]
    zero: float
    highest: str
    lowest: str
    compared: bool
    per_bar: int
    """At most how many queries a bar stands for."""


@dataclass(frozen=True)
class Whisker:
    """An interval against no change and the tolerated loss, all in percent of the drawing's width."""

    low: float
    high: float
    mean: float | None
    zero: float
    limit: float | None
    label: str


def bars(assessment: Assessment) -> Plot | None:
    """None without queries. Above 200 queries a bar stands for several, so that the drawing stays one."""
    name = assessment.leading
    compared = any(findings.change(row, name) is not None for row in assessment.queries)
    found = [(findings.change(row, name) if compared else findings.value(row.candidate, name), row) for row in assessment.queries]
    ordered = sorted(((value, row) for value, row in found if value is not None), key=lambda each: each[0])
    if not ordered:
        return None
    lowest, highest = min(ordered[0][0], 0.0), max(ordered[-1][0], 0.0)
    span = (highest - lowest) or 1.0
    per_bar = -(-len(ordered) // MOST_BARS)
    groups = [ordered[at : at + per_bar] for at in range(0, len(ordered), per_bar)]
    width = 100 / len(groups)

    def place(value: float) -> float:
        return round((highest - value) / span * HEIGHT, 2)

    def bar(at: int, group: Sequence[tuple[float, QueryRow]]) -> Bar:
        mean = sum(value for value, _ in group) / len(group)
        top, bottom = place(max(mean, 0.0)), place(min(mean, 0.0))
        return Bar(
            x=round(at * width, 3),
            width=round(width, 3),
            y=top,
            height=max(round(bottom - top, 2), _LEAST_HEIGHT),
            reach_y=place(group[-1][0]),
            reach_height=round(place(group[0][0]) - place(group[-1][0]), 2),
            kind=("gain" if mean > 0 else "loss" if mean < 0 else "same") if compared else "value",
            title=_title(group, at * per_bar, name, compared),
            query=group[0][1].id if len(group) == 1 else "",
        )

    says = signed if compared else measure
    return Plot(
        bars=tuple(bar(at, group) for at, group in enumerate(groups)),
        zero=place(0.0),
        highest=says(highest),
        lowest=says(lowest),
        compared=compared,
        per_bar=per_bar,
    )


def whisker(gate: GateResult) -> Whisker | None:
    """None for a gate that judges no interval."""
    if gate.interval is None:
        return None
    mean = gate.candidate - gate.production if gate.candidate is not None and gate.production is not None else None
    limit = gate.limit
    marks = [gate.interval.low, gate.interval.high, 0.0, *([mean] if mean is not None else []), *([limit] if limit is not None else [])]
    lowest, span = min(marks), (max(marks) - min(marks)) or 1.0

    def place(value: float) -> float:
        # A margin of 5% on both sides, for the ends of lines.
        return round(5 + (value - lowest) / span * 90, 2)

    against = f", tolerated {signed(limit)}" if limit is not None else ""
    return Whisker(
        low=place(gate.interval.low),
        high=place(gate.interval.high),
        mean=None if mean is None else place(mean),
        zero=place(0.0),
        limit=None if limit is None else place(limit),
        label=f"{100 * gate.interval.confidence:g}% interval {signed(gate.interval.low)} to {signed(gate.interval.high)}{against}",
    )


def _title(group: Sequence[tuple[float, QueryRow]], before: int, name: str, compared: bool) -> str:
    says = signed if compared else measure
    if len(group) > 1:
        return f"Queries {before + 1:,} to {before + len(group):,}: {name} {says(group[0][0])} to {says(group[-1][0])}"
    value, row = group[0]
    if not compared:
        return f"{name} {measure(value)}: {shortened(row.text, 120)}"
    ours, theirs = findings.value(row.candidate, name), findings.value(row.production, name)
    return f"{name} {signed(value)} ({measure(theirs)} → {measure(ours)}): {shortened(row.text, 120)}"
