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


class Upkeep(Protocol):
    """Work on collections, by their physical names."""

    def begin_loading(self, collection: str) -> None:
        """Returns at once, or when it is loaded. Safe to repeat. Raises Refused where it cannot be loaded."""
        ...

    def loading(self, collection: str) -> Loading: ...

    def seal(self, collection: str) -> None:
        """What still grows is on the disk, so that it can be merged."""
        ...

    def is_indexed(self, collection: str) -> bool:
        """Whether all that is sealed is; what is not is left out when segments are merged (2.3.5)."""
        ...

    def begin_compacting(self, collection: str) -> int | None:
        """The number of the job; None where the server does that by itself."""
        ...

    def is_compacted(self, job: int) -> bool: ...

    def segments(self, collection: str) -> tuple[Segment, ...] | None:
        """None where the server does not tell them."""
        ...
