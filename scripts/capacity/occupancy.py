"""What is loaded on a cluster, the kit's collections and all others, and the query nodes that hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from scripts.capacity.needs import Shape, need


@dataclass(frozen=True, slots=True)
class Occupant:
    """A collection in memory, or one that has its place there."""

    name: str
    rows: int
    """As stored: deleted ones are among them until a compaction has removed them."""
    shapes: tuple[Shape, ...]
    """One for each vector field. The first has the other columns. None where it could not be sized: of sparse vectors, or because this user may not
    see the collection."""
    replicas: int = 1

    @property
    def memory(self) -> int:
        """By the formula of `capacity`, in bytes."""
        first, *others = (need(shape, self.rows) for shape in self.shapes) if self.shapes else (None,)
        if first is None:
            return 0
        return self.replicas * (first.memory + sum(int(other.index.memory) for other in others))


class Occupancy(Protocol):
    """A server that is asked what it holds. Nothing in it is changed."""

    def loaded(self) -> list[Occupant]:
        """Every collection that is loaded, or being loaded."""
        ...

    def query_nodes(self) -> tuple[int, ...]:
        """The memory of each query node, in bytes. Empty where the server does not say."""
        ...
