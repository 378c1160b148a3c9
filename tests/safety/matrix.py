"""One cell of the crash matrix: an act is killed at one moment and run again, and everything is as it is without a crash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.safety.cases import Case, Worlds, cases
from tests.safety.dying import AFTER_WRITE, BEFORE_WRITE, STEP
from tests.safety.place import Place, cleared
from tests.safety.witness import Witness
from tests.safety.workshop import Ended, Workshop
from tests.shop import Shop


@dataclass(frozen=True)
class Moment:
    """When a process is killed: after its step number `at`, or before or after its write number `at`."""

    kind: str
    at: int
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.at} ({self.what})"


@dataclass(frozen=True)
class Rehearsal:
    """An act that nobody killed, and what the world is after it."""

    ended: Ended
    state: dict[str, Any]

    @property
    def steps(self) -> list[Moment]:
        return [Moment(STEP, number, name) for number, name in enumerate(self.ended.steps, start=1)]

    @property
    def writes(self) -> list[Moment]:
        """Before the first and after each: between two writes nothing is changed, so after one is before the next."""
        named = list(enumerate(self.ended.writes, start=1))
        return [Moment(BEFORE_WRITE, *named[0]), *(Moment(AFTER_WRITE, number, name) for number, name in named)]


class Matrix:
    """A place, its cases, and who watches. Use it with `with`."""

    def __init__(self, shop: Shop, service: str, folder: Path, embedded: bool) -> None:
        self.place = Place.made(shop, service, embedded)
        self._workshop = Workshop(folder)
        self._witness: Witness | None = None
        self.cases: dict[str, Case] = {}

    def __enter__(self) -> Self:
        self._workshop.__enter__()
        self.worlds = Worlds.made(self.place, lambda pair: self._run(job="promote", pair=pair))
        self.cases = cases(self.place, self.worlds)
        if not self.place.embedded:
            self._witness = Witness(self.place.shop.milvus_uri, self.place.shop.milvus_token, self.place.alias)
        return self

    def __exit__(self, *_: object) -> None:
        self._workshop.__exit__()
        if self._witness:
            self._witness.close()
            with self.place.store() as store:
                cleared(store, self.place.alias)

    def rehearsed(self, case: Case) -> Rehearsal:
        """What the act does where nobody kills it: the steps and writes that it is then killed at."""
        self.place.reset(case.start)
        with self._watched(case) as wrong:
            ended = self._run(**case.asked(self.place))
        state = self._state()
        assert (ended.code, wrong, state["alias"] or "nothing") == (case.code, [], case.target), (ended, wrong, state)
        return Rehearsal(ended, state)

    def killed(self, case: Case, moment: Moment, rehearsal: Rehearsal) -> list[str]:
        """What is wrong after the act was killed at this moment and run again; nothing, it is promised."""
        self.place.reset(case.start)
        with self._watched(case) as wrong:
            first = self._run(**case.asked(self.place), die=moment.kind, at=moment.at)
            if not first.was_killed:
                return [f"was not killed: {first}"]
            if first.steps != rehearsal.ended.steps[: len(first.steps)]:
                wrong.append(f"told {first.steps} instead of {rehearsal.ended.steps}")
            wrong += self._strayed(case)
            missing = len(rehearsal.ended.writes) - len(first.writes)
            if missing or case.again is not None:
                again = self._run(words=case.words(self.place))
                # The last two writes say that all is done, and let go of the lock: who lacks only those has done all that there was to do.
                if again.code not in ({case.code, case.again} if missing <= 2 else {case.code}):
                    wrong.append(f"run again it ended with {again.code}: {again.said}")
        return wrong + _differences(_told(case, self._state()), _told(case, rehearsal.state))

    def _run(self, **asked: Any) -> Ended:
        return self._workshop.run(self.place.config, self.place.shop.environment, **asked)

    def _state(self) -> dict[str, Any]:
        with self.place.store() as store:
            return self.place.state(store)

    def _strayed(self, case: Case) -> list[str]:
        """Where the alias was left by the dead: also for milvus-lite, which nobody can watch meanwhile."""
        with self.place.store() as store:
            found = store.target(self.place.alias) or "nothing"
        name = self.place.names.get(found, found)
        return [] if name in case.passes else [f"the alias was left at {name}"]

    @contextmanager
    def _watched(self, case: Case) -> Iterator[list[str]]:
        """What was seen that should not have been; complete when the block ends."""
        wrong: list[str] = []
        if self._witness is None:
            yield wrong
            return
        with self._witness.watching() as seen:
            yield wrong
        named = [self.place.names.get(target, target) for target in seen]
        if not _is_way(named, case.passes):
            wrong.append(f"the alias went {' → '.join(named)}")


def _told(case: Case, state: dict[str, Any]) -> dict[str, Any]:
    """A cleanup that is run again is another act, with what was left to it: then the history has both, each told to MLflow once."""
    if case.job != "cleanup":
        return state
    return state | {"acts": sorted({act["kind"] for act in state["acts"]}), "runs of acts": sorted(set(state["runs of acts"]))}


def _is_way(seen: list[str], passes: tuple[str, ...]) -> bool:
    """Whether what was seen is in this order; looks may miss what lasts shorter than they are apart."""
    rest = iter(passes)
    return bool(seen) and all(target in rest for target in seen)


def _differences(found: Any, expected: Any, where: str = "") -> list[str]:
    if isinstance(found, dict) and isinstance(expected, dict):
        return [
            line for key in sorted(found.keys() | expected.keys()) for line in _differences(found.get(key), expected.get(key), f"{where}/{key}")
        ]
    return [] if found == expected else [f"{where} is {found!r} and not {expected!r}"]
