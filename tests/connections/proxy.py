"""A TCP proxy that breaks connections in the ways that networks do."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from types import TracebackType
from urllib.parse import urlsplit

CHUNK = 1 << 16


class Proxy:
    """Passes bytes to and fro until it is told otherwise; new connections meet the same as old ones.

        with Proxy(server.uri) as proxy:
            client = connect(proxy.uri)
            proxy.swallow()     # takes everything and answers nothing, as a firewall that has forgotten the connection
    """

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        self._target = (address.hostname, address.port)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._door.setblocking(False)
        self.uri = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._inside: set[socket.socket] = set()
        self._near: set[socket.socket] = set()
        self._swallows = self._loses_answers = self._refuses = False
        self.accepted = self.lost = 0
        self._end_reader, self._end_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end_writer.send(b"x")
        self._thread.join()
        for each in (*self._pairs, self._door, self._end_reader, self._end_writer):
            each.close()

    def swallow(self) -> None:
        """From now on nothing is passed on in either direction; connections stay open and new ones are taken. One that was used meanwhile is dead for
        good."""
        self._swallows = True

    def forget(self) -> None:
        """Connections that are there now are swallowed for good; new ones are well. As a load balancer that lost its table."""
        with self._lock:
            self._inside.clear()

    def reset(self) -> None:
        """Every connection ends at once with a reset; new ones are well."""
        with self._lock:
            for each in list(self._pairs):
                self._abort(each)

    def refuse(self) -> None:
        """New connections are reset as soon as they are made, and those that are there now."""
        self._refuses = True
        self.reset()

    def lose_the_next_answer(self) -> None:
        """What is asked next reaches the server; the connection is reset when its answer comes back. Then all is well again. `lost` counts them."""
        self._loses_answers = True

    def mend(self) -> None:
        self._swallows = self._refuses = self._loses_answers = False

    def _run(self) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._end_reader, selectors.EVENT_READ)
            waiting.register(self._door, selectors.EVENT_READ)
            self._waiting = waiting
            while True:
                for key, _ in waiting.select():
                    if key.fileobj is self._end_reader:
                        return
                    with self._lock:
                        self._take() if key.fileobj is self._door else self._pass(key.fileobj)

    def _take(self) -> None:
        near, _ = self._door.accept()
        self.accepted += 1
        if self._refuses:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            near.close()
            return
        far = socket.create_connection(self._target)
        self._pairs |= {near: far, far: near}
        self._inside |= {near, far}
        self._near.add(near)
        for each in (near, far):
            self._waiting.register(each, selectors.EVENT_READ)

    def _pass(self, source: socket.socket) -> None:
        if source not in self._pairs:
            return
        try:
            data = source.recv(CHUNK)
            if not data:
                raise ConnectionResetError
            if self._swallows:
                self._inside -= {source, self._pairs[source]}
            if source not in self._inside:
                return
            if self._loses_answers and source not in self._near and _is_answer(data):
                self._loses_answers = False
                self.lost += 1
                raise ConnectionResetError
            self._pairs[source].sendall(data)
        except OSError:
            self._abort(source)

    def _abort(self, either: socket.socket) -> None:
        other = self._pairs.pop(either, None)
        if other is None:
            return
        self._pairs.pop(other, None)
        for each in (either, other):
            self._inside.discard(each)
            self._near.discard(each)
            self._waiting.unregister(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()


def _is_answer(data: bytes) -> bool:
    """Whether there is a frame with headers or data of a call among these, which begin with a frame (RFC 9113, 4.1); settings and pings are none."""
    while len(data) >= 9:
        if data[3] in (0, 1):
            return True
        data = data[9 + int.from_bytes(data[:3]) :]
    return False
