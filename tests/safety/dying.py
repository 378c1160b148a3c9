"""Runs jobs and commands, each in a process of its own that may be told to die: `kill -9` after a step, or before or after a write.

It is a program: a line of JSON in, with what begins at the same moment; a line out, with the exit codes. What the jobs need is imported once, because
that costs three seconds a time, and each is forked from here before anything is connected, because gRPC does not survive a fork.

    [{"log": "journal.txt", "env": {…}, "config": "promotion.yaml", "job": "rollback", "die": "after write", "at": 2}]
    [{"log": "1.txt", "env": {…}, "config": "promotion.yaml", "words": ["rollback"]}, {"log": "2.txt", … "words": ["cleanup"]}]
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts import cli, console, endings, heartbeat
from scripts.errors import KitError
from scripts.ports import Collection
from scripts.switch import Step

STEP, BEFORE_WRITE, AFTER_WRITE = "after step", "before write", "after write"
# Everything of the ports that changes something. The rest reads.
STORE_WRITES = ("create", "set_properties", "point", "withdraw", "claim", "drop")
COLLECTION_WRITES = ("write", "delete", "flush", "build_index", "load", "release")
REGISTRY_WRITES, RUNS_WRITES = ("move", "tag"), ("log",)


class Fate:
    """Writes down each step and each write, and ends the process at the one that it was given."""

    def __init__(self, journal: Path, die: str, at: int) -> None:
        self._journal = journal.open("a", encoding="utf-8")
        self._die, self._at = die, at
        self._steps = self._writes = 0

    def step(self, step: Step, remark: str) -> None:
        self._steps += 1
        self._note(f"step {step.name}")
        self._maybe(STEP, self._steps)

    def write(self, what: str, act: Callable[[], Any]) -> Any:
        self._writes += 1
        number = self._writes
        self._maybe(BEFORE_WRITE, number)
        done = act()
        self._note(f"write {what}")
        self._maybe(AFTER_WRITE, number)
        return done

    def _maybe(self, moment: str, number: int) -> None:
        if (moment, number) == (self._die, self._at):
            os.kill(os.getpid(), signal.SIGKILL)

    def _note(self, line: str) -> None:
        self._journal.write(f"{line}\n")
        self._journal.flush()


class Mortal:
    """One of the kit's parts, whose writes are counted."""

    def __init__(self, part: Any, name: str, writes: tuple[str, ...], fate: Fate) -> None:
        self._part, self._name, self._writes, self._fate = part, name, writes, fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name not in self._writes:
            return found

        def counted(*words: Any, **more: Any) -> Any:
            if name == "set_properties" and all(_is_beat(*item) for item in words[1].items()):
                return found(*words, **more)
            about = [word if isinstance(word, str) else ",".join(sorted(word)) for word in words if isinstance(word, (str, dict))]
            return self._fate.write(" ".join([f"{self._name}.{name}", *about]), lambda: found(*words, **more))

        return counted


def _is_beat(key: str, value: str) -> bool:
    """These come by the clock and not by the steps."""
    return key == "promotion.beat" or (key.startswith("promotion.lease.") and value != "" and not value.endswith("/0"))


class MortalStore(Mortal):
    def open(self, collection: str) -> Collection:
        return Mortal(self._part.open(collection), collection, COLLECTION_WRITES, self._fate)  # type: ignore[return-value]


def _job(asked: dict[str, Any]) -> int:
    """The jobs as the command line calls them."""
    from scripts.jobs.cleanup import cleanup
    from scripts.jobs.promote import promote
    from scripts.jobs.rollback import rollback

    fate = Fate(Path(asked["log"]), asked.get("die", ""), asked.get("at", 0))
    with console.opened(Path(asked["config"])) as kit:
        kit.__dict__["store"] = MortalStore(kit.store, "store", STORE_WRITES, fate)
        kit.__dict__["registry"] = Mortal(kit.registry, "registry", REGISTRY_WRITES, fate)
        kit.__dict__["runs"] = Mortal(kit.runs, "runs", RUNS_WRITES, fate)
        if asked["job"] == "promote":
            return promote(kit, asked["pair"], tell=fate.step).exit_code
        if asked["job"] == "rollback":
            return rollback(kit, to=asked.get("pair"), reason="", dry_run=False, tell=fate.step).exit_code
        return cleanup(kit, dry_run=False, tell=fate.step).exit_code


def _child(asked: dict[str, Any]) -> int:
    os.environ.update(asked["env"])
    said = os.open(f"{asked['log']}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(said, 1)
    os.dup2(said, 2)
    heartbeat.BEAT_SECONDS, heartbeat.SILENCE_SECONDS = asked.get("beats", (heartbeat.BEAT_SECONDS, heartbeat.SILENCE_SECONDS))
    try:
        if "job" in asked:
            return _job(asked)
        cli.main([*asked["words"], "--config", asked["config"]])
    except SystemExit as end:
        return int(end.code or 0)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _import_everything() -> None:
    from scripts.config import prepare_libraries

    prepare_libraries()
    import mlflow.pyfunc  # noqa: F401

    import scripts.adapters.milvus
    import scripts.adapters.mlflow
    import scripts.adapters.mlflow_runs
    import scripts.adapters.sources
    import scripts.jobs.cleanup
    import scripts.jobs.history
    import scripts.jobs.promote
    import scripts.jobs.rollback
    import scripts.jobs.status  # noqa: F401


def _together(all_asked: list[dict[str, Any]]) -> list[int]:
    """The exit codes of processes that begin at the same moment, one for each; negative where a signal ended it."""
    go, start = os.pipe()
    children = [_forked(asked, go, start) for asked in all_asked]
    os.close(go)
    os.close(start)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _forked(asked: dict[str, Any], go: int, start: int) -> int:
    if child := os.fork():
        return child
    code = endings.FAULT_OF_THE_KIT
    try:
        os.close(start)
        os.read(go, 1)  # until all are there, and their parent has closed it
        code = _child(asked)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    _import_everything()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_together(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
