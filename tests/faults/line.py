"""The kit's command line over a line that is slow, and that writes down every call and whether Milvus did what was asked.

    python -m tests.faults.line JOURNAL CALL SECONDS health --watch 1

Every call of this name, such as Query, is held back for so many seconds before it is sent, and pages are small: so a small pair takes as long as a
large one, and a fault falls into the middle of its work. Nothing else is changed; the calls themselves are the kit's and pymilvus' own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import grpc

CLOSED = "closed"
"""While a file of this name lies beside the journal, these calls wait."""
PAGE_BYTES, PART_BYTES = 16 << 10, 100_000


class Line(grpc.UnaryUnaryClientInterceptor):
    """Passes every call on as it is, later."""

    def __init__(self, journal: Path, slow: str, seconds: float) -> None:
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._gate = journal.with_name(CLOSED)
        self._slow = slow
        self._seconds = seconds

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        call = str(details.method).strip("b'").rpartition("/")[2]
        if call == self._slow:
            time.sleep(self._seconds)
            while self._gate.exists():
                time.sleep(0.05)
        answer = continuation(details, request)
        answer.add_done_callback(lambda done: self._note(call, done))
        return answer

    def _note(self, call: str, done: Any) -> None:
        # The clock that all processes of this machine share (clock_gettime(2), CLOCK_MONOTONIC).
        noted = {"at": time.monotonic(), "call": call, "well": _well(done), "lost": done.code() is not grpc.StatusCode.OK}
        os.write(self._journal, (json.dumps(noted) + "\n").encode())


def _well(done: Any) -> bool:
    if done.code() is not grpc.StatusCode.OK:
        return False
    answer = done.result()
    status = getattr(answer, "status", answer)
    return not (getattr(status, "code", 0) or getattr(status, "error_code", 0))


def _small_pages() -> None:
    from scripts import config

    config.prepare_libraries()
    from scripts.adapters import backup_files
    from scripts.adapters.milvus import collection
    from scripts.jobs import backup

    collection.PAGE_BYTES = backup_files.READ_BYTES = PAGE_BYTES
    backup.backup.__kwdefaults__["part_bytes"] = PART_BYTES


def main() -> None:
    journal, slow, seconds, *words = sys.argv[1:]
    # Whoever is started in the background by a shell has Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    line, make, make_secure = Line(Path(journal), slow, float(seconds)), grpc.insecure_channel, grpc.secure_channel
    grpc.insecure_channel = lambda *args, **kwargs: grpc.intercept_channel(make(*args, **kwargs), line)
    grpc.secure_channel = lambda *args, **kwargs: grpc.intercept_channel(make_secure(*args, **kwargs), line)
    _small_pages()
    from scripts.cli import main as kit

    kit(words, prog_name="python -m scripts")


if __name__ == "__main__":
    main()
