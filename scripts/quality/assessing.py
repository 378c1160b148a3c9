"""From what a validation saw to what its reports show: tables of queries and slices, and the answers that changed most."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.assessment import PairFacts, QueryRow, ShownHit, SideBySide, SliceRow
from scripts.catalogue import Entry
from scripts.golden import Suite
from scripts.quality.asking import Side
from scripts.quality.gates import GateResult, all_of
from scripts.quality.gates.measured import QueryFloor
from scripts.quality.seen import Seen

MOST_CHANGED = 10


def pair_facts(entry: Entry) -> PairFacts:
    stamp, index = entry.stamp, entry.stamp.layout.index
    params = " ".join(f"{name}={value}" for name, value in (index.build_params() | index.search_params(1)).items())
    return PairFacts(
        pair=entry.pair.collection,
        model=stamp.model.name,
        version=stamp.model.version,
        model_digest=stamp.model.digest,
        embedding_fingerprint=stamp.fingerprint,
        index=f"{index.type} {index.metric} {params}".strip(),
        rows=stamp.content.rows if stamp.content else 0,
        built_at=stamp.build.created_at,
        build_url=stamp.build.url,
    )


def query_rows(suite: Suite, seen: Seen, results: Sequence[GateResult]) -> tuple[QueryRow, ...]:
    """One per judged query, in the suite's order."""
    floors = [
        (result.gate, gate.values(seen).keys(), set(gate.below(seen))) for gate, result in zip(all_of(suite.gates), results, strict=True) if isinstance(gate, QueryFloor)
    ]
    ours, theirs = seen.candidate.by_query, seen.baseline.measured.by_query if seen.baseline.measured else None
    return tuple(
        QueryRow(
            id=id,
            text=suite.queries[id].text,
            slices=suite.queries[id].slices,
            weight=suite.queries[id].weight,
            candidate={measure: values[id] for measure, values in ours.items()},
            production={measure: values[id] for measure, values in theirs.items()} if theirs is not None else None,
            floors=tuple(gate for gate, asked, _ in floors if id in asked),
            below_floor=tuple(gate for gate, _, below in floors if id in below),
        )
        for id in (suite.judged if ours else ())
    )


def slice_rows(suite: Suite, seen: Seen) -> tuple[SliceRow, ...]:
    baseline = seen.baseline.measured

    def means(measured, queries):
        return {measure: mean for measure in suite.measures if (mean := measured.mean(measure, queries)) is not None}

    return tuple(
        SliceRow(name=name, queries=len(queries), candidate=means(seen.candidate, queries), production=means(baseline, queries) if baseline else None)
        for name, queries in suite.slices.items()
    )


def most_changed(rows: Sequence[QueryRow], leading: str) -> tuple[list[QueryRow], list[QueryRow]]:
    """The most improved and the most harmed queries by the leading measure, most first."""
    changes = [(row.candidate[leading] - row.production[leading], row) for row in rows if row.production is not None]
    improved = sorted((c for c in changes if c[0] > 0), key=lambda c: -c[0])
    harmed = sorted((c for c in changes if c[0] < 0), key=lambda c: c[0])
    return [row for _, row in improved[:MOST_CHANGED]], [row for _, row in harmed[:MOST_CHANGED]]


def side_by_side(rows: Sequence[QueryRow], suite: Suite, leading: str, ours: Side, theirs: Side) -> tuple[SideBySide, ...]:
    """What both pairs show for these queries, with the grades that people gave."""
    queries = [row.id for row in rows]
    shown = ours.shown(queries, suite.title), theirs.shown(queries, suite.title)

    def hits(side: int, query: str) -> tuple[ShownHit, ...]:
        grades = suite.qrels[query]
        return tuple(ShownHit(key=key, title=title, grade=grades.get(key)) for key, title in shown[side][query])

    return tuple(
        SideBySide(query=row.id, change=row.candidate[leading] - row.production[leading], candidate=hits(0, row.id), production=hits(1, row.id))
        for row in rows
    )
