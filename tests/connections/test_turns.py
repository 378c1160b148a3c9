"""Threads that wait for each other while one of them connects: none waits for good, however that one ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from pymilvus.exceptions import MilvusException

from scripts.adapters.milvus.client import SERVER, Client
from scripts.adapters.milvus.line import Line
from scripts.errors import Unreachable


class Making:
    """Connects; the first time, when it is let go on, it ends with `failure` instead."""

    def __init__(self, make: Callable[[], Client], failure: BaseException | None = None) -> None:
        self.count = 0
        self.begun, self.go_on = Event(), Event()
        self._make, self._failure = make, failure

    def __call__(self, seconds: float) -> Client:
        self.count += 1
        self.begun.set()
        assert self.go_on.wait(60)
        failure, self._failure = self._failure, None
        if failure:
            raise failure
        return self._make()


@pytest.fixture
def connect(empty_milvus_server) -> Callable[[], Client]:
    return lambda: Client(empty_milvus_server.uri, empty_milvus_server.token, options=SERVER)


def soon() -> float:
    return time.monotonic() + 60


@pytest.mark.parametrize("embedded", [False, True])
def test_who_waits_for_a_thread_that_is_interrupted_connects_itself(connect, embedded):
    """Ctrl-C reaches one thread only, whose business it is; the others neither wait for good nor are interrupted."""
    making = Making(connect, KeyboardInterrupt())
    line = Line(making, embedded=embedded)
    with ThreadPoolExecutor(4) as pool:
        interrupted = pool.submit(line.client, soon())
        assert making.begun.wait(60)
        others = [pool.submit(line.client, soon()) for _ in range(3)]
        making.go_on.set()
        assert isinstance(interrupted.exception(), KeyboardInterrupt)
        assert len({other.result() for other in others}) == 1
    assert making.count == 2
    line.close()


def test_who_waits_gets_the_failure_of_the_one_that_tried(connect):
    """Sixteen threads do not try sixteen times; whoever comes later tries anew."""
    making = Making(connect, Unreachable("Nobody is there."))
    line = Line(making, embedded=False)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(line.client, soon())]
        assert making.begun.wait(60)
        waiting += [pool.submit(line.client, soon()) for _ in range(3)]
        time.sleep(0.2)  # they are to wait before it ends; one that came later would try by itself
        making.go_on.set()
        assert {str(each.exception()) for each in waiting} == {"Nobody is there."}
    assert making.count == 1
    assert line.client(soon()) and making.count == 2
    line.close()


@pytest.mark.parametrize("embedded", [False, True])
def test_a_close_ends_the_waiting_and_what_was_being_made_is_closed(connect, embedded):
    """Though whoever connects is still at it."""
    made = []
    making = Making(lambda: made.append(connect()) or made[0])
    line = Line(making, embedded=embedded)
    with ThreadPoolExecutor(2) as pool:
        connecting = pool.submit(line.client, soon())
        assert making.begun.wait(60)
        waiting = pool.submit(line.client, soon())
        line.close()
        assert isinstance(waiting.exception(), MilvusException) and not connecting.done()
        making.go_on.set()
        connecting.result()
    assert made[0]._handler is None


def test_a_connection_that_is_renewed_while_it_is_closed_stays_closed(connect, monkeypatch):
    """The new one is closed as well."""
    client = connect()
    handler = client._handler
    reconnect = handler.reconnect

    def closed_meanwhile(timeout: float) -> None:
        client.close()
        reconnect(timeout=timeout)

    monkeypatch.setattr(handler, "reconnect", closed_meanwhile)
    client.renew(5.0)
    assert handler._channel is None
