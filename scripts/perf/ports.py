"""What is searched, and what `perf` asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from scripts.layout import Column, Metric
from scripts.pair import Stamp

Key = int | str
Params = Mapping[str, int]
"""Search parameters, such as ef or nprobe."""
Search = Callable[[int], list[Key]]
"""Searches for the query of this number, once and without repeating it: the keys found, best first. Raises SearchFailed."""


class SearchFailed(Exception):
    """One search of many got no answer. It is counted by its `kind`, and ends nothing."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True)
class Target:
    """A vector field of a collection, as the server describes it."""

    name: str
    """The physical collection."""
    alias: str
    """The name that was asked for, where that is an alias; else empty."""
    field: str
    dimension: int
    key: Column
    metric: Metric
    index: str
    """Its type."""
    build: Mapping[str, Any] = field(default_factory=dict)
    """What the index was built with."""
    embedded: bool = False
    """milvus-lite: the server is part of this process."""
    stamp: Stamp | None = None
    unstamped: str = ""
    """Why there is no stamp."""

    def served(self, k: int) -> Params | None:
        """With what the kit's own clients search it for k hits; None where it is not the kit's."""
        return self.stamp.layout.index.search_params(k) if self.stamp else None

    def __str__(self) -> str:
        return f"{self.name} (alias {self.alias})" if self.alias else self.name


@dataclass(frozen=True)
class Question:
    """All of a search but its vector."""

    k: int
    where: str = ""
    params: Params = field(default_factory=dict)


Searching = Callable[[Question], Search]


class Searched(Protocol):
    """The collection behind a name, resolved once. Reads only. Its methods, but not what `searching` gives, repeat a call whose connection is lost,
    and raise the kit's errors."""

    target: Target

    def searching(self, vectors: np.ndarray, timeout: float) -> Searching:
        """Searches for single ones of these vectors, float32 [queries, dimension], which several threads may call; `timeout` in seconds."""
        ...

    def answers(self, vectors: np.ndarray, question: Question) -> list[list[Key]]:
        """The keys found for each, many vectors a call: not for measuring how long that takes."""
        ...

    def nothing(self) -> None:
        """The least that the server can be asked. Raises SearchFailed."""
        ...

    def is_loaded(self) -> bool: ...

    def count(self, where: str = "") -> int:
        """The true number of rows that match. Raises UsageError where the server does not understand the filter."""
        ...

    def unindexed(self, rows: int) -> int:
        """How many of so many rows are searched one by one, because no index covers them yet; 0 where this user may not see it."""
        ...

    def keys(self) -> Iterator[list[Key]]:
        """In order, a page at a time."""
        ...

    def rows(self, where: str = "") -> Iterator[tuple[list[Key], np.ndarray]]:
        """Keys and vectors, float32 [len(keys), dimension], of the rows that match, a page at a time."""
        ...

    def vectors(self, keys: Sequence[Key]) -> dict[Key, np.ndarray]:
        """Of those of these rows that are there."""
        ...

    def pointed_to(self) -> str | None:
        """Where the alias points now; None where it points to nothing."""
        ...

    def is_gone(self, seconds: float) -> bool:
        """Whether the server, which is asked once, says within this time that there is no such collection any more."""
        ...
