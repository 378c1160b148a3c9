"""Recall against latency, as an SVG that needs no other file: each setting a point with its interval, joined in order of values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from scripts.perf.choice import Point
from scripts.perf.report import Swept, milliseconds

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 32, 48
# Room around the outermost points, as a share of what lies between them.
_MARGIN = 0.08
_TICKS = 5


@dataclass(frozen=True)
class _Scale:
    """From a figure to a place."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Round figures: steps of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / _TICKS
        power = 10 ** math.floor(math.log10(rough))
        step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * (1 - 1e-9))
        first = math.ceil(self.low / step)
        return [round(number * step, 10) for number in range(first, math.floor(self.high / step) + 1)]


def svg(swept: Swept, k: int) -> str:
    """Recall to the right, p95 upwards. The target is a line, what is served a square, and the choice has a ring. What failed is left out."""
    points = [each for each in swept.points if math.isfinite(each.level.latency.p95) and math.isfinite(each.recall)]
    marks = [end for each in points for end in _ends(each)]
    across = _scale([*marks, swept.choice.target], LEFT, WIDTH - RIGHT, most=1.0)
    upwards = _scale([0.0, *(each.level.latency.p95 for each in points)], HEIGHT - BOTTOM, TOP)
    parts = [
        *_axes(across, upwards, f"recall@{k} of exact search", "p95, milliseconds"),
        _line(across(swept.choice.target), TOP, across(swept.choice.target), HEIGHT - BOTTOM, "target"),
        _text(across(swept.choice.target) - 6, HEIGHT - BOTTOM - 8, f"target {swept.choice.target:g}", "end"),
        f'<polyline class="joined" points="{" ".join(f"{across(p.recall)},{upwards(p.level.latency.p95)}" for p in points)}"/>',
        *(part for each in points for part in _point(each, across, upwards, swept)),
    ]
    title = f"Recall and latency by {swept.sweep.parameter}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return "\n".join([head, f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>", *parts, "</svg>"])


# Greys and blues that are seen on a light ground and on a dark one.
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#7a8797}.axis,.target,.interval{stroke:#8a96a5}.grid{stroke:#8a96a5;stroke-opacity:.25}"
    ".target{stroke-dasharray:4 4}.joined{fill:none;stroke:#3d8fb3;stroke-width:1.5}.point{fill:#3d8fb3}"
    ".choice{fill:none;stroke:#d2713a;stroke-width:2}"
)


def _axes(across: _Scale, upwards: _Scale, below: str, beside: str) -> list[str]:
    bottom = HEIGHT - BOTTOM
    parts = [_line(LEFT, bottom, WIDTH - RIGHT, bottom, "axis"), _line(LEFT, TOP, LEFT, bottom, "axis")]
    for tick in across.ticks():
        parts += [_line(across(tick), TOP, across(tick), bottom, "grid"), _text(across(tick), bottom + 18, f"{tick:g}", "middle")]
    for tick in upwards.ticks():
        parts += [_line(LEFT, upwards(tick), WIDTH - RIGHT, upwards(tick), "grid"), _text(LEFT - 8, upwards(tick) + 4, f"{tick:g}", "end")]
    return [*parts, _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, below, "middle"), _text(LEFT, TOP - 10, beside, "start")]


def _point(each: Point, across: _Scale, upwards: _Scale, swept: Swept) -> list[str]:
    x, y = across(each.recall), upwards(each.level.latency.p95)
    low, high = _ends(each)
    told = f"{swept.sweep.parameter} {each.value}: recall {each.recall:.4f}, p95 {milliseconds(each.level.latency.p95)} ms"
    kind, place = ("rect", f'x="{x - 5}" y="{y - 5}" width="10" height="10"') if each.served else ("circle", f'cx="{x}" cy="{y}" r="4.5"')
    shape = f'<{kind} class="point" {place}><title>{escape(told)}</title></{kind}>'
    parts = [_line(across(low), y, across(high), y, "interval"), shape]
    if each == swept.choice.point:
        parts.append(f'<circle class="choice" cx="{x}" cy="{y}" r="10"/>')
    label = f"{each.value}{' (served)' if each.served else ''}"
    # Near the right edge there is no room for half of it.
    return [*parts, _text(x - 14, y + 4, label, "end") if x > WIDTH - RIGHT - 60 else _text(x, y - 14, label, "middle")]


def _ends(each: Point) -> tuple[float, float]:
    return (each.interval.low, each.interval.high) if each.interval else (each.recall, each.recall)


def _scale(values: Sequence[float], start: float, end: float, most: float = math.inf) -> _Scale:
    """With a margin, but never beyond what there can be."""
    low, high = min(values), max(values)
    room = _MARGIN * ((high - low) or abs(high) or 1.0)
    below = low if low == 0 else low - room
    return _Scale(below, max(min(high + room, most), low + room), start, end)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
