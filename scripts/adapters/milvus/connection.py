"""The connection to Milvus: one place for all calls, each with a time limit, repeated where that does no harm, every failure in one clear line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from pymilvus.exceptions import ConnectionConfigException, MilvusException

from scripts.adapters.milvus import faults, repeating, trust
from scripts.adapters.milvus.client import CONNECT_SECONDS, EMBEDDED, EMBEDDED_SECONDS, LONGEST_PAUSE_SECONDS, SERVER, Client, be_quiet
from scripts.adapters.milvus.embedded import Held, databases
from scripts.adapters.milvus.faults import NotLetIn, NotPermitted
from scripts.adapters.milvus.line import SHORTEST_CALL_SECONDS, Line
from scripts.adapters.milvus.raw import Wire
from scripts.adapters.milvus.repeating import Ask
from scripts.addresses import shown
from scripts.errors import Unreachable, UsageError
from scripts.tls import OPEN, TlsFiles

__all__ = ["RETRY_SECONDS", "Connection", "NotLetIn", "NotPermitted"]

# How long a call that lost its connection is repeated.
RETRY_SECONDS = 60.0
# And how long one is repeated that found the server, but not yet all parts of it: 2.3.5 says that a collection is not loaded, or that nodes
# are missing, until the session that it had before it was killed ends (30 s).
RETURN_SECONDS = 120.0
FIRST_PAUSE_SECONDS = 0.1


class Connection:
    """A MilvusClient behind one door, safe under threads. `embedded` is true for a milvus-lite file.

    Nothing is opened before the first call. A first call that finds no server fails at once; later ones wait for it to come back, for as long as a
    server may need to restart. Who answers queries has less `patience`, in seconds: then all attempts of a call together, and connecting, take no
    longer than that.

    A connection that is dead and does not look so is noticed within 20 s of a call's beginning, and before the next call where the last one
    had no answer in time or nobody has called for 30 s (see `client` and `line`).
    """

    def __init__(self, uri: str, token: str, patience: float = RETRY_SECONDS, tls: TlsFiles = OPEN) -> None:
        be_quiet()
        self.uri = uri
        self.embedded = "://" not in uri
        self._token, self._tls = token, tls
        self._patience = patience
        self._hurried = patience < RETRY_SECONDS
        # Of one attempt of a call.
        self.seconds = min(patience, RETRY_SECONDS)
        self._file = Path(uri).absolute() if self.embedded else None  # of the folder that is current now, and not at the first call
        self._held: Held | None = None
        self._wire: tuple[Wire | None] | None = None
        self._line = Line(self._opened if self.embedded else self._connected, embedded=self.embedded)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def connect(self) -> None:
        """What the first call would do otherwise. Raises Unreachable where nobody answers or the user is not let in, UsageError where the address or
        the files for TLS are of no use."""
        with self.translated("connect"):
            self._client_by(time.monotonic() + self._patience)

    def call(self, method: str, *args: Any, timeout: float | None = RETRY_SECONDS, **kwargs: Any) -> Any:
        """Calls MilvusClient's `method`. Where the connection is lost it is repeated with growing pauses, if it is one of `repeating`.

        `timeout` None is for waits that have no natural limit. Raises Unreachable when the server does not answer in time or denies access, Refused
        and UsageError for what it says no to.
        """
        collection, doing = _words(method, args)
        ask = self._asking(timeout)
        once = partial(ask, method, *args, **kwargs)
        if repeating.is_harmless(method):
            return self.patiently(doing, collection, once)
        if method in repeating.MAKING:
            return self.patiently(doing, collection, once, partial(repeating.unless_done, ask, method, args, kwargs))
        return self.patiently(doing, collection, once, partial(self._say_unknown, doing))

    def call_if(self, is_to_do: Callable[[Ask], bool], method: str, *args: Any) -> None:
        """As `call`, for what must not be done over another's work: `is_to_do` is asked right before each time that it is sent, and may raise. An
        answer may be lost for a minute, which is long enough for a lock to be taken over."""
        collection, doing = _words(method, args)
        ask = self._asking(RETRY_SECONDS)

        def once() -> None:
            if is_to_do(ask):
                ask(method, *args)

        self.patiently(doing, collection, once)

    def patiently(self, doing: str, collection: str, call: Callable[[], Any], after_loss: Callable[[], Any] | None = None) -> Any:
        """What `call` returns, which must be safe to repeat, unless `after_loss` says what to do in its place once its answer was lost. Failures and
        repetitions as of `call`."""
        began = time.monotonic()
        failing: float | None = None
        away = unanswered = False
        pause = FIRST_PAUSE_SECONDS
        with self.translated(doing):
            while True:
                sent = False
                try:
                    self._client_by(began + self._patience)
                    sent = True
                    answer = after_loss() if unanswered and after_loss else call()
                    self._line.heard()
                    return answer
                except (grpc.RpcError, MilvusException) as error:
                    now = time.monotonic()
                    failing = failing or now
                    if faults.is_late(error):
                        self._line.doubt()
                    if self._line.closed.is_set():
                        raise
                    gone = faults.is_lost(error) or faults.is_passing(error)
                    if gone:
                        away, unanswered = away or faults.is_lost(error), unanswered or sent
                        if self.embedded or now > began + self._patience:  # milvus-lite's server is in this process: who has closed it did so for good
                            raise
                    elif now > failing + RETURN_SECONDS or not self._is_returning(error, collection, away, began + self._patience):
                        raise
                    if self._hurried and now + pause > began + self._patience:
                        if gone:
                            raise
                        raise faults.not_all_back(self.uri, doing) from None
                self._line.closed.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    @property
    def wire(self) -> Wire | None:
        """The fast way for many rows; None where this pymilvus does not have what it needs. Raises as of `connect`."""
        if self._wire is None:  # no cached_property, whose lock is one for all connections of a process (Python 3.11)
            self._wire = (self.patiently("connect", "", self._new_wire),)
        return self._wire[0]

    def close(self) -> None:
        """Calls under way end as closed. Safe to call twice."""
        self._line.close()
        if self._held:
            self._held.close()

    @contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Turns what pymilvus and grpc raise into the kit's errors."""
        try:
            yield
        except (grpc.RpcError, MilvusException, ValueError, AttributeError) as error:
            if self._line.closed.is_set():
                raise faults.closed(self.uri) from None
            if not isinstance(error, (grpc.RpcError, MilvusException)):
                raise
            if self._held and self._held.is_released:
                raise Unreachable(f"The milvus-lite file {shown(self.uri)} was closed while it was in use.", hint="Open it again.") from None
            raise faults.told(self.uri, doing, error) from None

    @property
    def _client(self) -> Client:
        return self._client_by(time.monotonic() + self._patience)

    def _client_by(self, until: float) -> Client:
        if self._line.closed.is_set():
            raise faults.closed(self.uri)
        return self._line.client(until if self._hurried else max(until, time.monotonic() + 2 * CONNECT_SECONDS))

    def _new_wire(self) -> Wire | None:
        client = self._client
        try:
            return Wire(client)
        except (AttributeError, ImportError, TypeError, ValueError):
            if self._line.closed.is_set():
                raise faults.closed(self.uri) from None
            return None

    def _connected(self, seconds: float) -> Client:
        """Half of the time is for connecting, the rest for finding out why that failed."""
        try:
            return Client(self.uri, self._token, options=SERVER, seconds=seconds / 2, **trust.options(self.uri, self._tls))
        except OSError as error:
            raise UsageError(f"MILVUS_URI {shown(self.uri)!r} cannot be used: {error}.") from None
        except ConnectionConfigException:
            raise faults.no_address(self.uri) from None
        except (MilvusException, grpc.RpcError, ValueError) as error:
            raise faults.no_connection(self.uri, self._tls, seconds / 4, error) from None

    def _opened(self, seconds: float) -> Client:
        if not self.uri.endswith(".db"):
            raise faults.no_address(self.uri)
        held = databases.hold(self._file)
        try:
            client = Client(held.address, options=EMBEDDED, seconds=EMBEDDED_SECONDS)
            self._held = held
            if self._line.closed.is_set():  # meanwhile
                client.close()
                raise faults.closed(self.uri)
        except BaseException:
            held.close()
            raise
        return client

    def _asking(self, timeout: float | None) -> Ask:
        until = time.monotonic() + self._patience

        def ask(method: str, *args: Any, **kwargs: Any) -> Any:
            allowed = max(SHORTEST_CALL_SECONDS, until - time.monotonic()) if self._hurried else timeout
            return getattr(self._client, method)(*args, timeout=allowed, **kwargs)

        return ask

    def _say_unknown(self, doing: str) -> None:
        raise faults.unknown_outcome(self.uri, doing)

    def _is_returning(self, error: Exception, collection: str, away: bool, until: float) -> bool:
        """Whether the server has come back, but not yet all parts of it, or asks for patience. `away` says that it was seen to be so."""
        if isinstance(error, grpc.RpcError):
            return away and faults.is_late(error)
        return self._is_being_loaded(collection, until) if error.code == faults.NOT_LOADED else faults.is_returning(error, away)

    def _is_being_loaded(self, collection: str, until: float) -> bool:
        """A released collection is not loaded, and says so; one that a restarted server is about to serve again says "Loading" or "Loaded"."""
        seconds = max(SHORTEST_CALL_SECONDS, until - time.monotonic()) if self._hurried else RETRY_SECONDS
        try:
            return str(self._client_by(until).get_load_state(collection, timeout=seconds)["state"]) in ("Loaded", "Loading")
        except (grpc.RpcError, MilvusException) as error:
            return faults.is_lost(error)


def _words(method: str, args: tuple[Any, ...]) -> tuple[str, str]:
    """The collection that a call is about, where it is about one, and what it does."""
    return args[0] if args and isinstance(args[0], str) else "", method.replace("_", " ")
