"""A chat on this machine that takes messages, as Slack's incoming webhooks do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import SecretStr

SECRET = "T0KEN/B0X/hunter2"


class Chat(ThreadingHTTPServer):
    """A server that notes what is posted, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, dict]] = []
        self.status, self.headers, self.pause = 200, {}, 0.0

    @property
    def url(self) -> SecretStr:
        return SecretStr(f"http://127.0.0.1:{self.server_address[1]}/{SECRET}")

    def handle_error(self, request, client_address) -> None:
        pass  # who posted did not wait


class _Handler(BaseHTTPRequestHandler):
    server: Chat

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body)))
        if self.server.pause:  # a header line at a time: no silence is long
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for number in range(100):
                self.wfile.write(f"X-{number}: slow\r\n".encode())
                time.sleep(self.server.pause)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(SECRET.encode())

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def chatting() -> Iterator[Chat]:
    with Chat() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
