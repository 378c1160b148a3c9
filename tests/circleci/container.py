"""One container: a folder that is its home, an environment with nothing ambient in it, and the processes that run there."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

STEP_LIMIT_S = 300
_LOOK_S = 0.02
_KILLED = 137
_HALT = '#!/bin/sh\n[ "$1 $2" = "step halt" ] && touch "$HOME/.halted" && exit 0\necho "$0 $*: the runner has no such command" >&2\nexit 2\n'


class Lost(Exception):
    """The container is gone: killed, or cancelled from outside. No further step runs in it, `when: always` or not."""


class Container:
    """Give it commands one after the other. `kill` may come from any thread."""

    def __init__(self, folder: Path, environment: Mapping[str, str], working_directory: str) -> None:
        self.home = folder / "home"
        self.bash_env = folder / "bash_env"
        for made in (self.home, folder / "tmp", folder / "bin"):
            made.mkdir(parents=True)
        self.bash_env.touch()
        for name in ("circleci", "circleci-agent"):
            (folder / "bin" / name).write_text(_HALT)
            (folder / "bin" / name).chmod(0o755)
        self.work = self.at(working_directory, Path("/"))
        self.work.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.environment = {
            # The image's own Python comes first, as in cimg/python.
            "PATH": f"{folder / 'bin'}:{Path(sys.base_prefix) / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "TMPDIR": str(folder / "tmp"),  # stands for a /tmp of its own
            "BASH_ENV": str(self.bash_env),
            **environment,
        }
        self._groups: list[int] = []
        self._lost = threading.Event()

    @property
    def halted(self) -> bool:
        """Whether a step said `circleci-agent step halt`."""
        return (self.home / ".halted").exists()

    def at(self, path: str, base: Path | None = None) -> Path:
        """Where a path of the configuration is; relative ones are in the working directory. Other containers' files cannot be reached from here."""
        return self.home / path.removeprefix("~").lstrip("/") if path.startswith("~") else (base or self.work) / path

    def run(self, command: str, shell: str, environment: Mapping[str, str], tell: Callable[[list[str]], None], folder: Path | None = None) -> int:
        """The exit code; `tell` gets the lines of output while they are written, at every look, if there are none too. Raises Lost."""
        script, output = self._folder / f"step{len(self._groups)}", self._folder / f"step{len(self._groups)}.log"
        script.write_text(command)
        process = self._start([*shlex.split(shell), str(script)], environment, output, folder)
        began = time.monotonic()
        with output.open(errors="replace") as lines:
            unfinished = ""
            while True:
                ended = process.poll() is not None
                *whole, unfinished = (unfinished + lines.read()).split("\n")
                tell(whole)
                if ended or self._lost.is_set():
                    break
                if time.monotonic() - began > STEP_LIMIT_S:
                    tell([f"Too long: more than {STEP_LIMIT_S} seconds"])
                    self._end(process.pid)
                time.sleep(_LOOK_S)
            if unfinished:
                tell([unfinished])
        code = process.wait()
        if self._lost.is_set():
            raise Lost
        return _KILLED if code == -signal.SIGKILL else code

    def begin(self, command: str, shell: str, environment: Mapping[str, str]) -> None:
        """A step with `background: true`; it ends with the container."""
        script, output = self._folder / f"step{len(self._groups)}", self._folder / f"step{len(self._groups)}.log"
        script.write_text(command)
        self._start([*shlex.split(shell), str(script)], environment, output, None)

    def kill(self) -> None:
        """As a lost machine: every process at once (SIGKILL)."""
        self._lost.set()
        self.close()

    def close(self) -> None:
        """Ends what still runs."""
        for group in self._groups:
            self._end(group)

    def _start(self, command: list[str], environment: Mapping[str, str], output: Path, folder: Path | None) -> subprocess.Popen[bytes]:
        if self._lost.is_set():
            raise Lost
        with output.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=folder or self.work,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._groups.append(process.pid)
        if self._lost.is_set():
            self._end(process.pid)
        return process

    @staticmethod
    def _end(group: int) -> None:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass
