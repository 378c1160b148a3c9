"""The commands that are at work when the server is struck, and how each is known to be so, and to have lost nothing.

One more command is one more entry of `COMMANDS`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.place import Place
from tests.faults.running import Running, Sign
from tests.faults.world import ALIAS, OTHER, PAIR, ROWS, Loss

Signs = Callable[[Running], list[Sign]]


@dataclass(frozen=True, slots=True)
class Begun:
    """What is run, and how it is judged once the server is back and the command has come to its end, if need be by being run again."""

    words: Sequence[str]
    environment: dict[str, str]
    loss: Callable[[], Loss]
    remark: Callable[[], str] = str
    tidy: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Command:
    """`signs` are of its own work. It is struck when `enough` of them were good. `slow` is which call of it
    is held back, and for how many seconds, so that it is still at work then. One that `loops` never ends by itself."""

    name: str
    begin: Callable[[Place, Path], Begun]
    signs: Signs
    enough: int
    slow: tuple[str, float] = ("", 0)
    loops: bool = False


def _calls(name: str) -> Signs:
    def signs(run: Running) -> list[Sign]:
        return sorted([*run.calls(name), *(Sign(said.at, False) for said in run.errors)], key=lambda sign: sign.at)

    return signs


def _looks(run: Running) -> list[Sign]:
    """A look is right when it saw production with all of its rows and called it healthy."""

    def is_right(line: str) -> bool:
        (cluster,) = json.loads(line)["clusters"]
        found = {each["collection"]: each for each in cluster["collections"]}
        return PAIR in found and (found[PAIR]["status"], found[PAIR]["rows"]) == ("healthy", ROWS)

    return [Sign(said.at, is_right(said.text)) for said in run.out]


def _embed(place: Place, folder: Path) -> Begun:
    pair = place.begin_pair()

    def remark() -> str:
        counts = Counter(place.encoded())
        twice, gone = sum(counts.values()) - len(counts), place.products - len(counts)
        return f"{twice:,} of {place.products:,} texts encoded twice" + (f", {gone:,} NEVER" if gone else "")

    words = ["embed", "--pair", pair, "--json", *place.shop_config]
    return Begun(words, place.shop.environment, lambda: place.loss_of_build(pair), remark, lambda: place.world.drop(pair))


def _backup(place: Place, folder: Path) -> Begun:
    there = folder / "backup"
    words = ["backup", "--pair", PAIR, "--to", str(there), "--json", *place.world.config]
    return Begun(words, place.world.environment, lambda: place.world.loss_of_backup(there))


def _restore(place: Place, folder: Path) -> Begun:
    words = ["restore", str(place.backup), "--as", OTHER, "--json", *place.world.config]
    return Begun(words, place.world.environment, lambda: place.world.loss(OTHER), tidy=lambda: place.world.drop(OTHER))


def _perf(place: Place, folder: Path) -> Begun:
    words = ["perf", ALIAS, "--queries", "500", "--concurrency", "1,2", "--seconds", "30", "--timeout", "5", *place.world.config]
    return Begun(words, place.world.environment, lambda: place.world.loss(PAIR))


def _health(place: Place, folder: Path) -> Begun:
    words = ["health", "--watch", "1", "--timeout", "10", "--json", *place.world.config]
    return Begun(words, place.world.environment, lambda: place.world.loss(PAIR))


def _ensure_loaded(place: Place, folder: Path) -> Begun:
    words = ["ensure-loaded", "--every", "1", "--json", *place.world.config]
    return Begun(words, place.world.environment, lambda: place.world.loss(PAIR))


COMMANDS = (
    Command("embed", _embed, _calls("Upsert"), enough=4, slow=("Upsert", 3.0)),
    Command("backup", _backup, _calls("Query"), enough=4, slow=("Query", 1.0)),
    Command("restore", _restore, _calls("Upsert"), enough=4, slow=("Upsert", 3.0)),
    Command("health --watch", _health, _looks, enough=2, loops=True),
    Command("ensure-loaded --every", _ensure_loaded, _calls("GetLoadState"), enough=2, loops=True),
    Command("perf", _perf, _calls("Search"), enough=100),
)
