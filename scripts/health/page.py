"""The last look, served to Prometheus on this machine: /metrics, and /healthz, which says whether anybody still looks."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from scripts.errors import UsageError
from scripts.health.metrics import CONTENT_TYPE

LOCAL = "127.0.0.1"
# Looks that may be missed before /healthz says that nobody looks any more.
MISSED_LOOKS = 3


class Page:
    """Answers at once with what it was last given. Use it with `with`; `port` 0 takes a free one. Raises UsageError where the port is taken."""

    def __init__(self, port: int, every: float) -> None:
        self._text = ""
        self._renewed = 0.0
        self._lifetime = MISSED_LOOKS * every
        try:
            self._server = ThreadingHTTPServer((LOCAL, port), self._handler())
        except OSError as error:
            what = f"Port {port} of {LOCAL} cannot be served: {error.strerror}."
            raise UsageError(what, hint="Is another one running? Take another --serve PORT.") from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Page:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def renew(self, text: str) -> None:
        self._text, self._renewed = text, time.monotonic()

    def _answer(self, path: str) -> tuple[int, str]:
        if not self._text:
            return 503, "the first look is not done yet\n"
        if path == "/metrics":
            return 200, self._text
        if path == "/healthz":
            fresh = time.monotonic() - self._renewed < self._lifetime
            return (200, "ok\n") if fresh else (503, "the last look is too old\n")
        return 404, "there are /metrics and /healthz\n"

    def _handler(page) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                code, text = page._answer(self.path.split("?")[0])
                body = text.encode()
                self.send_response(code)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
