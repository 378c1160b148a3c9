"""The lock of a service: one promotion, rollback or cleanup at a time, whichever machine it runs on.

Milvus has no compare-and-swap, but of several that create a collection of one name, each with a schema of its own, exactly one succeeds
(2.3.5 and milvus-lite 3.2.2; so held by tests). The lock is held by whoever made the newest ledger. To take it from one who released it, or is
dead, is to make the next. The newest is never dropped, so a number that is gone is never the newest again: whoever comes late with an old
view of things makes one that is not the newest, sees that, and has nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from scripts import heartbeat, ledger
from scripts.errors import KitError, Refused
from scripts.ledger import Act, Holder, Ledger
from scripts.ports import VectorStore

_PAUSE_SECONDS = 0.05


class Lock:
    """Held. `check` before every step that changes something."""

    def __init__(self, store: VectorStore, alias: str, number: int) -> None:
        self._store = store
        self._alias = alias
        self._number = number
        self.name = ledger.name_of(alias, number)

    def check(self) -> None:
        """Raises Refused when somebody broke the lock, or took this process for dead."""
        if (newest := self._newest()) != self._number:
            found = ledger.read(self._store, self._alias) if newest else None
            by = f": {found.holder}" if found and found.holder else ""
            raise Refused(f"The lock on {self._alias} was taken over{by}.", hint="Look at `status` and `history`, then run the same command again.")

    def record(self, act: Act) -> None:
        ledger.record(self._store, self.name, act)

    def acts(self) -> tuple[Act, ...]:
        found = ledger.read(self._store, self._alias)
        return found.acts if found else ()

    def beat(self, count: int) -> bool:
        if self._newest() != self._number:
            return False
        self._store.set_properties(self.name, {ledger.BEAT: str(count)})
        return True

    def release(self) -> None:
        ledger.release(self._store, self.name)

    def _newest(self) -> int:
        return max(ledger.numbers(self._store, self._alias), default=0)


@contextmanager
def held(store: VectorStore, alias: str, holder: Holder) -> Iterator[Lock]:
    """Holds the lock on this alias within the block. Raises Refused, naming who holds it, while somebody who lives does: it takes up to a beat to see
    that. A holder that is dead is passed over, at once when it ran on this machine, else after heartbeat.SILENCE_SECONDS without a beat."""
    lock = _take(store, alias, holder)
    heart = heartbeat.Heart(lock.beat)
    try:
        with heart:
            yield lock
    finally:
        try:
            if not heart.lost and not heart.unheard:  # a server that was asked for a minute is not asked for another one
                lock.release()
        except KitError:
            pass  # whoever comes next sees that nobody beats


def break_open(store: VectorStore, alias: str, holder: Holder) -> Lock:
    """Takes the lock from whoever has it, dead or alive; one who lives finds out before its next step. To be released by the caller."""
    while (lock := _next(store, alias, holder, ledger.read(store, alias))) is None:
        time.sleep(_PAUSE_SECONDS)
    return lock


def _take(store: VectorStore, alias: str, holder: Holder) -> Lock:
    while True:
        newest = ledger.read(store, alias)
        if newest and newest.holder and not _is_silent(store, alias, newest):
            continue
        if lock := _next(store, alias, holder, newest):
            return lock
        time.sleep(_PAUSE_SECONDS)


def _next(store: VectorStore, alias: str, holder: Holder, newest: Ledger | None) -> Lock | None:
    """The lock, where this process was the one to make the ledger after `newest`."""
    number = newest.number + 1 if newest else 1
    name = ledger.name_of(alias, number)
    token = holder.token.rpartition("/")[2]
    if not store.claim(name, token, ledger.properties_of(holder, newest.written if newest else {})):
        return None
    known = ledger.numbers(store, alias)
    if known[-1] != number:  # made after an old view of things; others have gone on
        _drop(store, name)
        return None
    lock = Lock(store, alias, number)
    if newest and (late := ledger.read_number(store, alias, newest.number)):
        # What a holder that was taken for dead wrote down while this ledger was being made.
        if new := dict(late.written.items() - newest.written.items()):
            store.set_properties(name, new)
    for older in reversed(known[:-1]):
        if not _drop(store, ledger.name_of(alias, older)):
            break  # nor may this user drop those before it
    return lock


def _drop(store: VectorStore, name: str) -> bool:
    """Whether it went: a builder or promoter may not drop anything; the janitor's next cleanup does."""
    try:
        store.drop(name)
    except KitError:
        return False
    return True


def _is_silent(store: VectorStore, alias: str, seen: Ledger) -> bool:
    """Whether the holder is dead. Not so, if another ledger is the newest by now, or this one is released. Raises Refused when the holder shows
    that it lives."""
    looks = heartbeat.silence(heartbeat.BEAT_SECONDS / 16)
    while not heartbeat.is_dead(seen.holder.token) and next(looks, False):
        now = ledger.read(store, alias)
        if now is None or now.number != seen.number or now.holder is None:
            return False
        if now.beat != seen.beat:
            raise Refused(
                f"{alias} is locked: {now.holder}, on {heartbeat.host_of(now.holder.token)}, which is still at work.",
                hint="Let it finish; `unlock --force` takes the lock from it.",
            )
    return True
