"""When how many pairs are loaded and kept: at rest, with the way back open, and during a promotion."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.capacity.needs import Need


@dataclass(frozen=True, slots=True)
class Window:
    """The way back that retention keeps open (`retention.keep_loaded`, `retention.keep_previous`), and in how many replicas a pair is loaded."""

    keep_loaded: int = 1
    keep_previous: int = 1
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Moment:
    """In bytes, of all pairs together. Pairs that are kept for being younger than `retention.keep_days` come on top."""

    name: str
    loaded: int
    kept: int
    memory: int
    storage: int
    node_disk: int


def moments(pair: Need, window: Window) -> tuple[Moment, ...]:
    """Of pairs that are all of this size: the last one, during a promotion, is what a cluster has to hold."""
    loaded_window = min(window.keep_loaded, window.keep_previous)
    return (
        _moment("production alone", pair, 1, 1, window.replicas),
        _moment("with the way back", pair, 1 + loaded_window, 1 + window.keep_previous, window.replicas),
        _moment("during a promotion", pair, 2 + loaded_window, 2 + window.keep_previous, window.replicas),
    )


def _moment(name: str, pair: Need, loaded: int, kept: int, replicas: int) -> Moment:
    copies = loaded * replicas
    return Moment(name, loaded, kept, copies * pair.memory, kept * pair.storage, copies * pair.node_disk)
