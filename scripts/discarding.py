"""Which pairs go with the pipeline that made them: what its gate refused, and what nobody is going to approve any more. A pure plan, applied by
`retention.apply`."""

from __future__ import annotations

from datetime import datetime

from scripts import footprint, retention
from scripts.catalogue import Catalogue, Entry
from scripts.footprint import Footprint
from scripts.pair import Pair, State
from scripts.retention import Decision, Fate, RetentionPlan, Seen

_GOES_ON = {
    State.BUILDING: 'its build is not complete: "rerun from failed" goes on with it',
    State.BUILT: 'it has no verdict that decides: "rerun from failed" validates it again',
}
_MAY_BE_APPROVED = "it was validated, and may still be approved"
_GIVEN_UP = {
    State.REJECTED: "its gates rejected it",
    State.VALIDATED: "it was validated, and nobody is going to approve it",
}


def of_build(catalogue: Catalogue, build_id: str) -> tuple[str, ...]:
    """The pairs of a build, those whose stamp cannot be read among them: their name tells. A build that was pinned to two versions made two."""
    code = Pair.of("_", 1, build_id).build
    unreadable = (broken.collection for broken in catalogue.unreadable if (pair := Pair.parse(broken.collection)) and pair.build == code)
    return (*(entry.pair.collection for entry in catalogue.entries if entry.stamp.build.id == build_id), *unreadable)


def plan(catalogue: Catalogue, names: tuple[str, ...], *, cancelled: bool, now: datetime, seen: Seen) -> RetentionPlan:
    """Of these pairs, those that were rejected go, and where the approval was `cancelled` also those that were validated. Production, what has an alias
    or has had one, what is in use and what a pipeline may go on with stays."""
    entries = [entry for entry in catalogue.entries if entry.pair.collection in names]
    unreadable = tuple(broken for broken in catalogue.unreadable if broken.collection in names)
    decisions = tuple(_decision(catalogue, entry, cancelled, now, seen) for entry in entries)
    return RetentionPlan(catalogue.alias, catalogue.target, decisions, unreadable, seen.silent)


def protection(catalogue: Catalogue, entry: Entry, *, now: datetime, seen: Seen) -> str:
    """Why it is not for anybody to discard; empty where it is."""
    if why := retention.in_use(catalogue, entry, now=now, seen=seen):
        return why
    if entry.stamp.has_served:
        return "it has served, and is kept for a rollback"
    return "it was taken out of production, and clients may still ask it" if entry.stamp.rolled_back else ""


def _decision(catalogue: Catalogue, entry: Entry, cancelled: bool, now: datetime, seen: Seen) -> Decision:
    if why := protection(catalogue, entry, now=now, seen=seen):
        return Decision(entry, Fate.KEEP, why)
    if entry.state is State.VALIDATED and not cancelled:
        return Decision(entry, Fate.KEEP, _MAY_BE_APPROVED)
    if going_on := _GOES_ON.get(entry.state):
        return Decision(entry, Fate.KEEP, f"{going_on}, and `cleanup` drops it in time")
    size = footprint.of_stamp(entry.stamp)
    memory = size.memory if size and entry.pair.collection in seen.loaded else 0
    return Decision(entry, Fate.DROP, _GIVEN_UP[entry.state], Footprint(memory, size.disk) if size else None)
