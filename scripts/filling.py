"""Who fills a pair at this moment, as one sees it from outside: by the heartbeats of `lease`, and never by any clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scripts import heartbeat
from scripts.pair import PREFIX
from scripts.ports import VectorStore

_LEASE = f"{PREFIX}lease."


@dataclass(frozen=True)
class Watched:
    """`alive` are pairs that somebody fills, `silent` the last beats of those who do not any more."""

    alive: frozenset[str]
    silent: frozenset[str]


def beats(properties: Mapping[str, str]) -> frozenset[str]:
    """The beats on a pair, of whoever is not known to be dead."""
    return frozenset(value for key, value in properties.items() if key.startswith(_LEASE) and value and not heartbeat.is_dead(value))


def watch(store: VectorStore, names: Iterable[str]) -> Watched:
    """Looks twice at pairs on which there are beats. Takes as long as a beat where all of them live, SILENCE_SECONDS where one does not, and no time
    where there is none."""
    first = {name: found for name in names if (found := beats(store.properties(name) or {}))}
    alive: set[str] = set()
    looks = heartbeat.silence(heartbeat.BEAT_SECONDS / 4)
    while len(alive) < len(first) and next(looks, False):
        # Gone, released or changed: in each case somebody was there.
        alive |= {name for name in first if name not in alive and beats(store.properties(name) or {}) != first[name]}
    return Watched(frozenset(alive), frozenset(beat for name, found in first.items() if name not in alive for beat in found))
