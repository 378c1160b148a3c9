"""`build`: create, embed and finish, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.jobs.create import Created, create
from scripts.jobs.embed import Embedded, embed
from scripts.jobs.finish import Finished, finish
from scripts.pair import Build, State
from scripts.ports import Parts
from scripts.sync import Pass


@dataclass(frozen=True)
class Built:
    created: Created
    embedded: Embedded | None
    """None where this build id had been embedded before."""
    finished: Finished
    exit_code: int = 0

    def lines(self) -> list[str]:
        return self.created.lines() + (self.embedded.lines() if self.embedded else []) + self.finished.lines()

    def facts(self) -> dict[str, Any]:
        notes = [*(self.embedded.notes if self.embedded else ()), *self.finished.notes]
        return self.created.facts() | (self.embedded.facts() if self.embedded else {}) | self.finished.facts() | {"notes": notes}


def build(
    parts: Parts,
    *,
    pinned: int | None,
    build: Build,
    how: Pass | None = None,
    reuse: bool = False,
    created: Callable[[Created], None] = lambda result: None,
) -> Built:
    """Safe to run again with the same build id. `created` is told of the pair before the long work, so that a crash leaves its name."""
    first = create(parts, pinned=pinned, build=build)
    created(first)
    name = first.pair.collection
    unfinished = first.stamp.state is State.BUILDING
    embedded = embed(parts, name, how, reuse=reuse) if unfinished else None
    return Built(first, embedded, finish(parts, name, embedded.report if embedded else None))
