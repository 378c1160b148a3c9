"""Who asks and does not read the answers, to a real receiver whose patience is a second."""

import re
import socket
import time

import pytest

from scripts.receiver import server
from tests.receiver import starts
from tests.receiver.process import Receiver, alias_event, configure

PAGE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
NEVER_READ = (1, 10, 20, 30, 40, 50, 60, 80, 3_000)
"""Pages that one connection asks for: what the system takes for it ends somewhere between the first and the last."""


@pytest.fixture
def receiver(tmp_path):
    with Receiver(tmp_path, configure(tmp_path), environment={"WRITE_S": "1"}) as process:
        yield process


def asking(receiver: Receiver, pages: int, taken: int = 4_096) -> socket.socket:
    """A connection on which no more than some `taken` bytes arrive until they are read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, taken)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", receiver.port))
    connection.setblocking(False)
    try:
        connection.send(PAGE * pages)
    except BlockingIOError:
        pass  # so many are not even taken
    connection.settimeout(60)
    return connection


def refused(receiver: Receiver) -> int:
    return int(re.search(r"^promotion_webhook_connections_refused_total (\d+)$", receiver.get("/metrics"), re.MULTILINE)[1])


def test_who_never_reads_is_hung_up_on(receiver):
    """Each of them, while every delivery is taken."""
    silent = [asking(receiver, 3_000) for _ in range(5)]
    deadline = time.monotonic() + 60
    while refused(receiver) < len(silent):
        assert time.monotonic() < deadline, "they hold the receiver"
        assert receiver.send(alias_event(starts.FOUND)).status == 200
        time.sleep(0.05)
    for connection in silent:
        with pytest.raises(ConnectionResetError):
            while connection.recv(65_536):
                pass


def test_reading_a_little_now_and_then_does_not_help(receiver):
    """It moves on with every page, and would go on for a minute."""
    connection, came = asking(receiver, 3_000, 16_384), 0
    with pytest.raises(ConnectionResetError):
        while chunk := connection.recv(4_096):
            came += len(chunk)
            time.sleep(0.02)
    assert 0 < came < 3_000 * len(receiver.get("/metrics"))
    assert refused(receiver) == 1


def test_who_reads_one_page_slowly_gets_all_of_it(receiver):
    """Over more than the receiver's patience: the system has taken it meanwhile."""
    connection, came = asking(receiver, 1), b""
    for _ in range(6):
        time.sleep(0.5)
        came += connection.recv(100)
    while not came.endswith(b"\n") or b"pipelines_started_total 0" not in came:
        came += connection.recv(65_536)
    assert came.startswith(b"HTTP/1.1 200 ") and refused(receiver) == 0


def test_sigterm_ends_it_though_nobody_reads(receiver):
    """Also where the last of an answer is all that waits, and the connection is closed but for that; long before uvicorn would give up."""
    silent = [asking(receiver, pages) for pages in NEVER_READ]
    receiver.process.terminate()
    assert receiver.process.wait(server.STOP_S / 2) == 0
    assert "CancelledError" not in receiver.log and len(silent) == len(NEVER_READ)
