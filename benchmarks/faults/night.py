"""One fault that befalls all commands at once, and what becomes of each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired

from benchmarks.faults.commands import Begun, Command
from benchmarks.faults.place import Place
from benchmarks.faults.strikes import Strike, Struck
from tests.faults.running import Running
from tests.faults.world import Loss

START_SECONDS, END_SECONDS = 180.0, 600.0
INTERRUPTED, UNREACHABLE = 130, 5


@dataclass(frozen=True)
class Row:
    """Of a command that a fault met. Calls are those of its own work that Milvus answered well; seconds are None where that never came."""

    command: Command
    strike: Strike
    before: int
    after: int
    noticed: float | None
    recovered: float | None
    ended: float
    code: int
    line: str
    again: str
    loss: Loss
    remark: str
    wrong: tuple[str, ...]


def night(place: Place, strike: Strike, commands: Sequence[Command], folder: Path) -> list[Row]:
    """The server is as it was afterwards. Raises SystemExit where a command was done before the fault came."""
    with ExitStack() as open_:
        begun = [command.begin(place, folder / _slug(command)) for command in commands]
        runs = []
        for command, each in zip(commands, begun, strict=True):
            run = open_.enter_context(Running(folder / _slug(command) / "run", each.words, each.environment, command.slow))
            run.until(lambda command=command, run=run: sum(sign.well for sign in command.signs(run)) >= command.enough, START_SECONDS)
            run.hold()
            runs.append(run)
        for run in runs:
            run.let_go()
        if early := [command.name for command, run in zip(commands, runs, strict=True) if run.code is not None]:
            raise SystemExit(f"{', '.join(early)} was done before the server was struck.")
        struck = strike.do(place.world.server, runs)
        for command, run in sorted(zip(commands, runs, strict=True), key=lambda each: each[0].loops):
            _end(command, run, struck)
        if struck.back is None:
            place.world.server.kill()
            place.world.server.start()
        return [_judged(place, strike, struck, *each) for each in zip(commands, begun, runs, strict=True)]


def _end(command: Command, run: Running, struck: Struck) -> None:
    """By itself, or by Ctrl-C where it loops and has seen how things are. Whoever does not end is killed, and its exit code shows it."""
    try:
        if command.loops:
            with suppress(AssertionError):  # it never saw it: told by the row
                run.until(lambda: run.code is not None or _has_seen(command, run, struck), START_SECONDS)
            run.interrupt()
        run.wait(END_SECONDS)
    except TimeoutExpired:
        run.kill()


def _has_seen(command: Command, run: Running, struck: Struck) -> bool:
    """A loop has seen enough when the server is well again, or away for good."""
    if struck.back is None:
        return any(sign.at > struck.at and not sign.well for sign in command.signs(run))
    return sum(sign.at > struck.back and sign.well for sign in command.signs(run)) >= command.enough


def _judged(place: Place, strike: Strike, struck: Struck, command: Command, begun: Begun, run: Running) -> Row:
    signs, code = command.signs(run), run.code
    assert code is not None and run.ended is not None
    later = [sign for sign in signs if sign.well and struck.back is not None and sign.at > struck.back]
    bad = [sign.at for sign in signs if not sign.well] + run.lost()
    noticed = min((at - struck.at for at in bad if at > struck.at), default=None)
    again = ""
    if code and not command.loops:
        again = place.do(list(begun.words), begun.environment)
    loss, remark = begun.loss(), begun.remark()
    begun.tidy()
    return Row(
        command=command,
        strike=strike,
        before=sum(sign.well and sign.at < struck.at for sign in signs),
        after=len(later),
        noticed=noticed,
        recovered=later[0].at - struck.back if later and struck.back is not None else None,
        ended=run.ended - struck.at,
        code=code,
        line=run.errors[-1].text if run.errors else "",
        again="done" if again else "",
        loss=loss,
        remark=remark,
        wrong=tuple(_wrong(command, struck, run, bool(later), loss)),
    )


def _wrong(command: Command, struck: Struck, run: Running, recovered: bool, loss: Loss) -> list[str]:
    """Promises that were broken."""
    code = run.code
    broken = {
        "a traceback": any("Traceback" in said.text for said in run.err),
        "rows": loss != Loss(),
        "more than one error": not command.loops and len(run.errors) > 1,
        "an end without a word": code not in (0, INTERRUPTED) and len(run.errors) != 1,
        f"exit code {code}": code not in ((INTERRUPTED,) if command.loops else (0, UNREACHABLE)),
        "never right again": code != UNREACHABLE and struck.back is not None and not recovered,
        "no end": struck.back is None and code == 0,
    }
    return [what for what, is_so in broken.items() if is_so]


def _slug(command: Command) -> str:
    return command.name.split()[0]
