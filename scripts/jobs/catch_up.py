"""`catch-up`: bring what changed in the source since a pair was built into that pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from scripts import catalogue, reading
from scripts.behind import Behind, behind
from scripts.catalogue import Entry
from scripts.errors import Refused
from scripts.jobs.embed import Embedded, fill
from scripts.jobs.finish import Finished, finish
from scripts.pair import State
from scripts.ports import Parts
from scripts.reading import Reading
from scripts.sync import Pass

PREVIOUS = "previous"
_UNKNOWN = -1


@dataclass(frozen=True)
class CaughtUp:
    embedded: Embedded
    finished: Finished
    exit_code: int = 0

    def lines(self) -> list[str]:
        return self.embedded.lines() + self.finished.lines()

    def facts(self) -> dict[str, Any]:
        return self.embedded.facts() | self.finished.facts() | {"notes": [*self.embedded.notes, *self.finished.notes]}


def catch_up(parts: Parts, pair: str, how: Pass | None = None, *, expected: int | None = None) -> CaughtUp:
    """Safe to run again. Inserts, changes and deletions reach a candidate before its switch, or the previous pair, so that a rollback does not lose
    them; each text is made and encoded as this pair's are. `pair` may be PREVIOUS, for the one that a rollback goes to. A candidate of which more
    than promotion.max_changed changes has to be validated again.

    How many rows change is stamped for that. `expected` is what was counted before: no more are written or deleted, so that a pass that is killed half
    way leaves a number that is not too low, and not only that it is not known.

    Raises Refused for a pair that is still being built, or that was made of another source, and Unreachable for a user who may not write: then the
    pair is as it was.
    """
    world = catalogue.read(parts.store, parts.settings)
    entry = world.rollback_target() if pair == PREVIOUS else world.find(pair)
    pair = entry.pair.collection
    if entry.state is State.BUILDING:
        raise Refused(f"{pair} is still being built.", hint=f"Run `embed --pair {pair}`, which brings it up to date as well.")
    _refuse_other_source(parts, entry)
    _refuse_who_may_not_write(parts, pair)
    before = entry.stamp.changed_rows
    _stamp(parts, entry, _UNKNOWN if expected is None or before == _UNKNOWN else before + expected)
    embedded = fill(parts, entry, replace(how or Pass(), at_most=expected))
    if before != _UNKNOWN:
        _stamp(parts, entry, before + max(expected or 0, embedded.report.written + embedded.report.deleted))
    return CaughtUp(embedded, finish(parts, pair, embedded.report))


def behind_source(parts: Parts, entry: Entry) -> Behind:
    """Which changes of the source the pair does not have yet. Reads both and writes nothing. Raises Refused where the pair was made of another
    source."""
    _refuse_other_source(parts, entry)
    source = reading.as_of(parts.settings.source, entry.stamp)
    return behind(Reading(parts.open_source(source), source, entry.stamp.layout), parts.store.open(entry.pair.collection))


def _refuse_other_source(parts: Parts, entry: Entry) -> None:
    if entry.stamp.source != (configured := parts.settings.source.identity):
        raise Refused(
            f"{entry.pair} was made of {entry.stamp.source}, not of {configured}.", hint="What the other source lacks would be deleted; build a new pair."
        )


def _refuse_who_may_not_write(parts: Parts, pair: str) -> None:
    """Who may promote may stamp, and may not write: a pass that was denied its first write would leave the pair half caught up. To flush takes a
    writer's grants, and of nothing it changes nothing (2.3.5: denied in 0.01 s, else 0.5 s)."""
    parts.store.open(pair).flush()


def _stamp(parts: Parts, entry: Entry, changed_rows: int) -> None:
    parts.store.set_properties(entry.pair.collection, entry.stamp.changes(changed_rows=changed_rows))
