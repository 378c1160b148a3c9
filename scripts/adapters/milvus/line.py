"""The one client that the threads of a connection share: made when it is first asked for, looked at when there is doubt, renewed when it is dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import grpc
from pymilvus.exceptions import MilvusException

from scripts.adapters.milvus import faults
from scripts.adapters.milvus.client import CONNECT_SECONDS, Client

# A connection that nobody has heard of for so long is asked before it is used: one that a proxy or a firewall has forgotten looks as if it stood.
# That is one round trip (1 ms) in half a minute without calls, and none in a busy one.
SILENCE_SECONDS = 30.0
# How long such a question may take.
ASKED_SECONDS = 3.0
# With less, a server that is well has no time to answer.
SHORTEST_CALL_SECONDS = 0.1


class Line:
    """Safe under threads: while one of them connects, looks or connects anew, those that come wait for it and get what it got, its failure as well;
    none of them tries by itself. `make` is called with the seconds that it may take."""

    def __init__(self, make: Callable[[float], Client], *, embedded: bool) -> None:
        self._make = make
        self._embedded = embedded
        self._lock = threading.Lock()
        self._at_work: Future[Client] | None = None
        self._client: Client | None = None
        self._heard = 0.0
        self._doubted = self._dead = False
        self.closed = threading.Event()

    def client(self, until: float) -> Client:
        """Connected, and looked at where there is doubt, by the time `until`. Raises what `make` raises, and what gRPC or pymilvus raises where a
        connection that stood cannot be renewed."""
        with self._lock:
            if self._client and not self._is_doubtful():
                return self._client
            found = self._at_work
            at_work = self._at_work = found or Future()
        if found is None:
            self._work(at_work, until)
        try:
            return at_work.result(max(0.0, until - time.monotonic()) if not self._embedded else None)
        except TimeoutError:
            raise MilvusException(grpc.StatusCode.UNAVAILABLE, "no connection in time") from None

    def heard(self) -> None:
        """The server has answered something."""
        self._heard = time.monotonic()
        self._doubted = False

    def doubt(self) -> None:
        """A call was not answered in time: the connection is looked at before it is used again."""
        self._doubted = True

    def close(self) -> None:
        """Safe to call twice."""
        self.closed.set()
        with self._lock:
            client, self._client = self._client, None
        if client:
            client.close()

    def _is_doubtful(self) -> bool:
        return not self._embedded and (self._dead or self._doubted or time.monotonic() > self._heard + SILENCE_SECONDS)

    def _work(self, at_work: Future[Client], until: float) -> None:
        try:
            client = self._client or self._make(_within(until, 2 * CONNECT_SECONDS))
            if client is self._client:
                self._look(client, until)
            self.heard()
            with self._lock:
                self._client = client
                self._at_work = None
            at_work.set_result(client)
            if self.closed.is_set():  # while it was made
                self.close()
        except BaseException as error:
            with self._lock:
                self._at_work = None
            at_work.set_exception(error)

    def _look(self, client: Client, until: float) -> None:
        if not self._dead:
            try:
                client.asked(_within(until, ASKED_SECONDS, share=3))
                return
            except (grpc.RpcError, MilvusException) as error:
                if not faults.is_late(error):
                    return  # an answer, or gRPC knows that it is gone and connects anew by itself
        self._dead = True
        client.renew(_within(until, CONNECT_SECONDS, share=2))
        self._dead = False


def _within(until: float, seconds: float, share: int = 1) -> float:
    """At most these, and at most this share of what is left, but no less than a server that is well needs to answer."""
    return max(SHORTEST_CALL_SECONDS, min(seconds, (until - time.monotonic()) / share))
