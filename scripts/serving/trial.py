"""A canary's queries: whose each is, what the candidate says to it, and what is written down of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scripts.canary import Arm, Mode
from scripts.canary_outcomes import Event, QueryId, line
from scripts.errors import KitError, UsageError
from scripts.ports import Hit
from scripts.quality.overlap import overlap
from scripts.serving.answer import Asked
from scripts.serving.following import Now
from scripts.serving.live_pair import LivePair
from scripts.serving.mirror import Mirror
from scripts.serving.outcomes import Outcomes

Found = Sequence[tuple[Hit, ...]]


@dataclass(frozen=True, slots=True)
class Shared:
    """Queries that were asked at once, which are all in one arm."""

    ids: tuple[QueryId, ...]
    asks_candidate: bool
    mirrors: bool
    counts: bool
    """Beside a mirror only those queries of production count that the candidate is asked as well."""


@dataclass(frozen=True, slots=True)
class Failed:
    error: KitError
    ms: float


class Trial:
    """Nothing that goes wrong here fails a query."""

    def __init__(self, folder: Path | None) -> None:
        self._outcomes = Outcomes(folder) if folder else None
        self._mirror = Mirror()
        self._candidate_failed = ""

    @property
    def trouble(self) -> str:
        return self._candidate_failed or (self._outcomes.trouble if self._outcomes else "")

    @property
    def unmirrored(self) -> int:
        return self._mirror.dropped

    def shared(self, now: Now, count: int, key: str) -> Shared:
        """Without a key each call is a user of its own."""
        canary = now.canary
        assert canary is not None
        first = QueryId.new(canary.id, Arm.PRODUCTION)
        taken = canary.takes(key or first.random)
        split = canary.mode is Mode.SPLIT
        arm = Arm.CANDIDATE if taken and split else Arm.PRODUCTION
        return Shared(tuple(QueryId.new(canary.id, arm) for _ in range(count)), taken and split, taken and not split, taken or split)

    def of_candidate(self, candidate: LivePair, asked: Asked, shared: Shared) -> Found | Failed:
        """What the candidate answers, or how it failed: production answers in its place."""
        began = time.perf_counter()
        try:
            found = candidate.search(asked)
        except KitError as error:
            return Failed(error, _ms(began))
        self._candidate_failed = ""
        self._write(Event.QUERY, shared.ids, pair=candidate.name, ms=_ms(began))
        return found

    def candidate_alone_failed(self, candidate: LivePair, failed: Failed, shared: Shared) -> None:
        """To be told where production could answer the same: a filter that nobody understands is no fault of the candidate's."""
        self._failed(candidate, failed.error)
        self._write(Event.QUERY, shared.ids, pair=candidate.name, ms=failed.ms, error=type(failed.error).__name__)

    @contextmanager
    def watching(self, production: LivePair, shared: Shared) -> Iterator[None]:
        """Notes how production does in its own arm, or beside the mirror."""
        if shared.asks_candidate or not shared.counts:
            yield
            return
        began = time.perf_counter()
        try:
            yield
        except UsageError:
            raise
        except KitError as error:
            self._write(Event.QUERY, shared.ids, pair=production.name, ms=_ms(began), error=type(error).__name__)
            raise
        self._write(Event.QUERY, shared.ids, pair=production.name, ms=_ms(began))

    def mirror(self, candidate: LivePair, asked: Asked, found: Found, shared: Shared) -> None:
        """Asks the candidate the same, later and elsewhere."""
        self._mirror.offer(partial(self._compare, candidate, asked, found, shared))

    def feedback(self, query_id: str, *, clicked: bool, details: dict[str, Any]) -> bool:
        query = QueryId.parse(query_id)
        if self._outcomes is None:
            raise UsageError("Feedback has nowhere to go.", hint="Make the searcher with outcomes=FOLDER.")
        if not query.in_canary or query.expired:
            return False
        self._outcomes.write(line(Event.FEEDBACK, query, clicked=bool(clicked), **({"details": details} if details else {})))
        return True

    def close(self) -> None:
        self._mirror.close()
        if self._outcomes:
            self._outcomes.close()

    def _compare(self, candidate: LivePair, asked: Asked, found: Found, shared: Shared) -> None:
        began = time.perf_counter()
        try:
            theirs = candidate.search(asked)
        except Exception as error:  # nobody is there to catch it
            self._failed(candidate, error)
            self._write(Event.MIRROR, shared.ids, pair=candidate.name, ms=_ms(began), error=type(error).__name__)
            return
        self._candidate_failed = ""
        took = _ms(began)
        for query, ours, others in zip(shared.ids, found, theirs, strict=True):
            alike = overlap([hit.key for hit in ours], [hit.key for hit in others], asked.limit)
            self._write(Event.MIRROR, [query], pair=candidate.name, ms=took, k=asked.limit, overlap=round(alike, 4))

    def _failed(self, candidate: LivePair, error: Exception) -> None:
        self._candidate_failed = f"The candidate {candidate.name} failed: {' '.join(str(error).split())}"

    def _write(self, event: Event, ids: Sequence[QueryId], **facts: Any) -> None:
        if self._outcomes:
            for query in ids:
                self._outcomes.write(line(event, query, **facts))


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
