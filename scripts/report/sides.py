"""Two lists of results beside each other, with what each has and the other has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.assessment import Assessment, ShownHit, SideBySide
from scripts.quality.facts import Change
from scripts.report.words import shortened


@dataclass(frozen=True)
class Placed:
    """A result in one list."""

    rank: int
    key: str
    title: str
    grade: int | None
    level: str
    """How good the grade is: none (0 or less), low, middle, high; unjudged."""
    rise: int | None
    """Ranks gained from production to candidate; None where only this list has it."""


@dataclass(frozen=True)
class Sides:
    """A query and its results in production and in the candidate."""

    id: str
    text: str
    change: float
    production: tuple[Placed, ...]
    candidate: tuple[Placed, ...]

    @property
    def entered(self) -> int:
        return sum(hit.rise is None for hit in self.candidate)


def judged(assessment: Assessment, shown: Sequence[SideBySide]) -> list[Sides]:
    texts = {row.id: row.text for row in assessment.queries}
    best = _best_grade(assessment)
    return [
        Sides(side.query, shortened(texts.get(side.query, side.query)), side.change, *_placed(side.production, side.candidate, best))
        for side in shown
    ]


def replayed(change: Change, titles: dict[str, str]) -> Sides:
    """A logged query. Nobody graded what it finds."""
    lists = [tuple(ShownHit(key=key, title=titles.get(key, "")) for key in keys) for keys in (change.production, change.candidate)]
    return Sides("", shortened(change.text), change.overlap, *_placed(*lists, 1))


def _placed(production: Sequence[ShownHit], candidate: Sequence[ShownHit], best: int) -> tuple[tuple[Placed, ...], tuple[Placed, ...]]:
    before = {hit.key: rank for rank, hit in enumerate(production, start=1)}
    after = {hit.key: rank for rank, hit in enumerate(candidate, start=1)}
    rises = {key: before[key] - after[key] for key in before.keys() & after.keys()}

    def place(hits: Sequence[ShownHit]) -> tuple[Placed, ...]:
        return tuple(
            Placed(rank, hit.key, shortened(hit.title), hit.grade, _level(hit.grade, best), rises.get(hit.key))
            for rank, hit in enumerate(hits, start=1)
        )

    return place(production), place(candidate)


def _best_grade(assessment: Assessment) -> int:
    """The highest grade to be seen: what the scale's top is, the assessment does not say."""
    sides = (*assessment.improved, *assessment.harmed)
    return max((hit.grade for side in sides for hit in (*side.production, *side.candidate) if hit.grade is not None), default=1)


def _level(grade: int | None, best: int) -> str:
    if grade is None:
        return "unjudged"
    if grade <= 0:
        return "none"
    return "high" if grade >= best else "middle" if grade * 2 >= best else "low"
