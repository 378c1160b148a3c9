"""What a query is, what comes back, and how a searcher is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from scripts.canary import Arm
from scripts.errors import UsageError
from scripts.ports import Hit

MAX_LIMIT = 16_384  # Milvus' own: it gives no more in one answer
MAX_TEXT_CHARS = 100_000


@dataclass(frozen=True, slots=True)
class Answer:
    pair: str
    """The pair that answered: its model encoded the query, and its collection was searched."""
    hits: tuple[Hit, ...]
    query_id: str
    """For `feedback`."""
    arm: Arm
    """Whose query it was in a canary. Where the candidate failed, production answered in its place: then `pair` is production's."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Some queries, looked at before anybody works on them."""

    texts: tuple[str, ...]
    limit: int = 10
    where: str = ""
    fields: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str], *, limit: int, where: str, fields: Sequence[str]) -> Asked:
        """Raises UsageError for what no pair could answer."""
        if isinstance(texts, str) or isinstance(fields, str):
            raise UsageError("Texts and fields are lists of strings, not one string.")
        for text in texts:
            if not isinstance(text, str) or not text.strip():
                raise UsageError(f"A query is a text that is not empty, not {text!r}.")
            if len(text) > MAX_TEXT_CHARS:
                raise UsageError(f"A query has at most {MAX_TEXT_CHARS:,} characters, not {len(text):,}.")
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_LIMIT:
            raise UsageError(f"limit is a whole number from 1 to {MAX_LIMIT}, not {limit!r}.")
        return cls(tuple(texts), limit, where, tuple(fields))


@dataclass(frozen=True, slots=True)
class Health:
    """How a searcher is: all well where both troubles are empty."""

    alias: str
    pair: str
    """The pair that answers now."""
    looked_at: datetime
    """When the alias was last seen."""
    trouble: str
    """Why the searcher does not follow the alias; it goes on answering with `pair`."""
    canary: str
    """The id of the canary that runs, empty where none does."""
    candidate: str
    """The candidate that is ready to be asked."""
    candidate_trouble: str
    """Why the canary's candidate, its mirror or the outcomes are not as they should be."""
    draining: tuple[str, ...]
    """Pairs that still answer the queries which they were asked before the switch."""
    unmirrored: int
    """Queries that were not mirrored because too many were waiting."""

    @property
    def well(self) -> bool:
        return not (self.trouble or self.candidate_trouble)

    def facts(self) -> dict[str, Any]:
        return asdict(self) | {"looked_at": self.looked_at.isoformat(), "draining": list(self.draining), "well": self.well}
