"""One process at a time fills a pair (or a shard of it); a second one is refused, and a dead one does not stand in the way."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scripts.errors import KitError, Refused
from scripts.pair import PREFIX
from scripts.ports import VectorStore
from scripts.shards import Shard

BEAT_SECONDS = 4.0
# So long without a beat means that the holder is dead. Beats are compared with each other, never with this machine's clock.
SILENCE_SECONDS = 4 * BEAT_SECONDS
_LEASE = f"{PREFIX}lease."


@contextmanager
def lease(store: VectorStore, collection: str, shard: Shard) -> Iterator[Callable[[], None]]:
    """Holds the shard of this collection within the block. Gives a function that raises Refused when somebody else took it over,
    as may happen to a process that was stopped for longer than the silence that counts as death.

    Raises Refused while another living process holds this shard, or one of another division into shards. It takes as long as a beat to
    see that it lives; that a holder on this machine is dead is seen at once, elsewhere after SILENCE_SECONDS.

    Milvus has no compare-and-swap, so two that begin in the same instant both get in; the loser sees it at its first beat. Until then both
    write the same rows, by key: time is lost, not content.
    """
    key = f"{_LEASE}{shard}"
    token = f"{_host()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
    _wait_for_silence(store, collection, shard)
    store.set_properties(collection, {key: f"{token}/0"})
    lost, ended = threading.Event(), threading.Event()

    def beat() -> None:
        count = 0
        while not ended.wait(BEAT_SECONDS):
            count += 1
            try:
                if not (store.properties(collection) or {}).get(key, "").startswith(token):
                    lost.set()
                    return
                store.set_properties(collection, {key: f"{token}/{count}"})
            except KitError:  # a server that is away is the business of whoever writes
                continue

    def check() -> None:
        if lost.is_set():
            raise Refused(f"Another process took over filling {collection}.", hint="Let it finish.")

    heart = threading.Thread(target=beat, name="lease", daemon=True)
    heart.start()
    try:
        yield check
    finally:
        ended.set()
        heart.join()
        if not lost.is_set():
            _release(store, collection, key)


def _release(store: VectorStore, collection: str, key: str) -> None:
    try:
        store.set_properties(collection, {key: ""})
    except KitError:
        pass  # whoever comes next sees that nobody beats


def _wait_for_silence(store: VectorStore, collection: str, shard: Shard) -> None:
    seen = _holders(store, collection, shard)
    deadline = time.monotonic() + SILENCE_SECONDS
    while seen and time.monotonic() < deadline:
        time.sleep(BEAT_SECONDS / 4)
        now = _holders(store, collection, shard)
        if beating := [key for key, value in now.items() if seen.get(key, value) != value]:
            which = beating[0].removeprefix(_LEASE)
            host = now[beating[0]].split("/")[0].rpartition("@")[0]
            whole = Shard.named(which).is_all
            raise Refused(
                f"{collection} is being filled by another process{'' if whole else f' (shard {which})'} on {host}.", hint="Let it finish, or end it first."
            )
        seen = now  # also who came meanwhile, with another division


def _holders(store: VectorStore, collection: str, shard: Shard) -> dict[str, str]:
    """Who may be at work on the same rows: on this shard, or with another number of shards. Not who is known to be dead."""
    found = {}
    for key, value in (store.properties(collection) or {}).items():
        if key.startswith(_LEASE) and value and not _is_dead(value):
            other = Shard.named(key.removeprefix(_LEASE))
            if other == shard or other.count != shard.count:
                found[key] = value
    return found


def _is_dead(value: str) -> bool:
    """Whether the holder ran on this machine and does not any more."""
    host, pid, *_ = value.split("/")
    if host != _host() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _host() -> str:
    """This machine since it was started, or this container: process numbers mean something only here."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # not Linux
        namespace = 0
    return f"{socket.gethostname()}@{namespace}"
