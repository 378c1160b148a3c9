"""The acts that are killed, each in the world that it begins in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.safety.place import Place, Start

DONE, NO, REFUSED = 0, 1, 4


@dataclass(frozen=True)
class Case:
    """`job` is done to `pair`. `passes` is where the alias is meanwhile, in order, "nothing" where it does not exist. Its exit code is `code`; run
    again after it was done to the end it is `again`, or None where that would be another act: one more pair back."""

    name: str
    start: Start
    job: str
    pair: str
    passes: tuple[str, ...]
    code: int = DONE
    again: int | None = DONE
    option: str = "--pair"

    @property
    def target(self) -> str:
        return self.passes[-1]

    def words(self, place: Place) -> list[str]:
        return [self.job, *([self.option, place.pairs[self.pair]] if self.pair else [])]

    def asked(self, place: Place) -> dict[str, Any]:
        return {"job": self.job} | ({"pair": place.pairs[self.pair]} if self.pair else {})


@dataclass(frozen=True)
class Worlds:
    """`first` is after the promotion of `a`, `second` after that of `b` as well, `third` after that of `c`; nothing serves in `empty`."""

    empty: Start
    first: Start
    second: Start
    third: Start

    @classmethod
    def made(cls, place: Place, promote: Callable[[str], object]) -> Worlds:
        """By promotions that nobody kills."""
        with place.store() as store:
            worlds = [place.remembered(store)]
        for name in "abc":
            place.reset(worlds[-1])
            promote(place.pairs[name])
            with place.store() as store:
                worlds.append(place.rebased(place.remembered(store)))
        return cls(*worlds)


def cases(place: Place, worlds: Worlds) -> dict[str, Case]:
    """All acts that change production, or what stands behind it."""
    first, third = worlds.first, worlds.third
    all_cases = (
        Case("first promotion", worlds.empty, "promote", "a", ("nothing", "a")),
        Case("promotion", first, "promote", "b", ("a", "b")),
        Case("promotion with a catch-up", replace(first, grown=True), "promote", "b", ("a", "b")),
        Case("promotion that fails its verification", first, "promote", "bad", ("a", "bad", "a"), code=NO, again=REFUSED),
        Case("first promotion that fails it", worlds.empty, "promote", "bad", ("nothing", "bad", "nothing"), code=NO, again=REFUSED),
        Case("rollback", third, "rollback", "", ("c", "b"), again=None),
        Case("rollback to a released pair", replace(third, released=frozenset([place.pairs["b"]])), "rollback", "", ("c", "b"), again=None),
        Case("rollback --to", third, "rollback", "a", ("c", "a"), again=REFUSED, option="--to"),
        Case("cleanup", third, "cleanup", "", ("c",)),
    )
    return {case.name: case for case in all_cases}
