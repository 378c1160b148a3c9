"""The connection to Milvus: made once, calls with a time limit, every failure in one clear line."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusClient
from pymilvus.client.types import Status
from pymilvus.exceptions import ConnectionConfigException, MilvusException

from scripts import roles
from scripts.adapters.milvus import trust
from scripts.adapters.milvus.raw import Wire
from scripts.addresses import shown
from scripts.errors import Refused, Unreachable, UsageError
from scripts.tls import OPEN, TlsFiles

# How long a call that lost its connection is repeated. Every write of the kit is safe to repeat: rows are upserted by key, aliases and
# properties are set to a value. (pymilvus repeats some calls by itself, and some, like has_collection, not: 3.0.2.)
RETRY_SECONDS = 60.0
# And how long one is repeated that found the server, but not yet all parts of it: 2.3.5 says that a collection is not loaded, or that nodes
# are missing, until the session that it had before it was killed ends (30 s).
RETURN_SECONDS = 120.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 3.0
CONNECT_SECONDS = 10.0
# With less, a server that is well has no time to answer.
SHORTEST_CALL_SECONDS = 0.1

NOT_LOADED, TOO_MANY_REQUESTS = 101, 8
_LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "Retry timeout", "Retry run out", "Fail connecting")
_DENIED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "auth check failure", "permission deny")
_RETURNING = (
    *("node not match", "node not found", "node offline", "node not available", "session not found", "client connection is closing"),
    *("channel not found", "channel not available", "channel lacks", "no available shard", "shard leader", "not fully loaded", "on recovering"),
    *("service not ready", "is not ready", "service unavailable", "server is not healthy", "SegmentIDAllocator fail"),
)
_BAD_EXPRESSION = ("cannot parse expression", "failed to create query plan", "failed to create expr plan", "unknown field", "unexpected character")


class NotLetIn(Unreachable):
    """The server answers, and does not know this user or password."""


class Connection:
    """A MilvusClient behind one door. `embedded` is true for a milvus-lite file.

    A job's call is repeated for as long as a server may need to restart. Who answers queries has less `patience`, in seconds: then all
    attempts of a call together take no longer than that.
    """

    def __init__(self, uri: str, token: str, patience: float = RETRY_SECONDS, tls: TlsFiles = OPEN) -> None:
        # A failed call would print its traceback through this logger; it is told in one line instead.
        for name in ("pymilvus", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.uri = uri
        self._tls = tls
        self._patience = patience
        self._hurried = patience < RETRY_SECONDS
        self.embedded = "://" not in uri
        try:
            if self.embedded:
                Path(uri).resolve().parent.mkdir(parents=True, exist_ok=True)
            # Without the option a connection that was lost for a minute is tried again only after another one.
            options = {} if self.embedded else {"grpc_options": {"grpc.max_reconnect_backoff_ms": int(LONGEST_PAUSE_SECONDS * 1_000)}}
            # In a hurry no connection is shared: pymilvus recovers a lost one with all threads waiting, each in turn for as long as connecting may
            # take (3.0.2), while grpc connects anew by itself and lets calls fail meanwhile.
            self._client = MilvusClient(uri, token=token, timeout=CONNECT_SECONDS, dedicated=self._hurried, **options, **trust.options(uri, tls))
            if self._hurried:
                self._client._get_connection()._on_rpc_error = lambda error: False
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
        collection = args[0] if args and isinstance(args[0], str) else ""
        until = time.monotonic() + self._patience

        def once() -> Any:
            allowed = max(SHORTEST_CALL_SECONDS, until - time.monotonic()) if self._hurried else timeout
            return getattr(self._client, method)(*args, timeout=allowed, **kwargs)

        return self.patiently(method.replace("_", " "), collection, once)

    def patiently(self, doing: str, collection: str, call: Callable[[], Any]) -> Any:
        """What `call` returns, which must be safe to repeat; failures and repetitions as of `call`."""
        began = time.monotonic()
        failing: float | None = None
        lost = False
        pause = FIRST_PAUSE_SECONDS
        with self.translated(doing):
            while True:
                try:
                    return call()
                except (grpc.RpcError, MilvusException) as error:
                    now = time.monotonic()
                    failing = failing or now
                    if _is_lost(error):
                        lost = True
                        if now > began + self._patience:
                            raise
                    elif now > failing + RETURN_SECONDS or not self._is_returning(error, collection, lost):
                        raise
                    if self._hurried and now + pause > began + self._patience:
                        if _is_lost(error):
                            raise
                        raise Unreachable(f"Milvus at {shown(self.uri)} is up, but not yet all parts of it ({doing}).", hint="Try again shortly.") from None
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    @cached_property
    def wire(self) -> Wire | None:
        """The fast way for many rows; None where this pymilvus does not have what it needs."""
        try:
            return Wire(self._client)
        except (AttributeError, ImportError, TypeError, ValueError):
            return None

    def close(self) -> None:
        self._client.close()
        if self.embedded:
            # The client leaves milvus-lite's server running in this process, and with it the file locked for all others (3.2.2).
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self.uri)

    def _is_returning(self, error: Exception, collection: str, lost: bool) -> bool:
        """Whether the server has come back, but not yet all parts of it, or asks for patience."""
        if isinstance(error, grpc.RpcError):
            return lost and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if error.code == NOT_LOADED:
            return self._is_being_loaded(collection)
        if error.code == TOO_MANY_REQUESTS:
            return True
        # A failure with no words but a stack trace is believed to pass only where the server was seen to be away.
        return any(word in error.message for word in _RETURNING) or (lost and any(word in error.message for word in ("stack trace", "unrecoverable error")))

    def _is_being_loaded(self, collection: str) -> bool:
        """A released collection is not loaded, and says so; one that a restarted server is about to serve again says "Loading" or "Loaded"."""
        try:
            return str(self._client.get_load_state(collection, timeout=self._patience)["state"]) in ("Loaded", "Loading")
        except (grpc.RpcError, MilvusException) as error:
            return _is_lost(error)

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
            return Unreachable(f"Milvus at {shown(self.uri)} does not permit this user to {doing}.", hint=_who_may(why))
        if any(word in why for word in _LOST):
            return Unreachable(f"Milvus at {shown(self.uri)} stopped answering ({doing}).", hint="Run the same command again when it is back; nothing is lost.")
        if any(word in why for word in _BAD_EXPRESSION):
            return UsageError(f"Milvus does not understand the filter: {why}.")
        return Refused(f"Milvus refused to {doing}: {why}.")

    def _no_connection(self, error: Exception) -> Exception:
        # A wrong token, a dead server and a certificate that is not trusted give the same code and message (2.3.5): the port tells them apart.
        try:
            address = urlsplit(self.uri)
            socket.create_connection((address.hostname or "", address.port or 19530), timeout=CONNECT_SECONDS).close()
        except (OSError, ValueError):
            return Unreachable(f"Nothing answers at MILVUS_URI {shown(self.uri)}.", hint="Is the address right and the server up?")
        said = error.__cause__
        fault = trust.fault(self.uri, self._tls, CONNECT_SECONDS, str(said.details()) if isinstance(said, grpc.RpcError) else "")
        return fault or NotLetIn(f"The server at MILVUS_URI {shown(self.uri)} does not let us in.", hint="Check MILVUS_TOKEN (user:password).")

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


def _who_may(why: str) -> str:
    """2.3.5 names the privilege that a call lacks: "PrivilegeCreateAlias: permission deny to somebody"."""
    named = re.search(r"Privilege(\w+): permission deny", why)
    able = roles.that_may(named[1]) if named else ()
    if not able:
        return "Check MILVUS_TOKEN and its role's grants."
    return f"It takes {named[1]}, which {', '.join(able[:-1])}{' and ' if able[1:] else ''}{able[-1]} may: check MILVUS_TOKEN, or run `roles setup`."


def _shortened(why: str) -> str:
    """The message without stack and channel noise: servers append their whole call chain."""
    why = re.split(r"\n|, debug=|: stack trace|=> ", why, maxsplit=1)[0]
    return why.strip().rstrip(".")[:400]
