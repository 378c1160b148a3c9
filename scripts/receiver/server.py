"""The listening socket: who is slow, or one too many, is hung up on; SIGTERM ends it once every delivery has its answer."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
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
MAX_HEAD_BYTES = 16 * 1024
STOP_S = 40
"""More than the longest answer takes."""


class _Patient(H11Protocol):
    """uvicorn's, whose patience has an end. `metrics` are set by `prepared`."""

    metrics: Metrics
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
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

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
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

    def _hang_up(self) -> None:
        self.metrics.connections_refused += 1
        self.transport.abort()


def listening(host: str, port: int) -> socket.socket:
    """Raises UsageError where nobody can listen there."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(f"The receiver cannot listen at {host}, port {port}: {error}.", hint="Pick others with --host and --port.") from None


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
