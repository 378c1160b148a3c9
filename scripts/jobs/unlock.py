"""`unlock`: take the lock on a service from whoever holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts import ledger, lock
from scripts.errors import Refused
from scripts.heartbeat import host_of, is_dead
from scripts.jobs.acts import holder
from scripts.ledger import Act, ActKind, Holder
from scripts.ports import Parts


@dataclass(frozen=True)
class Unlocked:
    alias: str
    broken: Holder | None
    exit_code: int = 0

    def lines(self) -> list[str]:
        if self.broken is None:
            return [f"{self.alias} is not locked."]
        return [
            f"Broke the lock of {self.broken}, on {host_of(self.broken.token)}.",
            "What it was doing may be half done: look at `status`, and run its command again to finish it.",
        ]

    def facts(self) -> dict[str, Any]:
        return {"alias": self.alias, "broken": self.broken.model_dump(mode="json") if self.broken else None}


def unlock(parts: Parts, *, force: bool) -> Unlocked:
    """Safe to run again. A dead holder needs no breaking, the next command passes over it; one that lives, or may live on another machine, is broken
    with `force` only, and finds out before its next step.

    Raises Refused, saying what would be broken, without `force`.
    """
    alias, environment = parts.settings.alias, parts.settings.environment
    found = ledger.read(parts.store, alias)
    if found is None or found.holder is None:
        return Unlocked(alias, None)
    if not force and not is_dead(found.holder.token):
        raise Refused(
            f"{alias} is locked: {found.holder}, on {host_of(found.holder.token)}. It may be at work still.",
            hint="`unlock --force` takes the lock from it; what it is doing stays half done.",
        )
    now = parts.now()
    mine = lock.break_open(parts.store, alias, holder(parts, "unlock"))
    why = f"broke {found.holder}"
    mine.record(Act(kind=ActKind.UNLOCK, id=Act.new_id(ActKind.UNLOCK, now, ""), at=now, by=environment.actor, alias=alias, why=why, url=environment.build_url))
    mine.release()
    return Unlocked(alias, found.holder)
