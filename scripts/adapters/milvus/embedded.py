"""The milvus-lite databases of this process: each file is opened once, however it is named and by however many, and closed by the last of them.

A database is a folder, though its name ends in .db (3.2.2), and belongs to one process at a time.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

import grpc
from pymilvus.exceptions import MilvusException

from scripts.adapters.milvus import lite_files
from scripts.adapters.milvus.client import EMBEDDED, EMBEDDED_SECONDS, Client
from scripts.addresses import shown
from scripts.errors import UsageError


class Held:
    """One user's hold on an open database, at `address` while it is held. Use it with `with`, or close it."""

    def __init__(self, database: _Database, address: str) -> None:
        self.address = address
        self._database = database
        self._opening = database.openings
        self._lock = threading.Lock()
        self._ended = False

    @property
    def is_released(self) -> bool:
        """Whether the database was closed under this hold."""
        return self._database.address is None or self._database.openings != self._opening

    def __enter__(self) -> Held:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """The last one closes the database. Safe to call twice."""
        with self._lock:
            ended, self._ended = self._ended, True
        if not ended:
            self._database.let_go(self._opening)


class EmbeddedDatabases:
    """Safe under threads: who opens a database waits for who is opening or closing the same one, and for nobody else.

        with databases.hold("dev.db") as dev, databases.hold("test.db") as test:
            …
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Path, _Database] = {}

    def hold(self, path: str | Path) -> Held:
        """Opens the database, with its collections loaded, or shares the open one. Makes it where there is none.

        Raises Unreachable where another process holds it, UsageError where this is no database or cannot be one.
        """
        return self._of(path).hold()

    def release(self, path: str | Path) -> None:
        """Closes the database whoever holds it; they are told when they use it. One that is not open stays so."""
        self._of(path).release()

    def release_all(self) -> None:
        for path in self.held():
            self.release(path)

    def held(self) -> list[Path]:
        """The open ones, as `resolve` names them."""
        with self._lock:
            return sorted(path for path, database in self._known.items() if database.address)

    def _of(self, path: str | Path) -> _Database:
        try:
            real = Path(path).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a zero byte
            raise UsageError(f"MILVUS_URI {shown(str(path))!r} cannot be used: {error}.") from None
        with self._lock:
            return self._known.setdefault(real, _Database(real))


class _Database:
    """`address` is None while it is closed; `openings` counts how often it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._users = 0
        self._process = 0
        self.address: str | None = None
        self.openings = 0

    def hold(self) -> Held:
        with self._lock:
            if self.address is None:
                self.openings += 1
                self.address = self._open()
                self._process = os.getpid()
                self._users = 0
            self._users += 1
            return Held(self, self.address)

    def let_go(self, opening: int) -> None:
        with self._lock:
            if self.address is None or opening != self.openings:
                return  # it was closed meanwhile, and may be open anew for others
            if not self._is_ours():
                return
            self._users -= 1
            if not self._users:
                self._close()

    def release(self) -> None:
        with self._lock:
            if self.address is not None and self._is_ours():
                self._close()

    def _is_ours(self) -> bool:
        """A process that was forked from the one that opened it may use it, but has none of its threads: to close it there ends in a crash."""
        return self._process == os.getpid()

    def _open(self) -> str:
        """By milvus-lite's own manager, so that a plain MilvusClient of this process shares it."""
        from milvus_lite.server_manager import server_manager_instance

        lite_files.make_place(self._path)
        address = server_manager_instance.start_and_get_uri(str(self._path))
        if address is None:  # which is all that the manager says of it
            raise lite_files.fault(self._path)
        try:
            _load_all(address)
        except BaseException:
            self._close()
            raise
        return address

    def _close(self) -> None:
        """A client that is closed leaves the database open in this process, and with it the file locked for all others (pymilvus 3.0.2)."""
        from milvus_lite.server_manager import server_manager_instance

        self.address = None
        server_manager_instance.release_server(str(self._path))


def _load_all(address: str) -> None:
    """milvus-lite opens indexed collections NotLoaded (3.2.2), so who opens it loads them, as a server does after a restart. One that cannot be
    loaded says why when it is used, and keeps no other from it."""
    client = Client(address, options=EMBEDDED, seconds=EMBEDDED_SECONDS)
    try:
        for name in client.list_collections():
            try:
                if client.list_indexes(name):
                    client.load_collection(name)
            except (grpc.RpcError, MilvusException):
                continue
    finally:
        client.close()


databases = EmbeddedDatabases()
"""The process has these and no others, as milvus-lite itself has one manager of its servers."""
