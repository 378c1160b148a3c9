"""The connection to Milvus: made once, calls with a time limit, every failure in one clear line."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusClient
from pymilvus.client.types import Status
from pymilvus.exceptions import ConnectionConfigException, MilvusException

from scripts.addresses import shown
from scripts.errors import Refused, Unreachable, UsageError

# How long a call that lost its connection is repeated. Every write of the kit is safe to repeat: rows are upserted by key, aliases and
# properties are set to a value. (pymilvus repeats some calls by itself, and some, like has_collection, not: 3.0.2.)
RETRY_SECONDS = 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 3.0
CONNECT_SECONDS = 10.0

NOT_LOADED = 101
_LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "Retry timeout", "Retry run out", "Fail connecting")
_DENIED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "auth check failure", "permission deny")
_BAD_EXPRESSION = ("cannot parse expression", "failed to create query plan", "failed to create expr plan", "unknown field", "unexpected character")


class Connection:
    """A MilvusClient behind one door. `embedded` is true for a milvus-lite file."""

    def __init__(self, uri: str, token: str) -> None:
        # A failed call would print its traceback through this logger; it is told in one line instead.
        for name in ("pymilvus", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.uri = uri
        self.embedded = "://" not in uri
        try:
            if self.embedded:
                Path(uri).resolve().parent.mkdir(parents=True, exist_ok=True)
            self._client = MilvusClient(uri, token=token, timeout=CONNECT_SECONDS)
        except OSError as error:
            raise UsageError(f"MILVUS_URI {shown(uri)!r} cannot be used: {error}.") from None
        except ConnectionConfigException as error:
            raise self._unusable(error) from None
        except (MilvusException, grpc.RpcError, ValueError) as error:
            raise self._no_connection(error) from None

    def call(self, method: str, *args: Any, timeout: float | None = RETRY_SECONDS, **kwargs: Any) -> Any:
        """Calls MilvusClient's `method`, repeated with growing pauses where the connection is lost.

        `timeout` None is for waits that have no natural limit. Raises Unreachable when the server does not answer in time or denies
        access, Refused and UsageError for what it says no to.
        """
        deadline = time.monotonic() + RETRY_SECONDS
        pause = FIRST_PAUSE_SECONDS
        with self.translated(method.replace("_", " ")):
            while True:
                try:
                    return getattr(self._client, method)(*args, timeout=timeout, **kwargs)
                except (grpc.RpcError, MilvusException) as error:
                    if not _is_lost(error) or time.monotonic() > deadline:
                        raise
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def close(self) -> None:
        self._client.close()
        if self.embedded:
            # The client leaves milvus-lite's server running in this process, and with it the file locked for all others (3.2.2).
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self.uri)

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Turns what pymilvus and grpc raise into the kit's errors."""
        try:
            yield
        except grpc.RpcError as error:
            # Denied and oversized calls come as raw grpc errors, not as MilvusException (pymilvus 3.0.2).
            raise self._failure(doing, f"{error.code().name}: {error.details()}") from None
        except MilvusException as error:
            if error.code == NOT_LOADED:
                raise Refused(f"Milvus cannot {doing}: the collection is not loaded.", hint="`finish --pair NAME` loads it.") from None
            raise self._failure(doing, f"{error.code if isinstance(error.code, grpc.StatusCode) else ''} {error.message}".strip()) from None

    def _failure(self, doing: str, why: str) -> Exception:
        why = _shortened(why)
        if any(word in why for word in _DENIED):
            return Unreachable(f"Milvus at {shown(self.uri)} does not permit this user to {doing}.", hint="Check MILVUS_TOKEN and its role's grants.")
        if any(word in why for word in _LOST):
            return Unreachable(f"Milvus at {shown(self.uri)} stopped answering ({doing}).", hint="Run the same command again when it is back; nothing is lost.")
        if any(word in why for word in _BAD_EXPRESSION):
            return UsageError(f"Milvus does not understand the filter: {why}.")
        return Refused(f"Milvus refused to {doing}: {why}.")

    def _no_connection(self, error: Exception) -> Exception:
        # A wrong token and a dead server give the same code and message (2.3.5): the port tells them apart.
        try:
            address = urlsplit(self.uri)
            socket.create_connection((address.hostname or "", address.port or 19530), timeout=CONNECT_SECONDS).close()
        except (OSError, ValueError):
            return Unreachable(f"Nothing answers at MILVUS_URI {shown(self.uri)}.", hint="Is the address right and the server up?")
        return Unreachable(f"The server at MILVUS_URI {shown(self.uri)} does not let us in.", hint="Check MILVUS_TOKEN (user:password), or TLS in the address.")

    def _unusable(self, error: ConnectionConfigException) -> Exception:
        if "Open local milvus failed" in str(error.message):
            return Unreachable(
                f"The milvus-lite file {shown(self.uri)} cannot be opened; another process may hold it.",
                hint="Stop that process, or share it: `milvus-lite server --data-dir DIR --port P` and MILVUS_URI=http://127.0.0.1:P.",
            )
        return UsageError(f"MILVUS_URI {shown(self.uri)!r} is neither an address such as http://host:19530 nor a file ending in .db.")


def _is_lost(error: Exception) -> bool:
    """Whether a call found no server; pymilvus also connects anew by itself, and says that this failed."""
    code = error.code() if isinstance(error, grpc.RpcError) else error.code
    return code in (grpc.StatusCode.UNAVAILABLE, Status.CONNECT_FAILED) or "StatusCode.UNAVAILABLE" in str(error)


def _shortened(why: str) -> str:
    """The message without stack and channel noise: servers append their whole call chain."""
    why = re.split(r"\n|, debug=|: stack trace|=> ", why, maxsplit=1)[0]
    return why.strip().rstrip(".")[:400]
