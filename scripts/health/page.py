"""The last look, served to Prometheus: /metrics, and /healthz, which says whether anybody still looks."""

from __future__ import annotations

import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

from scripts.errors import UsageError
from scripts.health.metrics import CONTENT_TYPE

LOCAL = "127.0.0.1"
PLAIN = "text/plain; charset=utf-8"
# Looks that may be missed before /healthz says that nobody looks any more.
MISSED_LOOKS = 3


class _Last(NamedTuple):
    text: bytes
    at: float


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        # A name may stand for addresses of both kinds: then the one that is known longer.
        addresses = sorted(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), key=lambda found: found[0] is not socket.AF_INET)
        self.address_family, address = addresses[0][0], addresses[0][4]
        super().__init__((str(address[0]), port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # else who asked is gone, as a probe that only knocks
            super().handle_error(request, client_address)


class Page:
    """Answers at once with what it was last given, as a whole. Use it with `with`; `port` 0 takes a free one. A look comes after `every` seconds at
    the latest, its own time among them.

    Raises UsageError where the port is taken, or the host is not this machine's.
    """

    def __init__(self, port: int, every: float, host: str = LOCAL) -> None:
        self._last: _Last | None = None
        self._lifetime = MISSED_LOOKS * every
        try:
            self._server = _Server(host, port, self._handler())
        except (OSError, ValueError) as error:
            what = f"Port {port} of {host} cannot be served: {getattr(error, 'strerror', None) or 'that is no name of a host'}."
            raise UsageError(what, hint="Is another one running, or is the host not this machine's? Take another --serve.") from None
        self.port = int(self._server.server_address[1])
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __enter__(self) -> Page:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def renew(self, text: str) -> None:
        self._last = _Last(text.encode(), time.monotonic())

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        last = self._last
        if path not in ("/metrics", "/healthz"):
            return 404, PLAIN, b"there are /metrics and /healthz\n"
        if last is None:
            return 503, PLAIN, b"the first look is not done yet\n"
        if path == "/metrics":
            return 200, CONTENT_TYPE, last.text
        fresh = time.monotonic() - last.at < self._lifetime
        return (200, PLAIN, b"ok\n") if fresh else (503, PLAIN, b"the last look is too old\n")

    def _handler(page) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                self._send(with_body=True)

            def do_HEAD(self) -> None:
                self._send(with_body=False)

            def _send(self, with_body: bool) -> None:
                code, kind, body = page._answer(self.path.split("?")[0])
                try:
                    self.send_response(code)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    if with_body:
                        self.wfile.write(body)
                except OSError:  # who asked is gone
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler
