"""Figures and texts as people read them."""

from __future__ import annotations

import math

# Longer texts are cut in reports; validation.json has them whole. A pasted page among the queries would fill the screen otherwise.
SHOWN_CHARS = 300


def measure(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.4f}"


def signed(value: float | None) -> str:
    """With its sign; a real minus, as wide as the plus, so that columns line up."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:+.4f}".replace("-", "−") if round(value, 4) else "0.0000"


def whole(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    """In percent, with as many digits as a small share needs."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.1%}" if value == 0 or value >= 0.01 else f"{value:.3%}"


def milliseconds(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:,.1f} ms"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 gate`, `2 gates`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def shortened(text: str, limit: int = SHOWN_CHARS) -> str:
    """In one line, and with an ellipsis where it is cut."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def printable(text: str) -> str:
    """In one line, and without what would move the cursor or colour the terminal: queries, titles and keys are other people's."""
    return "".join(character if character.isprintable() else " " for character in text)


# What a gate's figures are, by its kind; measures and similarities where it is not said here.
_FIGURES = {
    "contents": whole,
    "norms": share,
    "fresh": share,
    "complete": share,
    "judged": share,
    "judgments": share,
    "top_changed": share,
    "empty_results": share,
    "latency": milliseconds,
    "latency_ratio": milliseconds,
}


def gate_figure(value: float | None, kind: str) -> str:
    """What a gate of this kind saw, with its unit."""
    return _FIGURES.get(kind, measure)(value)


def web_address(url: str) -> str:
    """The address where a link may lead to it; empty for any other scheme, such as `javascript:`."""
    return url if url.lower().startswith(("https://", "http://")) else ""
