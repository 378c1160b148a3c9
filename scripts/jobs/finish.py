"""`finish`: flush, index, load, and prove that the collection is ready."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from scripts import catalogue, run_log
from scripts.catalogue import Entry
from scripts.errors import Inconclusive, KitError, Refused
from scripts.pair import Content, Pair, Stamp, State
from scripts.ports import Collection, Parts, Readiness
from scripts.sync_report import SyncReport

# After deletes and compaction the server's counters lie for 25 seconds and more (2.3.5).
COVERED_WITHIN_SECONDS = 180.0
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.05, 1.0


@dataclass(frozen=True)
class Finished:
    pair: Pair
    readiness: Readiness
    notes: tuple[str, ...] = ()
    exit_code: int = 0

    def lines(self) -> list[str]:
        return [f"{self.pair} is ready: {self.readiness.rows:,} rows, all indexed, loaded.", *(f"  {note}" for note in self.notes)]

    def facts(self) -> dict[str, Any]:
        ready = self.readiness
        return {"pair": str(self.pair), "rows": ready.rows, "indexed": ready.indexed, "loaded": ready.loaded, "notes": list(self.notes)}


def finish(parts: Parts, pair: str, report: SyncReport | None = None) -> Finished:
    """Safe to run again; on a pair that was finished before it loads what was released and proves readiness anew.

    A run in MLflow gets to know of new content; `report` is of the pass that brought it, where this process made it.
    Raises Refused when the source was not read to its end or the count is not the source's, Inconclusive when the index does not cover every row
    in time.
    """
    store = parts.store
    entry = catalogue.read(store, parts.settings).find(pair)
    content = entry.stamp.read_content
    if content is None:
        raise _unfilled(entry)
    readiness = made_ready(store.open(pair))
    if readiness.rows != content.rows:
        raise Refused(
            f"{pair} holds {readiness.rows:,} rows, its source had {content.rows:,} distinct keys.",
            hint=f"Run `embed --pair {pair}` again; if the pair is past that, build another.",
        )
    if content == entry.stamp.content:
        return Finished(entry.pair, readiness)
    # A verdict was about other content: if much of it changed, it does not hold any more. Of the same content somebody may have given another one
    # meanwhile.
    same = entry.stamp.content is not None and entry.stamp.content.fingerprint == content.fingerprint
    held = (same and entry.stamp.state is not State.BUILDING) or _little_changed(entry.stamp, content, parts.settings.promotion.max_changed)
    told = {} if held else {"state": State.BUILT}
    store.set_properties(pair, entry.stamp.changes(content=content, **told))
    return Finished(entry.pair, readiness, _logged(parts, entry, report))


def made_ready(collection: Collection) -> Readiness:
    """Flushed, indexed and loaded. Safe to run again. Raises Inconclusive when the index does not cover every row in time."""
    collection.flush()
    collection.build_index()
    collection.load()
    return _wait_until_covered(collection)


def _little_changed(stamp: Stamp, content: Content, share: float) -> bool:
    return stamp.state is State.VALIDATED and 0 < stamp.changed_rows <= share * content.rows


def _logged(parts: Parts, entry: Entry, report: SyncReport | None) -> tuple[str, ...]:
    """The pair is ready whether or not MLflow hears of it."""
    try:
        parts.runs.log(run_log.of_build(entry.pair, entry.stamp, parts.now(), report))
    except KitError as error:
        return (f"MLflow has no record of this: {error}",)
    return ()


def _unfilled(entry: Entry) -> Refused:
    missing = entry.stamp.missing_shards
    again = "embed --pair" if entry.state is State.BUILDING else "catch-up"
    if missing[0].is_all:
        return Refused(f"{entry.pair} has not been filled to the end of its source.", hint=f"Run `{again} {entry.pair}`.")
    named = ", ".join(f"{shard.index}/{shard.count}" for shard in missing[:5])
    return Refused(
        f"{entry.pair} lacks {len(missing)} of {missing[0].count} shards: {named}{', …' if len(missing) > 5 else ''}.",
        hint=f"Run `embed --pair {entry.pair} --shard {missing[0].index}/{missing[0].count}`.",
    )


def _wait_until_covered(collection: Collection) -> Readiness:
    """Readiness once the index covers every row and queries use it; `state: Finished` alone says neither."""
    deadline = time.monotonic() + COVERED_WITHIN_SECONDS
    pause = FIRST_POLL_SECONDS
    while not (readiness := collection.readiness()).covered or not readiness.loaded:
        if time.monotonic() > deadline:
            raise Inconclusive(
                f"{collection.name} is not ready after {COVERED_WITHIN_SECONDS:.0f} seconds: {readiness.indexed:,} of {readiness.rows:,} rows indexed, "
                f"{readiness.pending:,} pending, {readiness.unindexed_segments} segments without index, {'' if readiness.loaded else 'not '}loaded.",
                hint="Run `finish` again.",
            )
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_POLL_SECONDS)
    return readiness
