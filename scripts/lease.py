"""One process at a time fills a pair (or a shard of it); a second one is refused, and a dead one does not stand in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scripts import heartbeat
from scripts.errors import KitError, Refused, Unreachable
from scripts.pair import PREFIX
from scripts.ports import VectorStore
from scripts.shards import Shard

_LEASE = f"{PREFIX}lease."


@contextmanager
def lease(store: VectorStore, collection: str, shard: Shard) -> Iterator[Callable[[], None]]:
    """Holds the shard of this collection within the block. Gives a function that raises Refused when somebody else took it over,
    as may happen to a process that was stopped for longer than the silence that counts as death.

    Raises Refused while another living process holds this shard, or one of another division into shards. It takes as long as a beat to
    see that it lives; that a holder on this machine is dead is seen at once, elsewhere after SILENCE_SECONDS.

    It is two properties, and properties have no compare-and-swap: two that begin in the same instant both get in, and the loser sees it at
    its first beat. Until then both write the same rows, by key: time is lost, not content. (Where more is at stake there is `lock`.)
    """
    key = f"{_LEASE}{shard}"
    token = heartbeat.new_token()
    _wait_for_silence(store, collection, shard)
    store.set_properties(collection, {key: f"{token}/0"})

    def beat(count: int) -> bool:
        if not (store.properties(collection) or {}).get(key, "").startswith(token):
            return False
        store.set_properties(collection, {key: f"{token}/{count}"})
        return True

    heart = heartbeat.Heart(beat)

    def check() -> None:
        if heart.lost:
            raise Refused(f"Another process took over filling {collection}.", hint="Let it finish.")

    try:
        with heart:
            yield check
    except Unreachable:
        raise  # a server that was asked for a minute is not asked for another one: whoever comes next sees that nobody beats
    except BaseException:
        _hand_back(store, collection, key, heart)
        raise
    _hand_back(store, collection, key, heart)


def _hand_back(store: VectorStore, collection: str, key: str, heart: heartbeat.Heart) -> None:
    if heart.lost:
        return
    try:
        store.set_properties(collection, {key: ""})
    except KitError:
        pass  # whoever comes next sees that nobody beats


def _wait_for_silence(store: VectorStore, collection: str, shard: Shard) -> None:
    seen = _holders(store, collection, shard)
    looks = heartbeat.silence(heartbeat.BEAT_SECONDS / 4)
    while seen and next(looks, False):
        now = _holders(store, collection, shard)
        if alive := [key for key, value in now.items() if seen.get(key, value) != value]:
            which = alive[0].removeprefix(_LEASE)
            whole = Shard.named(which).is_all
            raise Refused(
                f"{collection} is being filled by another process{'' if whole else f' (shard {which})'} on {heartbeat.host_of(now[alive[0]])}.",
                hint="Let it finish, or end it first.",
            )
        seen = now  # also who came meanwhile, with another division


def _holders(store: VectorStore, collection: str, shard: Shard) -> dict[str, str]:
    """Who may be at work on the same rows: on this shard, or with another number of shards. Not who is known to be dead."""
    found = {}
    for key, value in (store.properties(collection) or {}).items():
        if key.startswith(_LEASE) and value and not heartbeat.is_dead(value):
            other = Shard.named(key.removeprefix(_LEASE))
            if other == shard or other.count != shard.count:
                found[key] = value
    return found
