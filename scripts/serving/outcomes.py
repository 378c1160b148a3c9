"""Outcomes on disk: one file per process, a line per outcome."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

from scripts.canary_outcomes import SUFFIX
from scripts.errors import UsageError

MAX_LINE_BYTES = 8_192


class Outcomes:
    """Every line is one append of its own, so a process that is killed loses none that was written before, and another's line is never cut. What
    cannot be written is counted and told, and fails no query.

    Raises UsageError, when made, where the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"Outcomes cannot be written to {folder}: {error.strerror or error}.") from None
        self._file = folder / f"outcomes-{socket.gethostname()}-{os.getpid()}-{time.time_ns():x}{SUFFIX}"
        self._handle: int | None = None
        self._opening = threading.Lock()
        self.trouble = ""

    def write(self, line: str) -> None:
        data = line.encode()
        if len(data) > MAX_LINE_BYTES:
            raise UsageError(f"An outcome has at most {MAX_LINE_BYTES:,} bytes, not {len(data):,}.", hint="Give `feedback` fewer details.")
        try:
            written = os.write(self._opened(), data)
            self.trouble = "" if written == len(data) else f"Outcomes are cut short in {self._file}."
        except OSError as error:  # a full disk is no reason not to answer
            self.trouble = f"Outcomes cannot be written to {self._file}: {error.strerror or error}."

    def close(self) -> None:
        with self._opening:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    def _opened(self) -> int:
        """Made with the first outcome: most processes never have one."""
        with self._opening:
            if self._handle is None:
                self._handle = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            return self._handle
