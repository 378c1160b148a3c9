"""The listening socket: who is slow to write or to read, or one too many, is hung up on; SIGTERM ends it once every delivery has its answer."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import struct
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from scripts.errors import UsageError
from scripts.receiver.log import Forwarding, Log
from scripts.receiver.metrics import Metrics

MAX_CONNECTIONS = 800
"""Below the 1,024 files that a process may have open by default."""
HEAD_S = 10.0
"""From connecting, or from the answer before, until a request's headers are here. uvicorn waits for ever (0.54)."""
KEEP_ALIVE_S = 5
WRITE_S = 10.0
"""All the time together that a connection may leave answers unread: who reads a little now and then gains nothing. uvicorn waits for ever (0.54)."""
UNREAD_BYTES = 64 * 1024
"""What the system takes for a connection on top of that, twice over (Linux): a dozen pages, so whoever asks for one is not waited for at all, however
slow. Left to itself it takes 4 MB from each."""
MAX_HEAD_BYTES = 16 * 1024
STOP_S = 40
"""More than the longest answer takes."""


class _Patient(H11Protocol):
    """uvicorn's, whose patience has an end. `metrics` are set by `prepared`."""

    metrics: Metrics
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience_s = WRITE_S
        # Writing is paused while a single byte waits; otherwise a last small answer would keep a connection that is closed already.
        transport.set_write_buffer_limits(high=0)
        if len(self.connections) > MAX_CONNECTIONS:
            self._hang_up()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_since = self.loop.time()
        self._unread = self.loop.call_later(self._patience_s, self._reset)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._patience_s -= self.loop.time() - self._unread_since
        self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        self._stop_waiting()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """The deadline is for the whole head: bytes that trickle in do not move it."""
        waits = self.cycle is None or self.cycle.response_complete
        if not waits or self.transport.is_closing():
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_S, self._hang_up)

    def _stop_watching(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _stop_waiting(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def _reset(self) -> None:
        """So that the system forgets what was not read too; it would go on offering it for minutes."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._hang_up()

    def _hang_up(self) -> None:
        self.metrics.connections_refused += 1
        self.transport.abort()


def listening(host: str, port: int) -> socket.socket:
    """Raises UsageError where nobody can listen there."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(f"The receiver cannot listen at {host}, port {port}: {error}.", hint="Pick others with --host and --port.") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)  # connections inherit it
    return listener


def prepared(app: FastAPI, log: Log, metrics: Metrics) -> uvicorn.Server:
    """Its `run(sockets=[…])` returns after SIGTERM or SIGINT, when what was under way is answered."""
    logger = logging.getLogger("uvicorn")
    logger.handlers, logger.propagate = [Forwarding(log)], False
    config = uvicorn.Config(
        app,
        http=type("Patient", (_Patient,), {"metrics": metrics}),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=1024,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    server = uvicorn.Server(config)

    def stop(number: int, frame: FrameType | None) -> None:
        """Until uvicorn puts its own handlers in place; and when it is done it raises the signal again, which is then to end nothing."""
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return server
