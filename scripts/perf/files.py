"""A measurement as files: a page for people, tables for spreadsheets, facts for machines."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts import outputs
from scripts.perf import plot
from scripts.perf.report import LEVEL_HEAD, Report, level_facts, level_row, point_facts, point_head, point_row

if TYPE_CHECKING:
    import jinja2


def write(report: Report, folder: Path) -> None:
    """Safe to run again: each file is replaced as a whole. Raises UsageError where it cannot be written."""
    for name, content in rendered(report).items():
        outputs.replace(folder / name, content.encode())


def rendered(report: Report) -> dict[str, str]:
    """Every file by its name: those of the sweep only where there was one."""
    files = {
        "report.html": _page(report),
        "levels.csv": _csv([level_facts(level) for level in report.levels]),
        "perf.json": json.dumps(_finite(report.facts()), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
    }
    if report.swept:
        files["sweep.csv"] = _csv([point_facts(each) for each in report.swept.points])
        files["recall_latency.svg"] = plot.svg(report.swept, report.plan.k)
    return files


def _page(report: Report) -> str:
    """Names and filters are anybody's, so nothing of them is ever markup: the template escapes all that it inserts."""
    from markupsafe import Markup

    swept = report.swept
    return (
        _environment()
        .get_template("perf.html")
        .render(
            r=report,
            grid=_grid,
            level_head=LEVEL_HEAD,
            levels=[level_row(level) for level in report.levels],
            point_head=point_head(swept) if swept else (),
            points=[point_row(each) for each in swept.points] if swept else [],
            plot=Markup(plot.svg(swept, report.plan.k)) if swept else "",
        )
    )


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent / "template")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    from markupsafe import Markup, escape

    def line(cells: Sequence[str], kind: str) -> Markup:
        return Markup("<tr>{}</tr>\n").format(Markup("").join(Markup("<{0}>{1}</{0}>").format(Markup(kind), escape(cell)) for cell in cells))

    return Markup("<table>\n{}{}</table>").format(line(head, "th"), Markup("").join(line(row, "td") for row in rows))


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """Empty where a figure is none."""
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return "; ".join(f"{count} {kind}" for kind, count in value.items())
    return "" if value is None or isinstance(value, float) and not math.isfinite(value) else value


def _finite(value: Any) -> Any:
    """JSON has no infinity: a percentile that falls among failures is null."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
