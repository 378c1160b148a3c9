"""A command of the kit as a process of its own, and what it has said and asked of Milvus so far, each with its moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Any, Self

from tests.faults.line import CLOSED

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Said:
    """A line of its output. Moments are of `time.monotonic`, which all processes of a machine share."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Sign:
    """Of the server's life, as the command got to see it."""

    at: float
    well: bool


class Running:
    """Use it with `with`: at the end it is killed if it still runs. `slow` is a call of Milvus and how many seconds it is held back."""

    def __init__(self, folder: Path, words: Sequence[str], environment: Mapping[str, str], slow: tuple[str, float] = ("", 0)) -> None:
        folder.mkdir(parents=True)
        self._journal = folder / "calls.jsonl"
        self._journal.touch()
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        command = [sys.executable, "-m", "tests.faults.line", str(self._journal), slow[0], str(slow[1]), *words]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.began = time.monotonic()
        self.ended: float | None = None
        self._process = subprocess.Popen(command, cwd=ROOT, env=inherited | environment, start_new_session=True, **pipes)
        self.out: list[Said] = []
        self.err: list[Said] = []
        self._readers = [
            Thread(target=_listen, args=(self._process.stdout, self.out), daemon=True),
            Thread(target=_listen, args=(self._process.stderr, self.err), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        Thread(target=self._see_the_end, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def calls(self, name: str) -> list[Sign]:
        """Those of one kind that have come to their end."""
        return [Sign(each["at"], each["well"]) for each in self._noted() if each["call"] == name]

    def lost(self) -> list[float]:
        """When calls of any kind found no server, or waited for its answer in vain."""
        return [each["at"] for each in self._noted() if each["lost"]]

    def _noted(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._journal.read_text().splitlines()]

    def hold(self) -> None:
        """Its slow calls wait, until `let_go`: whoever was started first is still at work when the last one is."""
        self._journal.with_name(CLOSED).touch()

    def let_go(self) -> None:
        self._journal.with_name(CLOSED).unlink(missing_ok=True)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self.wait(30)

    def wait(self, seconds: float) -> int:
        """Its exit code. Raises TimeoutExpired where it does not end."""
        code = self._process.wait(seconds)
        for reader in self._readers:
            reader.join()
        return code

    def until(self, is_so: Callable[[], object], seconds: float) -> None:
        """Waits until it is so. Raises AssertionError, with what was said, where the process ends before or that takes too long."""
        deadline = time.monotonic() + seconds
        while not is_so():
            assert self._process.poll() is None, f"ended with {self._process.returncode}:\n{self.told()}"
            assert time.monotonic() < deadline, f"not within {seconds} s:\n{self.told()}"
            time.sleep(0.02)

    @property
    def code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def errors(self) -> list[Said]:
        """On either stream: a report that was broken off ends with one."""
        return [said for said in [*self.out, *self.err] if said.text.startswith("error:")]

    def told(self) -> str:
        return "\n".join(said.text for said in [*self.out[-20:], *self.err[-20:]])

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _see_the_end(self) -> None:
        self._process.wait()
        self.ended = time.monotonic()


def _listen(stream: IO[str], into: list[Said]) -> None:
    for line in stream:
        into.append(Said(time.monotonic(), line.rstrip("\n")))
