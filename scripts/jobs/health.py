"""`health`: every collection of one or many clusters, looked at in parallel, each cluster within the time-out."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Thread

from scripts.errors import KitError
from scripts.health.report import ClusterHealth, HealthReport
from scripts.health.seen import Inspection, Seen
from scripts.health.statuses import CollectionHealth, examine, lost

# A strong count waits for 200 to 400 ms (2.3.5) and costs little: so many wait beside each other.
LOOKS_AT_ONCE = 16
# Of the time-out: after this share no collection is begun, so that those that were begun can end.
BEGIN_SHARE = 0.7


@dataclass(frozen=True)
class Place:
    """A cluster and how it is opened; its address is as it may be shown."""

    name: str
    address: str
    open: Callable[[], Inspection]


def health(places: Sequence[Place], *, within: float, now: Callable[[], datetime]) -> HealthReport:
    """Reads only. Every cluster gets the same `within`, in seconds, and all of them at the same time; one that is down, does not answer or
    does not let us in is named, and hides nothing of the others."""
    found: dict[int, ClusterHealth] = {}
    faults: list[Exception] = []
    began = time.monotonic()

    def visit(number: int, place: Place) -> None:
        try:
            found[number] = _visit(place, began, within)
        except Exception as fault:  # the kit's own: not to be taken for a server that is silent
            faults.append(fault)

    # No pool: its threads are waited for at the end, also one that hangs in a call.
    threads = [Thread(target=visit, args=(number, place), daemon=True) for number, place in enumerate(places)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + within - time.monotonic()))
    if faults:
        raise faults[0]
    silent = f"It did not answer within {within:g} seconds. Is it up, and is --timeout long enough?"
    done = dict(found)
    missing = (ClusterHealth(place.name, place.address, failure=silent, seconds=within) for place in places)
    return HealthReport(tuple(done.get(number, nothing) for number, nothing in enumerate(missing)), now())


def _visit(place: Place, began: float, within: float) -> ClusterHealth:
    try:
        with place.open() as inspection:
            aliases = inspection.aliases()
            pointing: dict[str, tuple[str, ...]] = defaultdict(tuple)
            for alias, target in sorted(aliases.items()):
                pointing[target] += (alias,)
            looks, unseen = _look_at(inspection, pointing, until=began + BEGIN_SHARE * within)
            findings = tuple(lost(looks, aliases))
            late = pointing.keys() & set(unseen)
            failure = "Not all that serves was looked at within the time-out. Give it more --timeout." if late else ""
    except KitError as error:
        return ClusterHealth(place.name, place.address, failure=str(error), seconds=time.monotonic() - began)
    return ClusterHealth(place.name, place.address, looks, findings, failure, unseen, time.monotonic() - began)


def _look_at(
    inspection: Inspection, pointing: Mapping[str, tuple[str, ...]], *, until: float
) -> tuple[tuple[CollectionHealth, ...], tuple[str, ...]]:
    """What was found, and those that there was no time for. What aliases are `pointing` to is looked at first."""
    names = sorted(inspection.collections(), key=lambda name: (name not in pointing, name))
    unseen: list[str] = []

    def look(name: str) -> Seen | None:
        if time.monotonic() > until:
            unseen.append(name)
            return None
        return inspection.look(name)

    with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
        found = [replace(seen, aliases=pointing.get(seen.name, ())) for seen in pool.map(look, names) if seen]
    return tuple(map(examine, found)), tuple(unseen)
