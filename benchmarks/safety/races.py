"""Processes that promote different pairs at the same moment, round after round."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import click

from benchmarks.safety import servers
from scripts import lock
from scripts.ledger import Holder
from tests.safety.race import DONE, Race

ELSEWHERE = Holder(token="elsewhere@1/17/abcdef01", doing="cleanup", by="ann", since="2026-11-21T03:00:00Z")


@dataclass(frozen=True)
class Round:
    """What several processes did at once, in how many seconds, and what was wrong then."""

    kind: str
    seconds: float
    wrong: tuple[str, ...]


def rounds(processes: int, count: int, others: int) -> list[Round]:
    """`count` rounds of promotions; then `others` each of promotion, rollback and cleanup at once, and of promotions beside a dead process of this
    machine; at last one beside a dead process of another."""
    found: list[Round] = []
    with servers.shop("server") as (shop, folder), Race(shop, folder, processes + 1) as race:

        def told(kind: str, act) -> None:
            began = time.perf_counter()
            wrong = tuple(act())
            found.append(Round(kind, time.perf_counter() - began, wrong))
            click.echo(f"{len(found)}: {kind}, {found[-1].seconds:.1f} s: {'; '.join(wrong) or 'right'}", err=True)

        for _ in range(count):
            pairs = race.validated()
            told(f"{processes} promotions", lambda pairs=pairs: race.promoted_at_once(pairs))
        for _ in range(others):
            pairs = race.validated()
            told("promotion, rollback, cleanup", lambda pairs=pairs: mixed(race, pairs[-1]))
            pairs = race.validated()
            race.left_dead("promote", "--pair", pairs[0], step=1)
            told("promotions beside a dead process of this machine", lambda pairs=pairs: race.promoted_at_once(pairs))
        pairs = race.validated()
        lock.break_open(race.store, race.alias, ELSEWHERE)
        told("promotions beside a dead process of another machine", lambda: race.promoted_at_once(pairs))
    return found


def mixed(race: Race, pair: str) -> list[str]:
    before = len(race.acts())
    ended = race.at_once(["promote", "--pair", pair], ["rollback"], ["cleanup"])
    switched = [act for act in race.acts()[before:] if act.kind != "cleanup"]
    done = sum(end.code == DONE for end in ended[:2])
    wrong = [f"{done} were told that they had switched, the ledger has {len(switched)}"] if done != len(switched) else []
    return wrong + race.inconsistencies()


def table(found: list[Round]) -> str:
    lines = ["| at the same moment | rounds | right | seconds a round, median and most |", "|---|--:|--:|--:|"]
    for kind in dict.fromkeys(each.kind for each in found):
        mine = [each for each in found if each.kind == kind]
        seconds = [each.seconds for each in mine]
        right = sum(not each.wrong for each in mine)
        lines.append(f"| {kind} | {len(mine)} | {right} | {statistics.median(seconds):.1f}, {max(seconds):.1f} |")
    return "\n".join([*lines, *(f"- WRONG: {each.kind}: {'; '.join(each.wrong)}" for each in found if each.wrong)])
