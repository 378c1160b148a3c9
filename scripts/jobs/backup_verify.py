"""`backup verify`: the restore test for a schedule. The whole way back, under a name of its own that is dropped at the end."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scripts import catalogue, filling, heartbeat
from scripts.backup import standing
from scripts.backup.ports import Folder, Show, unseen
from scripts.errors import KitError
from scripts.jobs import restore
from scripts.jobs.capacity_admission import Roomed, readmitted
from scripts.jobs.restore import Restored
from scripts.pair import PREFIX, Pair, State, require_pair
from scripts.ports import Parts

TRIAL = f"{PREFIX}restore_test"
"""The property of a collection that is there to be dropped: who made it, as a heartbeat's token."""
# A collection of another machine on which nobody beats is left over after so long.
LEFT_OVER = timedelta(hours=1)
# Clocks of two machines may differ by so much; a backup that was begun later than now by more has no age that anybody knows.
SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Verified:
    restored: Restored
    folder: str
    age: timedelta
    max_age: timedelta | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_too_old(self) -> bool:
        return self.max_age is not None and self.age > self.max_age

    @property
    def is_of_the_future(self) -> bool:
        return self.age < -SKEW

    @property
    def exit_code(self) -> int:
        return 1 if self.is_too_old or self.max_age is not None and self.is_of_the_future else 0

    def lines(self) -> list[str]:
        made = self.restored.manifest
        return [
            f"The backup of {made.pair} in {self.folder} can be restored: {made.rows:,} rows, content {made.content.fingerprint}.",
            f"  {self.restored.recall()}",
            *self.restored.room(),
            f"  begun {made.begun_at:%Y-%m-%d %H:%M} UTC, {self._age()}",
            *(f"  {note}" for note in self.notes),
        ]

    def _age(self) -> str:
        days = self.age / timedelta(days=1)
        if self.is_of_the_future:
            return f"{-days:.1f} days FROM NOW: the clock of this machine, or of the one that made it, is wrong, and its age is not known"
        old = f": TOO OLD, {self.max_age / timedelta(days=1):g} days are allowed" if self.max_age and self.is_too_old else ""
        return f"{max(days, 0.0):.1f} days ago{old}"

    def facts(self) -> dict[str, Any]:
        facts = {"folder": self.folder, "age_days": self.age / timedelta(days=1), "too_old": self.is_too_old, "of_the_future": self.is_of_the_future, "notes": list(self.notes)}
        return self.restored.facts() | facts


def verify(parts: Roomed, folder: Folder, show: Show = unseen, max_age: timedelta | None = None) -> Verified:
    """Safe to run again. Restores the backup in this folder, or the newest one below it, and drops what it made, also where it fails; what a killed
    run left is dropped by the next one. The collection is never more than one that is being built, so nobody can promote it.

    On a server it is weighed first whether the test would fit, as of any pair that is restored.

    Its exit code is 1 where the backup is older than `max_age`, or by the clocks was begun in the future. Raises as `restore`.
    """
    notes = _drop_left_over(parts)
    folder = standing.newest_backup(folder, parts.settings.service)
    manifest = standing.whole_backup(folder)
    restore.target(manifest, None, parts)
    like = require_pair(manifest.pair)
    pair = Pair(like.service, like.version, secrets.token_hex(4))
    parts.store.drop(pair.collection)  # nothing yet: who may not drop is told now, not after hours
    is_server = "://" in parts.settings.environment.milvus_uri
    admission = readmitted(parts, manifest, "restore test") if is_server else None  # a milvus-lite file has none of the cluster's memory
    with _dropped_at_the_end(parts, pair), restore.proved(parts, folder, manifest, pair, show, {TRIAL: heartbeat.new_token()}) as (_, answers):
        pass
    return Verified(Restored(pair, manifest, answers, admission), folder.name, parts.now() - manifest.begun_at, max_age, notes)


@contextmanager
def _dropped_at_the_end(parts: Parts, pair: Pair) -> Iterator[None]:
    try:
        yield
    except BaseException:
        try:
            _drop(parts, pair.collection)
        except KitError:
            pass  # what failed first is told; the next run drops it
        raise
    _drop(parts, pair.collection)


def _drop(parts: Parts, name: str) -> None:
    if parts.store.properties(name) is not None:
        parts.store.drop(name)


def _drop_left_over(parts: Parts) -> tuple[str, ...]:
    """What earlier runs had to leave because they were killed."""
    store, marked = parts.store, dict[str, str]()
    for entry in catalogue.read(store, parts.settings).entries:
        name = entry.pair.collection
        mark = (store.properties(name) or {}).get(TRIAL)
        if mark and entry.state is State.BUILDING and not entry.aliases:
            if heartbeat.is_dead(mark) or parts.now() - entry.stamp.build.created_at > LEFT_OVER:
                marked[name] = mark
    left = sorted(marked.keys() - filling.watch(store, marked).alive)
    for name in left:
        store.drop(name)
    return tuple(f"{name}, left over from a restore test that was killed, is dropped" for name in left)
