"""What happened to queries while a canary ran: ids that say whose a query was, and the lines in which outcomes are kept."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from scripts.canary import Arm
from scripts.errors import UsageError

# What a click days later says of an answer is little, and a page that is open for weeks should not be believed.
FEEDBACK_SECONDS = 24 * 3600
NO_CANARY = "0" * 8
SUFFIX = ".jsonl"

_ID = re.compile(r"(?P<at>[0-9a-f]{11,12})-(?P<random>[0-9a-f]{12})-(?P<canary>[0-9a-f]{8})-(?P<arm>[pc])")
_LETTERS = {Arm.PRODUCTION: "p", Arm.CANDIDATE: "c"}
_ARMS = {letter: arm for arm, letter in _LETTERS.items()}


@dataclass(frozen=True, slots=True)
class QueryId:
    """Says itself when the query was asked, in which canary and in which arm: feedback may reach another process than the query did, and nobody
    has to remember anything for it."""

    at_ms: int
    random: str
    canary: str
    arm: Arm

    @classmethod
    def new(cls, canary: str, arm: Arm) -> QueryId:
        return cls(int(time.time() * 1000), secrets.token_hex(6), canary or NO_CANARY, arm)

    @classmethod
    def parse(cls, text: str) -> QueryId:
        """Raises UsageError for what is no query's id."""
        found = _ID.fullmatch(text)
        if not found:
            raise UsageError(f"{text[:80]!r} is not the id of a query.", hint="It is `query_id` of an answer.")
        return cls(int(found["at"], 16), found["random"], found["canary"], _ARMS[found["arm"]])

    @property
    def in_canary(self) -> bool:
        return self.canary != NO_CANARY

    @property
    def expired(self) -> bool:
        return time.time() - self.at_ms / 1000 > FEEDBACK_SECONDS

    def __str__(self) -> str:
        return f"{self.at_ms:011x}-{self.random}-{self.canary}-{_LETTERS[self.arm]}"


class Event(StrEnum):
    QUERY = "query"
    """A query that an arm answered, or failed to."""
    MIRROR = "mirror"
    """The same query asked of the candidate, unseen."""
    FEEDBACK = "feedback"


def line(event: Event, query: QueryId, **facts: Any) -> str:
    """One outcome. Neither the query's text nor the user's key is in it."""
    said = {"event": event.value, "query": str(query), "canary": query.canary, "arm": query.arm.value} | facts
    return json.dumps(said, separators=(",", ":"), default=str) + "\n"


@dataclass
class Reading:
    """All lines of some files, once from the beginning each time it is asked. `unreadable` counts those that are no outcomes: a process that was
    killed may leave half a line."""

    files: tuple[Path, ...]
    unreadable: int = 0

    @classmethod
    def of(cls, places: Sequence[Path]) -> Reading:
        """Files, and folders with all files of outcomes in them. Raises UsageError where there are none."""
        files: list[Path] = []
        for place in places:
            files += sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else [place]
        if not files:
            raise UsageError(f"There are no outcomes in {', '.join(map(str, places)) or 'nowhere'}.", hint="PairSearcher(…, outcomes=FOLDER) writes them.")
        return cls(tuple(dict.fromkeys(files)))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.unreadable = 0
        for file in self.files:
            try:
                with file.open("rb") as lines:
                    for text in lines:
                        if (outcome := _parsed(text)) is not None:
                            yield outcome
                        else:
                            self.unreadable += 1
            except OSError as error:
                raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from None


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        outcome = json.loads(text)
        known = Event(outcome["event"]), Arm(outcome["arm"]), str(outcome["canary"]), str(outcome["query"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return outcome if known else None
