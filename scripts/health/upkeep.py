"""What is done to a collection so that it answers as it should: loading and compacting, each begun and then watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from scripts.health.seen import Load, Segment


@dataclass(frozen=True, slots=True)
class Loading:
    """How far it is; `progress` in per cent, None where the server does not say."""

    load: Load
    progress: int | None = None


@dataclass(frozen=True, slots=True)
class Compaction:
    """A job of the server, and the segments that there were when it began, by their numbers."""

    number: int
    segments: frozenset[int]


class Upkeep(Protocol):
    """Work on collections, by their physical names."""

    def begin_loading(self, collection: str) -> None:
        """Returns at once, or when it is loaded. Safe to repeat. Raises Refused where it cannot be loaded."""
        ...

    def loading(self, collection: str) -> Loading:
        """Raises Refused where it is not there any more."""
        ...

    def seal(self, collection: str, within: float) -> None:
        """What still grows is on the disk, so that it can be merged. Raises Unreachable where that takes longer than `within` seconds."""
        ...

    def is_indexed(self, collection: str) -> bool:
        """Whether all that is sealed is; what is not is left out when segments are merged (2.3.5)."""
        ...

    def begin_compacting(self, collection: str) -> Compaction | None:
        """None where the server does that by itself. Safe to repeat. 2.3.5 compacts all of its collections, whichever it is asked for."""
        ...

    def is_compacted(self, job: Compaction) -> bool: ...

    def has_left_some_out(self, job: Compaction) -> bool:
        """Whether segments were no part of it: a server leaves out those that it is compacting at that moment anyway, each by itself (2.3.5)."""
        ...

    def segments(self, collection: str) -> tuple[Segment, ...] | None:
        """None where the server does not tell them."""
        ...
