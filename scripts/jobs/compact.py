"""`compact`: small segments are merged into large ones, which get an index, and deleted rows go from the disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from scripts.errors import Inconclusive, Refused
from scripts.health.indexes import SMALLEST_INDEXED_SEGMENT
from scripts.health.seen import Segment
from scripts.health.upkeep import Upkeep
from scripts.ports import VectorStore

POLL_SECONDS = 0.5
# What was upserted lately is mostly being compacted already when it is asked for, and joins the next pass.
PASSES = 5


@dataclass(frozen=True)
class Compacted:
    """`before` and `after` are the segments on the disk; None where the server does not tell them, because it compacts by itself."""

    collection: str
    before: tuple[Segment, ...] | None
    after: tuple[Segment, ...] | None
    exit_code: int = 0

    def lines(self) -> list[str]:
        if self.before is None or self.after is None:
            return [f"{self.collection}: flushed; milvus-lite compacts by itself, and does not tell its segments."]
        return [f"{self.collection}: {_words(self.before)} → {_words(self.after)}. Queries use them once they are indexed and loaded: see `health`."]

    def facts(self) -> dict[str, Any]:
        return {"collection": self.collection, "before": _facts(self.before), "after": _facts(self.after)}


def compact(store: VectorStore, upkeep: Upkeep, name: str, *, within: float, tell: Callable[[str], None] = lambda line: None) -> Compacted:
    """Safe to run again. `name` is a collection or an alias, the kit's or not; queries are answered meanwhile. `within` is in seconds.

    Raises Refused where there is none, Inconclusive when it takes longer; then the server goes on by itself.
    """
    if store.properties(name) is None:
        raise Refused(f"There is no collection {name} on this server.", hint="`health` lists them.")
    collection = store.target(name) or name
    before = upkeep.segments(collection)
    until = time.monotonic() + within

    def wait(so: Callable[[], bool]) -> None:
        while not so():
            if time.monotonic() > until:
                what = f"The compaction of {collection} is not done after {within:g} seconds."
                raise Inconclusive(what, hint="What has begun goes on by itself; `health` shows it.")
            time.sleep(POLL_SECONDS)

    upkeep.seal(collection, within)
    for _ in range(PASSES):
        wait(lambda: upkeep.is_indexed(collection))
        if (job := upkeep.begin_compacting(collection)) is None:
            break
        tell(f"{collection}: compaction {job.number} of {len(job.segments)} segments has begun")
        wait(partial(upkeep.is_compacted, job))
        if not upkeep.has_left_some_out(job):
            break
    return Compacted(collection, _stored(before), _stored(upkeep.segments(collection)))


def _stored(segments: tuple[Segment, ...] | None) -> tuple[Segment, ...] | None:
    return None if segments is None else tuple(segment for segment in segments if segment.stored and not segment.growing)


def _words(segments: tuple[Segment, ...]) -> str:
    small = sum(segment.rows < SMALLEST_INDEXED_SEGMENT for segment in segments)
    rows = sum(segment.rows for segment in segments)
    return f"{len(segments)} segment{'' if len(segments) == 1 else 's'} ({small} small, {rows:,} rows with deleted ones)"


def _facts(segments: tuple[Segment, ...] | None) -> dict[str, int] | None:
    if segments is None:
        return None
    small = sum(segment.rows < SMALLEST_INDEXED_SEGMENT for segment in segments)
    return {"segments": len(segments), "small": small, "rows": sum(segment.rows for segment in segments)}
