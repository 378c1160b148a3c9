"""Signs of life: how a process shows on the server that it is at work, and how another one sees that it is not any more."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.errors import KitError

BEAT_SECONDS = 4.0
# So long without a beat means that the process is dead. Beats are compared with each other, never with this machine's clock.
SILENCE_SECONDS = 4 * BEAT_SECONDS


def new_token() -> str:
    """`host/pid/nonce`, which no other process has, nor this one a second time."""
    return f"{_host()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"


def host_of(token: str) -> str:
    return token.split("/")[0].rpartition("@")[0]


def is_dead(token: str) -> bool:
    """Whether the process ran on this machine and does not any more. Of another machine's nobody knows, nor of what is no token."""
    host, pid = (token.split("/") + [""])[:2]
    if host != _host() or not pid.isdecimal() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def silence(pause: float) -> Iterator[bool]:
    """Gives True after each pause, for one more look, until SILENCE_SECONDS have been looked through. A look that takes longer than a quarter of
    BEAT_SECONDS counts for no more than that: while the server stands still, or is away, no beat of one who lives gets through either."""
    looked = 0.0
    while looked < SILENCE_SECONDS:
        began = time.monotonic()
        time.sleep(pause)
        yield True
        looked += min(time.monotonic() - began, pause + BEAT_SECONDS / 4)


class Heart:
    """Within its block it calls `beat` with 1, 2, 3 … every BEAT_SECONDS, in the background. `beat` answers whether what it beats for is still
    ours; `lost` says that it once was not, `unheard` that the last one did not get through. A server that is away is the business of whoever works
    with it."""

    def __init__(self, beat: Callable[[int], bool]) -> None:
        self._beat = beat
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self.lost = self.unheard = False

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        count = 0
        while not self.lost and not self._ended.wait(BEAT_SECONDS):
            count += 1
            try:
                self.lost = not self._beat(count)
                self.unheard = False
            except KitError:
                self.unheard = True


def _host() -> str:
    """This machine since it was started, or this container: process numbers mean something only here. Many machines have one name, and the first
    container of each the same number."""
    try:
        booted = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # not Linux: whoever is silent is waited for
        return f"{socket.gethostname()}@{uuid.getnode():x}.{os.getpid()}"
    return f"{socket.gethostname()}@{booted}.{namespace}"
