"""What was seen of a collection: facts as the server tells them, nothing concluded yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self


class Load(StrEnum):
    LOADED = "loaded"
    LOADING = "loading"
    NOT_LOADED = "not loaded"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FieldSeen:
    name: str
    type: str
    dimension: int | None = None
    """Of a vector field; None of any other, and of sparse vectors."""
    primary: bool = False
    vector: bool = False


@dataclass(frozen=True, slots=True)
class IndexSeen:
    """An index and its own counters, of sealed segments alone. After deletes and compaction they lag for half a minute and more, and then do not
    even add up (2.3.5: 95k rows in all, 110k of them indexed, 85k pending)."""

    field: str
    type: str
    metric: str
    state: str
    """Says `Finished` with everything pending (2.3.5): nothing is concluded from it but that it has failed."""
    total: int
    indexed: int
    pending: int
    vector: bool = True
    name: str = ""
    """Of a JSON field newer servers have several, of one path each."""

    @property
    def adds_up(self) -> bool:
        return self.indexed <= self.total and self.pending <= self.total and self.indexed + self.pending in (self.total, self.indexed)


@dataclass(frozen=True, slots=True)
class Segment:
    """Its rows include those that were deleted and not yet compacted away. 2.3.5 lists none that still grows."""

    rows: int
    growing: bool = False
    stored: bool = True
    """Whether it is among those on the disk: one that was compacted into another is not any more, while queries may still use it."""
    loaded: bool = False
    index: str = ""
    """The name of the index that queries use in it; empty where it has none, or is not loaded."""


class Because(StrEnum):
    """Why something is not known."""

    ABSENT = "absent"
    """This kind of Milvus does not have it."""
    NOT_PERMITTED = "not permitted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Gap:
    """What is not known of a collection. `why` is in words."""

    what: str
    because: Because
    why: str

    def __str__(self) -> str:
        return f"{self.what} ({self.why})"


@dataclass(frozen=True, slots=True)
class Seen:
    """A collection at one moment. None means that it is not known, and `unknown` says why."""

    name: str
    rows: int | None = None
    """The true number; only a loaded collection can be counted."""
    stored_rows: int | None = None
    """Of sealed segments alone, with rows that were replaced or deleted."""
    growing_rows: int | None = None
    """The rows that queries find outside of sealed segments in memory: written, and not yet sealed, or not yet loaded as such."""
    load: Load = Load.UNKNOWN
    progress: int | None = None
    """Per cent, of a collection that is being loaded."""
    partitions: tuple[str, ...] | None = None
    fields: tuple[FieldSeen, ...] = ()
    aliases: tuple[str, ...] = ()
    """Those that a server tells with the collection; milvus-lite tells none there (3.2.2)."""
    properties: Mapping[str, str] = field(default_factory=dict)
    indexes: tuple[IndexSeen, ...] | None = None
    segments: tuple[Segment, ...] | None = None
    replicas: int | None = None
    unknown: tuple[Gap, ...] = ()


class Inspection(Protocol):
    """A server that is looked at. Nothing in it is changed, and its methods may be called by several threads."""

    def collections(self) -> list[str]: ...

    def aliases(self) -> dict[str, str] | None:
        """Every alias and the collection that it points to; None where this user may not list them."""
        ...

    def look(self, collection: str) -> Seen | None:
        """None where it is not there, or was dropped during the look. Raises Unreachable where nothing at all is known of it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
