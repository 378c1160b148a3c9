"""`golden add` as a person has it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time

from tests.conftest import ROOT
from tests.shop import Shop


class Terminal:
    """The command in a terminal of its own, as a person has it; output on standard output goes to a file."""

    def __init__(self, shop: Shop, *words: str) -> None:
        ours, theirs = pty.openpty()
        self._screen = ours
        self._out = shop.folder / "stdout.json"
        command = [sys.executable, "-m", "scripts", "golden", "add", *words, "--config", str(shop.folder / "promotion.yaml"), "--json"]
        environment = os.environ | shop.environment
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(command, stdin=theirs, stdout=out, stderr=theirs, cwd=ROOT, env=environment, start_new_session=True)
        os.close(theirs)
        self.seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._screen)

    def until(self, mark: str) -> str:
        """What the screen shows up to this, of what has not been waited for yet."""
        give_up = time.monotonic() + 120
        while mark not in self.seen:
            assert select.select([self._screen], [], [], max(0, give_up - time.monotonic()))[0], f"no {mark!r} in {self.seen!r}"
            try:
                self.seen += os.read(self._screen, 65_536).decode(errors="replace")
            except OSError:  # the other end is closed
                assert mark in self.seen, self.seen
        shown, _, self.seen = self.seen.partition(mark)
        return shown

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C, and again where nothing happens: one that comes between the prompt and the wait for a key is lost (Python 3.11)."""
        for _ in range(30):
            os.killpg(self._process.pid, signal.SIGINT)
            if select.select([self._screen], [], [], 2)[0]:
                return

    def end(self) -> tuple[int, str]:
        """Exit code and standard output."""
        code = self._process.wait(timeout=60)
        return code, self._out.read_text()
