"""The table of judged queries: rows for the page, and all of them as data for its script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts.assessment import Assessment, QueryRow
from scripts.report import findings
from scripts.report.words import shortened

# More rows than anybody reads. The script has the others as data, and shows them in pages; without it the page says that they are missing.
MOST_RENDERED = 400


@dataclass(frozen=True)
class Figures:
    """A query's values by one measure."""

    candidate: float | None
    production: float | None
    change: float | None


@dataclass(frozen=True)
class Row:
    id: str
    text: str
    weight: float
    slices: tuple[str, ...]
    figures: tuple[Figures, ...]
    """In the order of the table's measures."""
    missed: tuple[str, ...]
    """Floors that the query is below."""

    @property
    def missed_floors(self) -> str:
        return f"below: {'; '.join(self.missed)}" if self.missed else ""


@dataclass(frozen=True)
class Table:
    """Queries, most harmed first; lowest first where there is nothing to compare with."""

    measures: tuple[str, ...]
    compared: bool
    floored: bool
    """Whether any query has a floor of its own."""
    slices: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def rendered(self) -> tuple[Row, ...]:
        """All of them, or where they are too many those at both ends, and every one below a floor as far as there is room."""
        if len(self.rows) <= MOST_RENDERED:
            return self.rows
        ends = MOST_RENDERED // 4
        middle = [row for row in self.rows[ends:-ends] if row.missed][: MOST_RENDERED - 2 * ends]
        return (*self.rows[:ends], *middle, *self.rows[-ends:])

    @property
    def data(self) -> dict[str, Any]:
        """For the script: rows as short lists (id, text, weight, numbers of slices, figures by measure, floors missed), to keep the file small."""
        number = {name: at for at, name in enumerate(self.slices)}
        rows = [
            [
                row.id,
                row.text,
                row.weight,
                [number[name] for name in row.slices],
                [[f.candidate, f.production] for f in row.figures],
                row.missed_floors,
            ]
            for row in self.rows
        ]
        return {"slices": self.slices, "rows": rows}


def table(assessment: Assessment) -> Table:
    measures = tuple(findings.measures(assessment))
    rows = [_row(query, measures) for query in assessment.queries]
    compared = any(figures.change is not None for row in rows for figures in row.figures)
    return Table(
        measures=measures,
        compared=compared,
        floored=any(query.floors for query in assessment.queries),
        slices=tuple(dict.fromkeys(name for row in rows for name in row.slices)),
        rows=tuple(sorted(rows, key=lambda row: _rank(row, compared))),
    )


def _row(query: QueryRow, measures: tuple[str, ...]) -> Row:
    figures = tuple(
        Figures(findings.value(query.candidate, name), findings.value(query.production, name), findings.change(query, name)) for name in measures
    )
    return Row(query.id, shortened(query.text), query.weight, query.slices, figures, query.below_floor)


def _rank(row: Row, compared: bool) -> float:
    if not row.figures:
        return 0.0
    value = row.figures[0].change if compared else row.figures[0].candidate
    return float("inf") if value is None else value
