"""How far an index covers its collection: waiting, building or completed, by rows and not by what the index says of itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scripts.health.seen import IndexSeen, Seen, Segment

# Below this many rows 2.3.5 builds no index for a segment and searches it exactly instead.
SMALLEST_INDEXED_SEGMENT = 1_024


class Judgment(StrEnum):
    WAITING = "waiting"
    """There are no rows."""
    BUILDING = "building"
    """Some rows are searched without the index, or will be once it is loaded."""
    COMPLETED = "completed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class IndexHealth:
    """`coverage` in per cent of the rows, at most 100 and rounded down, so that 100 means all; None where there are none, or it is not known."""

    index: IndexSeen
    judgment: Judgment
    coverage: float | None
    uncovered_rows: int | None
    by: str
    """What the judgment goes by."""

    def __str__(self) -> str:
        covered = f" {self.coverage:g}%" if self.coverage is not None else ""
        return f"{self.index.type or '?'}/{self.index.metric or '-'} {self.judgment}{covered}"

    def facts(self) -> dict[str, Any]:
        index = self.index
        counters = {"total": index.total, "indexed": index.indexed, "pending": index.pending, "state": index.state}
        return {
            "field": index.field,
            "name": index.name,
            "type": index.type,
            "metric": index.metric,
            "judgment": self.judgment.value,
            "coverage": self.coverage,
            "uncovered_rows": self.uncovered_rows,
            "by": self.by,
            "says": counters,
        }


def judge(seen: Seen, index: IndexSeen) -> IndexHealth:
    """The judgment of one index.

    Where the collection is loaded and its segments are known, those in memory are counted, because they are what queries search: an index that is
    built and not yet loaded serves nobody (2.3.5 takes up to 10 s), and its own counters lie for half a minute and more after deletes and compaction.
    """
    rows = seen.rows if seen.rows is not None else max(seen.stored_rows or 0, index.total)
    if not rows:
        unknown = seen.rows is None and seen.stored_rows is None
        return IndexHealth(index, Judgment.UNKNOWN if unknown else Judgment.WAITING, None, None if unknown else 0, "rows")
    if index.type == "FLAT" and index.vector:
        uncovered, by = 0, "FLAT, which searches every row"
    elif seen.segments is not None and seen.rows is not None and seen.growing_rows is not None:
        bare = seen.growing_rows + _without_index(seen.segments)
        if index.vector and len(seen.indexes or ()) == 1:  # a segment names one index, of whichever field
            uncovered, by = bare, "segments"
        elif index.adds_up:
            uncovered, by = seen.growing_rows + max(index.pending, _without_index(seen.segments)), "segments and the index's counters"
        elif bare:
            uncovered, by = bare, "segments, which have one of several indexes"
        else:
            return _unknown(index)
    elif index.adds_up or seen.rows is None:
        # Of what is not loaded nothing else is known: there the count of indexed rows still has segments that are gone, the one of pending rows not.
        pending = index.pending if index.pending else max(0, index.total - index.indexed)
        uncovered, by = pending + max(0, rows - index.total), "the index's counters"
    else:
        return _unknown(index)
    uncovered = min(max(uncovered, 0), rows)
    coverage = int(10_000 * (rows - uncovered) / rows) / 100
    return IndexHealth(index, Judgment.BUILDING if uncovered else Judgment.COMPLETED, coverage, uncovered, by)


def _without_index(segments: Iterable[Segment]) -> int:
    """Rows of sealed segments that queries search one by one, deleted ones among them. Small segments never get an index: they count as covered."""
    return sum(s.rows for s in segments if s.loaded and not s.growing and not s.index and s.rows >= SMALLEST_INDEXED_SEGMENT)


def _unknown(index: IndexSeen) -> IndexHealth:
    return IndexHealth(index, Judgment.UNKNOWN, None, None, "the index's counters, which do not add up: it is being compacted")
