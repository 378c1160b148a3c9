"""What the other tests stand on: servers that are the real ones, end when told to and come back with their data."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from mlflow import MlflowClient
from pymilvus import MilvusClient, MilvusException

from tests.conftest import ROOT, MilvusAddress, needs
from tests.servers import MilvusServer, MlflowServer, Server, ServerFailed, _get, free_ports

SHORT_SESSION = {"COMMON_SESSION_TTL": "10"}


def test_milvus_is_the_version_that_the_kit_promises(milvus_server: MilvusServer) -> None:
    """The server's own answer names 2.3.5 (the wheel's build adds "-lite", which is not milvus-lite)."""
    client = MilvusClient(milvus_server.uri, token=milvus_server.token)
    assert client.get_server_version().lstrip("v").split("-")[0] == "2.3.5"


def test_milvus_refuses_a_wrong_token(milvus_server: MilvusServer) -> None:
    """Authorization is on: nobody reads or writes without the password."""
    with pytest.raises(MilvusException):
        MilvusClient(milvus_server.uri, token="root:not-the-password", timeout=5)


def test_killed_milvus_comes_back_with_its_data(milvus_wheel: Path, tmp_path: Path) -> None:
    """Rows flushed before a kill -9 are there after a start on the same data and the same port."""
    with MilvusServer(tmp_path / "milvus", milvus_wheel, SHORT_SESSION) as server:
        client = MilvusClient(server.uri, token=server.token)
        client.create_collection("kept", dimension=4)
        client.insert("kept", [{"id": key, "vector": [key, 1.0, 2.0, 3.0]} for key in range(100)])
        client.flush("kept")
        client.close()

        server.kill()
        server.start()

        assert _count(server, "kept") == 100


def test_paused_milvus_answers_nobody_until_resumed(milvus_wheel: Path, tmp_path: Path) -> None:
    """A paused server is a hanging one, not a closed one, and goes on where it was."""
    with MilvusServer(tmp_path / "milvus", milvus_wheel) as server:
        client = MilvusClient(server.uri, token=server.token)
        server.pause()
        with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
            client.list_collections(timeout=1)
        server.resume()
        assert client.list_collections(timeout=30) == []


def test_two_milvus_servers_live_side_by_side(
    milvus_server: MilvusServer, milvus_wheel: Path, tmp_path: Path
) -> None:
    """No port is fixed, not even those of the embedded etcd, so test runs on one machine do not meet."""
    with MilvusServer(tmp_path / "milvus", milvus_wheel) as other:
        MilvusClient(other.uri, token=other.token).create_collection("only_here", dimension=4)
        here = MilvusClient(milvus_server.uri, token=milvus_server.token)
        assert "only_here" not in here.list_collections()


@pytest.mark.parametrize("turn", ["first", "second"])
def test_every_test_gets_an_empty_milvus(milvus: MilvusAddress, turn: str) -> None:
    """Collections and aliases of one test are gone in the next, on the shared server too."""
    client = MilvusClient(milvus.uri, token=milvus.token)
    assert client.list_collections() == []
    client.create_collection("left_behind", dimension=4)
    client.create_alias("left_behind", "left_behind_alias")


def test_mlflow_registers_a_model_and_keeps_its_files(mlflow_server: MlflowServer) -> None:
    """Registry and artifacts both go through the server: a client needs its address and nothing else."""
    client = MlflowClient(mlflow_server.uri)
    run = client.create_run(client.create_experiment("test_servers"))
    client.log_text(run.info.run_id, "weights", "model/weights.txt")
    client.create_registered_model("test_servers")
    client.create_model_version("test_servers", f"{run.info.artifact_uri}/model", run.info.run_id)

    (version,) = client.search_model_versions("name = 'test_servers'")
    assert (version.version, version.run_id) == ("1", run.info.run_id)
    assert Path(client.download_artifacts(run.info.run_id, "model/weights.txt")).read_text() == "weights"


@pytest.mark.server
def test_stopped_mlflow_comes_back_with_its_registry(tmp_path: Path) -> None:
    """A server started again on its folder has the address and the models it had."""
    with MlflowServer(tmp_path / "mlflow") as server:
        client = MlflowClient(server.uri)
        client.create_registered_model("kept")

        server.stop()
        server.start()

        assert client.get_registered_model("kept").name == "kept"


def test_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    """The reason is in the error, where a person reads it, not only in a file."""

    class Broken(Server):
        health_path = "/"

        def command(self) -> list[str]:
            return [sys.executable, "-c", "raise SystemExit('the disk is full')"]

        def settings(self) -> dict[str, str]:
            return {}

    with pytest.raises(ServerFailed, match="(?s)exit code 1.*the disk is full"):
        Broken(tmp_path, health_port=1, env={}).start()


def test_a_server_that_ends_by_itself_says_why_and_can_be_started_again(tmp_path: Path) -> None:
    """What it said before it died is told, not what Go prints of its goroutines after that, and the tests that follow have a server."""
    lives = """
import http.server, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200), self.end_headers(), self.wfile.write(b"OK")
        if self.path == "/die":
            print("panic: no lease", "", "goroutine 1 [running]:", *["main.main()"] * 99, sep=chr(10), flush=True)
            __import__("os")._exit(2)
    log_message = print
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""

    class Mortal(Server):
        health_path = "/"

        def command(self) -> list[str]:
            return [sys.executable, "-c", lives, str(self._health_port)]

        def settings(self) -> dict[str, str]:
            return {}

    with Mortal(tmp_path, *free_ports(1), env={}) as server:
        server.check()
        _get(server._health_port, "/die")
        with pytest.raises(ServerFailed, match=r"(?s)by itself with exit code 2.*panic: no lease\s*$"):
            while True:
                server.check()
        server.start()
        assert server.is_healthy()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals orphans")
def test_servers_end_with_the_tests_even_when_those_are_killed(milvus_wheel: Path, tmp_path: Path) -> None:
    """A test run that dies without a word (SIGKILL, out of memory) leaves no server running."""
    doomed = """
import os, signal, sys
from pathlib import Path
from tests.servers import MilvusServer, MlflowServer
folder, wheel = map(Path, sys.argv[1:])
for server in MilvusServer(folder / "milvus", wheel), MlflowServer(folder / "mlflow"):
    server.start()
    print(server.uri, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", doomed, str(tmp_path), str(milvus_wheel)]
    uris = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=240).stdout.split()
    assert len(uris) == 2

    deadline = time.monotonic() + 20
    while any(map(_listens, uris)):
        assert time.monotonic() < deadline, f"One of {uris} is still there."
        time.sleep(0.2)


def test_missing_part_skips_a_test_but_fails_it_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional parts most tests run; where REQUIRE_ALL is set, none can go missing unseen."""
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no data"):
        needs(False, "no data")
    monkeypatch.setenv("REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="no data"):
        needs(False, "no data")
    needs(True, "no data")


def _count(server: MilvusServer, collection: str) -> int:
    """The row count, once the restarted server has loaded the collection again (code 101 until then)."""
    client = MilvusClient(server.uri, token=server.token)
    deadline = time.monotonic() + 60
    while True:
        try:
            return client.query(collection, output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"]
        except MilvusException as error:
            if error.code != 101 or time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _listens(uri: str) -> bool:
    try:
        socket.create_connection((urlsplit(uri).hostname, urlsplit(uri).port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True
