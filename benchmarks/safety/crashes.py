"""The crash matrix: every act, killed after each of its steps, and before and after each of its writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import click

from benchmarks.safety import servers
from tests.safety.dying import STEP
from tests.safety.matrix import Matrix, Moment

_PARTS = {"store": "Milvus", "registry": "MLflow", "runs": "MLflow"}


@dataclass(frozen=True)
class Cell:
    """An act killed at a moment, run again, and what was wrong then."""

    backend: str
    act: str
    moment: Moment
    wrong: tuple[str, ...]


def cells(backend: str, acts: Sequence[str], kinds: Sequence[str]) -> list[Cell]:
    """`kinds` are "steps" and "writes"; without `acts`, all."""
    found = []
    with servers.matrix(backend) as matrix:
        for act in acts or matrix.cases:
            found += _of_act(matrix, backend, act, kinds)
    return found


def _of_act(matrix: Matrix, backend: str, act: str, kinds: Sequence[str]) -> list[Cell]:
    case = matrix.cases[act]
    rehearsal = matrix.rehearsed(case)
    found = []
    for moment in [moment for kind in kinds for moment in getattr(rehearsal, kind)]:
        wrong = tuple(matrix.killed(case, moment, rehearsal))
        found.append(Cell(backend, act, moment, wrong))
        click.echo(f"{backend}, {act}, {moment}: {'; '.join(wrong) or 'right'}", err=True)
    return found


def table(found: Sequence[Cell]) -> str:
    """Acts by backends: how many of the kills ended right, of how many; then what did not."""
    backends = list(dict.fromkeys(cell.backend for cell in found))
    lines = ["| act | steps | " + " | ".join(f"{b}: after a step | {b}: at a write" for b in backends) + " |"]
    lines.append("|---|---|" + "--:|--:|" * len(backends))
    for act in dict.fromkeys(cell.act for cell in found):
        mine = [cell for cell in found if cell.act == act]
        steps = dict.fromkeys(_step(cell.moment.what) for cell in mine if cell.moment.kind == STEP)
        counts = [_count([c for c in mine if c.backend == b and (c.moment.kind == STEP) is step]) for b in backends for step in (True, False)]
        lines.append(f"| {act} | {', '.join(steps)} | " + " | ".join(counts) + " |")
    total = Counter(not cell.wrong for cell in found)
    lines.append(f"\n{len(found):,} kills, {total[True]:,} of them right after the same command was run again.")
    return "\n".join([*lines, *(f"- WRONG: {c.backend}, {c.act}, {c.moment}: {'; '.join(c.wrong)}" for c in found if c.wrong)])


def _count(some: Sequence[Cell]) -> str:
    return f"{sum(not cell.wrong for cell in some)} of {len(some)}" if some else "–"


def _step(what: str) -> str:
    """`drop product_embeddings_v1_af8c1901` is the step `drop`."""
    return what.split(" ")[0]
