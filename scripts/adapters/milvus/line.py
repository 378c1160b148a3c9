"""The one client that the threads of a connection share: made when it is first asked for, looked at when there is doubt, renewed when it is dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import grpc
from pymilvus.exceptions import MilvusException

from scripts.adapters.milvus import faults
from scripts.adapters.milvus.client import CONNECT_SECONDS, Client

# A connection that nobody has heard of for so long is asked before it is used: one that a proxy or a firewall has forgotten looks as if it stood.
# That is one round trip (1 ms) in half a minute without calls, and none in a busy one.
SILENCE_SECONDS = 30.0
# How long such a question may take.
ASKED_SECONDS = 3.0
# Who waits for another thread looks so often whether the connection was closed.
TURN_SECONDS = 0.5
# With less, a server that is well has no time to answer.
SHORTEST_CALL_SECONDS = 0.1


class Line:
    """Safe under threads: while one of them connects, looks or connects anew, those that come wait for it and get what it got, its failure as well;
    none of them tries by itself, unless that one was interrupted. `make` is called with the seconds that it may take."""

    def __init__(self, make: Callable[[float], Client], *, embedded: bool) -> None:
        self._make = make
        self._embedded = embedded
        self._at_work = threading.Lock()
        self._tries = 0
        self._failure: Exception | None = None
        self._client: Client | None = None
        self._heard = 0.0
        self._doubted = self._dead = False
        self.closed = threading.Event()

    def client(self, until: float) -> Client:
        """Connected, and looked at where there is doubt, by the time `until`. Raises what `make` raises, and what gRPC or pymilvus raises where a
        connection that stood cannot be renewed."""
        if found := self._sound():
            return found
        seen = self._tries
        self._wait_for_turn(until)
        try:  # a lock, and no future that is to be fulfilled: whatever ends the one at work, those that wait for it go on
            if found := self._sound():
                return found
            if self._failure and self._tries != seen:
                raise self._failure
            return self._work(until)
        finally:
            self._at_work.release()

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
        client, self._client = self._client, None
        if client:
            client.close()

    def _sound(self) -> Client | None:
        """The client, where there is one and no doubt about it."""
        client = self._client
        doubtful = not self._embedded and (self._dead or self._doubted or time.monotonic() > self._heard + SILENCE_SECONDS)
        return None if doubtful else client

    def _wait_for_turn(self, until: float) -> None:
        """Ends with the lock held. milvus-lite opens in its own time."""
        while not self._at_work.acquire(timeout=max(0.0, min(TURN_SECONDS, TURN_SECONDS if self._embedded else until - time.monotonic()))):
            if self.closed.is_set():
                raise MilvusException(grpc.StatusCode.CANCELLED, "closed")
            if not self._embedded and time.monotonic() > until:
                raise MilvusException(grpc.StatusCode.UNAVAILABLE, "no connection in time")

    def _work(self, until: float) -> Client:
        if self.closed.is_set():  # while its turn was waited for
            raise MilvusException(grpc.StatusCode.CANCELLED, "closed")
        client = self._client
        try:
            if client is None:
                client = self._make(_within(until, 2 * CONNECT_SECONDS))
            else:
                self._look(client, until)
        except Exception as error:
            self._failure = error
            self._tries += 1
            raise
        self.heard()
        self._client, self._failure = client, None
        if self.closed.is_set():  # meanwhile
            self.close()
        return client

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
