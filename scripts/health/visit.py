"""One cluster is looked at, collection by collection; what was found so far can be asked for at any moment."""

from __future__ import annotations

import re
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock, Thread
from traceback import extract_tb

from scripts.errors import KitError
from scripts.health.report import ClusterHealth
from scripts.health.seen import Because, Gap, Inspection, Seen
from scripts.health.statuses import CollectionHealth, Finding, Status, examine, lost

# A strong count waits for 200 to 400 ms (2.3.5) and costs little: so many wait beside each other.
LOOKS_AT_ONCE = 32
# Of the time-out: after this share no collection is begun, so that those that were begun can end.
BEGIN_SHARE = 0.7
# What failures tell people to check, as of a single server that is so.
_TOKEN = "MILVUS_TOKEN"

_UNLISTED = Finding(
    Status.WARNING,
    "this user may not list aliases, so one that points to nothing goes unseen",
    "Give it the role `reader` (`roles setup`).",
)


@dataclass(frozen=True)
class Place:
    """A cluster and how it is opened; its address is as it may be shown. `token` is what has its token, by name."""

    name: str
    address: str
    open: Callable[[], Inspection]
    token: str = _TOKEN


class Visit:
    """Reads only. What serves is looked at first."""

    def __init__(self, place: Place, within: float) -> None:
        self._place = place
        self._within = within
        self._began = time.monotonic()
        self._lock = Lock()
        self._aliases: Mapping[str, str] | None = None
        self._pointing: dict[str, tuple[str, ...]] = defaultdict(tuple)
        self._waiting: deque[str] = deque()
        self._unseen: dict[str, None] = {}
        """Names, in order: all of them in the beginning."""
        self._looks: list[CollectionHealth] = []
        self._failure = ""
        self._ended: float | None = None

    def run(self) -> None:
        """Returns when all is seen, or no more can be. Never raises."""
        try:
            with self._place.open() as inspection:
                self._list(inspection)
                # No pool: its threads are waited for when Python ends, also one that hangs in a call.
                lookers = [Thread(target=self._look_at_some, args=(inspection,), daemon=True) for _ in range(min(LOOKS_AT_ONCE, len(self._waiting)))]
                for looker in lookers:
                    looker.start()
                for looker in lookers:
                    looker.join()
        except KitError as error:
            self._failure = self._said(error)
        except Exception as fault:
            self._failure = f"Not a fault of the cluster, but {_told(fault)}."
        self._ended = time.monotonic()

    def found(self) -> ClusterHealth:
        """What is known by now."""
        with self._lock:
            looks, unseen = sorted(self._looks, key=lambda each: each.seen.name), tuple(self._unseen)
        findings: tuple[Finding, ...] = ()
        if self._aliases is not None:
            findings = tuple(lost(looks, self._aliases))
        elif looks:
            findings = (_UNLISTED,)
        seconds = (self._ended or time.monotonic()) - self._began
        return ClusterHealth(self._place.name, self._place.address, tuple(looks), findings, self._why_incomplete(unseen), unseen, seconds)

    def _why_incomplete(self, unseen: tuple[str, ...]) -> str:
        if self._failure:
            return self._failure
        if self._ended is None and not self._looks:
            return f"It did not answer within {self._within:g} seconds. Is it up, and is --timeout long enough?"
        if unseen and (self._aliases is None or unseen[0] in self._pointing):
            return "Not all that serves was looked at within the time-out. Give it more --timeout."
        return ""

    def _list(self, inspection: Inspection) -> None:
        self._aliases = inspection.aliases()
        for alias, target in sorted((self._aliases or {}).items()):
            self._pointing[target] += (alias,)
        names = sorted(inspection.collections(), key=lambda name: (name not in self._pointing, name))
        self._waiting.extend(names)
        self._unseen = dict.fromkeys(names)

    def _look_at_some(self, inspection: Inspection) -> None:
        until = self._began + BEGIN_SHARE * self._within
        while time.monotonic() < until and not self._failure:
            try:
                name = self._waiting.popleft()
            except IndexError:
                return
            try:
                found = self._examined(inspection, name)
            except KitError as error:
                self._failure = self._said(error)
                return
            with self._lock:
                del self._unseen[name]
                if found:
                    self._looks.append(found)

    def _examined(self, inspection: Inspection, name: str) -> CollectionHealth | None:
        """What the kit does not understand, such as a kind of field that is newer than pymilvus, keeps it from no other collection."""
        try:
            seen = inspection.look(name)
            return examine(self._with_aliases(seen)) if seen else None
        except KitError:
            raise
        except Exception as fault:
            return examine(self._with_aliases(Seen(name, unknown=(Gap("everything", Because.FAILED, _told(fault)),))))

    def _said(self, error: KitError) -> str:
        return re.sub(rf"\b{_TOKEN}\b", self._place.token, str(error))

    def _with_aliases(self, seen: Seen) -> Seen:
        """Where they may not be listed, those that the server told with the collection."""
        return seen if self._aliases is None else replace(seen, aliases=self._pointing.get(seen.name, ()))


def _told(fault: Exception) -> str:
    """With its place, because there is no traceback of a look among many."""
    where = extract_tb(fault.__traceback__)[-1]
    what = " ".join(f"{type(fault).__name__}: {fault}".split())[:200]
    return f"a fault of the kit: {what} ({where.filename.rpartition('/')[2]}, line {where.lineno})"
