"""The ledger of a service: who is changing production at this moment, and what was done to it before.

It is a small collection without rows, `{alias}_ledger_{n}`, whose properties say it all. Only the newest counts: whoever wants to change
production makes number n+1, which of all who try exactly one can, and takes the older acts along (see `lock`). It is not a pair and has no
stamp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from scripts.pair import PREFIX
from scripts.ports import VectorStore

# Every act is copied into each new ledger, and a collection's properties travel as one message: about 700 bytes each.
ACTS_KEPT = 200

HOLDER, BEAT, RELEASED = f"{PREFIX}holder", f"{PREFIX}beat", f"{PREFIX}released"
_ACT = f"{PREFIX}act."


class ActKind(StrEnum):
    PROMOTION = "promotion"
    ROLLBACK = "rollback"
    CLEANUP = "cleanup"
    DISCARD = "discard"
    UNLOCK = "unlock"
    RELEASE = "release"
    """A pipeline was asked to build a model version. These have a ledger of their own, see `releases`."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Act(_Frozen):
    """One change of production, or of what stands behind it."""

    kind: ActKind
    id: str
    """Stays the same when a crashed act is finished later, so that it is recorded once."""
    at: AwareDatetime
    by: str
    alias: str
    origin: str = ""
    """Where the alias pointed before, where the act moved it."""
    to: str = ""
    why: str = ""
    evidence: str = ""
    url: str = ""
    """Of the build that did it."""
    outcome: str = "done"
    details: dict[str, str] = Field(default_factory=dict)
    told: bool = False
    """Whether MLflow has a run of it."""

    @classmethod
    def new_id(cls, kind: ActKind, at: datetime, to: str) -> str:
        """Sorts by time."""
        return f"{at:%Y%m%dT%H%M%S%f}_{kind}{f'_{to}' if to else ''}"


class Holder(_Frozen):
    """Who holds the lock. `token` is a heartbeat's."""

    token: str
    doing: str
    by: str
    since: AwareDatetime
    url: str = ""

    def __str__(self) -> str:
        return f"{self.doing}, begun by {self.by} at {self.since:%Y-%m-%d %H:%M:%S} UTC{f' ({self.url})' if self.url else ''}"


@dataclass(frozen=True)
class Ledger:
    """As read at one moment. `beat` grows while the holder lives; `holder` is None when nobody holds the lock."""

    name: str
    number: int
    holder: Holder | None
    beat: str
    written: Mapping[str, str]
    """The acts as they stand there, by property."""

    @property
    def acts(self) -> tuple[Act, ...]:
        """The oldest first. One that this kit cannot read, a newer one's say, is left out, and carried on all the same."""
        return tuple(sorted(filter(None, map(_act, self.written.values())), key=lambda act: act.id))


def name_of(alias: str, number: int) -> str:
    return f"{alias}_ledger_{number}"


def numbers(store: VectorStore, alias: str) -> list[int]:
    """Of the ledgers that there are, ascending; older ones than the newest are litter."""
    named = (re.fullmatch(rf"{re.escape(alias)}_ledger_([1-9][0-9]*)", name) for name in store.collections())
    return sorted(int(found[1]) for found in named if found)


def read(store: VectorStore, alias: str) -> Ledger | None:
    """None where production was never changed by the kit."""
    while known := numbers(store, alias):
        if found := read_number(store, alias, known[-1]):  # else a newer one has just taken its place
            return found
    return None


def read_number(store: VectorStore, alias: str, number: int) -> Ledger | None:
    """None where there is no such ledger."""
    name = name_of(alias, number)
    properties = store.properties(name)
    return None if properties is None else _parsed(name, number, properties)


def _parsed(name: str, number: int, properties: Mapping[str, str]) -> Ledger:
    holder = _holder(properties[HOLDER]) if HOLDER in properties and not properties.get(RELEASED) else None
    return Ledger(name, number, holder, properties.get(BEAT, ""), {key: value for key, value in properties.items() if key.startswith(_ACT)})


def _holder(written: str) -> Holder:
    """One that cannot be read is somebody, and dead unless it beats: nobody should be kept from a rollback by a line that was edited by hand."""
    try:
        return Holder.model_validate_json(written)
    except ValidationError:
        return Holder(token="", doing="what cannot be read", by="nobody knows whom", since=datetime.fromtimestamp(0, UTC))


def _act(written: str) -> Act | None:
    try:
        return Act.model_validate_json(written)
    except ValidationError:
        return None


def release(store: VectorStore, name: str) -> None:
    store.set_properties(name, {RELEASED: "yes"})


def record(store: VectorStore, name: str, act: Act) -> None:
    """Safe to repeat: an act that is there already is replaced."""
    store.set_properties(name, property_of(act))


def property_of(act: Act) -> dict[str, str]:
    return {f"{_ACT}{act.id}": act.model_dump_json()}


def properties_of(holder: Holder, written: Mapping[str, str]) -> dict[str, str]:
    """Those of a new ledger, with the newest of the acts that were written so far."""
    return {HOLDER: holder.model_dump_json()} | dict(sorted(written.items())[-ACTS_KEPT:])
