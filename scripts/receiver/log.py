"""One JSON object in one line for everything that happens. No bodies, no secrets; whatever a sender wrote is escaped to ASCII."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

MAX_REFUSALS_PER_S = 20
"""Lines that somebody without the secret can cause; how many more there were is said in the next that is written."""


class Log:
    """`clean` takes secrets out of a text."""

    def __init__(self, stream: TextIO, clean: Callable[[Any], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clean = clean
        self._clock = clock
        self._second, self._written, self._unsaid = 0, 0, 0

    def line(self, level: str, message: str, **facts: Any) -> None:
        told = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "message": message, **facts}
        try:
            self._stream.write(json.dumps({name: self._clean(value) for name, value in told.items() if value not in ("", None)}) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads on; that ends no delivery

    def delivery(self, message: str, **facts: Any) -> None:
        """One whose sender has the secret."""
        self.line("info" if facts["status"] < 300 else "error", message, **facts)

    def refusal(self, message: str, **facts: Any) -> None:
        """As `line`, for what anybody can cause."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= MAX_REFUSALS_PER_S:
            self._unsaid += 1
            return
        self._written += 1
        unsaid, self._unsaid = self._unsaid, 0
        self.line("warning", message, **facts, **({"unsaid": unsaid} if unsaid else {}))


class Forwarding(logging.Handler):
    """What uvicorn has to say. Of an exception its kind alone: its text may have anything in it."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        self._log.refusal("server", text=record.getMessage().strip(), exception=kind.__name__ if kind else "")
