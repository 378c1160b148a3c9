"""Where jobs die: the program `dying`, started once and asked again and again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.conftest import ROOT


@dataclass(frozen=True)
class Ended:
    """`code` is negative for a process that a signal ended. `steps` and `writes` are those of a job, in order."""

    code: int
    steps: tuple[str, ...]
    writes: tuple[str, ...]
    said: str

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Workshop:
    """Use it with `with`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.safety.dying"],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith(("MILVUS_", "MLFLOW_", "CIRCLE"))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout and self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, config: Path, environment: dict[str, str], **asked: Any) -> Ended:
        """One process, from its beginning to its end."""
        return self.run_together(config, environment, [asked])[0]

    def run_together(self, config: Path, environment: dict[str, str], all_asked: Sequence[dict[str, Any]]) -> list[Ended]:
        """Processes that begin at the same moment, until the last has ended."""
        logs = [self._folder / f"journal-{number}" for number, _ in enumerate(all_asked)]
        for log in logs:
            for file in (log, _said(log)):
                file.unlink(missing_ok=True)
        common = {"config": str(config), "env": environment}
        assert self._process.stdin and self._process.stdout
        lines = [{"log": str(log)} | common | asked for log, asked in zip(logs, all_asked, strict=True)]
        print(json.dumps(lines), file=self._process.stdin, flush=True)
        codes = json.loads(self._process.stdout.readline())
        return [_ended(code, log) for code, log in zip(codes, logs, strict=True)]


def _ended(code: int, log: Path) -> Ended:
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()] if log.exists() else []
    steps, writes = (tuple(text for what, text in lines if what == kind) for kind in ("step", "write"))
    return Ended(code, steps, writes, _said(log).read_text() if _said(log).exists() else "")


def _said(log: Path) -> Path:
    return log.with_name(f"{log.name}.out")
