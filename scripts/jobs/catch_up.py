"""`catch-up`: bring what changed in the source since a pair was built into that pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts import catalogue
from scripts.errors import Refused
from scripts.jobs.embed import Embedded, fill
from scripts.jobs.finish import Finished, finish
from scripts.pair import State
from scripts.ports import Parts
from scripts.sync import Pass


@dataclass(frozen=True)
class CaughtUp:
    embedded: Embedded
    finished: Finished
    exit_code: int = 0

    def lines(self) -> list[str]:
        return self.embedded.lines() + self.finished.lines()

    def facts(self) -> dict[str, Any]:
        return self.embedded.facts() | self.finished.facts() | {"notes": [*self.embedded.notes, *self.finished.notes]}


def catch_up(parts: Parts, pair: str, how: Pass | None = None) -> CaughtUp:
    """Safe to run again. Inserts, changes and deletions reach a candidate before its switch, or the previous pair, so that a rollback does not
    lose them; each text is made and encoded as this pair's are. A candidate whose content changes has to be validated again.

    Raises Refused for a pair that is still being built, or that was made of another source.
    """
    entry = catalogue.read(parts.store, parts.settings).find(pair)
    if entry.state is State.BUILDING:
        raise Refused(f"{pair} is still being built.", hint=f"Run `embed --pair {pair}`, which brings it up to date as well.")
    if entry.stamp.source != (configured := parts.settings.source.identity):
        raise Refused(f"{pair} was made of {entry.stamp.source}, not of {configured}.", hint="What the other source lacks would be deleted; build a new pair.")
    embedded = fill(parts, entry, how or Pass())
    return CaughtUp(embedded, finish(parts, pair, embedded.report))
