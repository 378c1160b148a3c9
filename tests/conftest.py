"""What tests ask for: real servers, started when the first test needs one, and empty places to write to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postgres import PostgresServer, postgres_programs
from tests.s3 import S3Server, use
from tests.servers import MilvusServer, MlflowServer, ServerFailed

if TYPE_CHECKING:
    from tests.shop import Shop

ROOT = Path(__file__).resolve().parent.parent
# Read here because `no_ambient_settings` hides MILVUS_* from the tests.
MILVUS_WHEEL = Path(os.environ.get("MILVUS_WHEEL_DIR", Path(sys.prefix) / "milvus-2.3.5"))
# The address of one that is running already, as a service container beside the tests. Tests that start or kill a server need the wheel.
RUNNING_MILVUS = os.environ.get("KIT_TEST_MILVUS_URI", "")
SERVER_FIXTURES = {"milvus_wheel", "milvus_server", "mlflow_server", "postgres_server", "s3_server"}


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """Where a test's empty Milvus is. Open it in the test: a milvus-lite file belongs to one process."""

    kind: str
    uri: str
    token: str


@dataclass(frozen=True, slots=True)
class RunningMilvus:
    """A Milvus that was there before the tests, with the password that it comes with."""

    uri: str
    token: str = MilvusServer.token

    def check(self) -> None:
        """It is not ours: what became of it, its own log tells."""


def needs(condition: bool, reason: str) -> None:
    """Skip a test whose optional part is missing; with REQUIRE_ALL set, as in CI, fail it, so that none is skipped unseen."""
    if condition:
        return
    if os.environ.get("REQUIRE_ALL"):
        pytest.fail(f"REQUIRE_ALL is set: {reason}")
    pytest.skip(reason)


# Files that take a minute or more begin first: workers take whole files, and whoever begins such a one last is waited for alone.
LONG = (
    *("test_icecat", "test_sound_pairs", "test_crash_matrix", "test_workflows", "test_roles", "test_cluster", "test_load", "test_end_to_end"),
    *("test_walk", "test_race", "test_retention_on_milvus", "test_tls", "test_broken_pairs", "test_mlflow", "test_duplicates", "test_gate_errors", "test_health_on_milvus"),
    *("test_killed", "test_faults", "test_rows", "test_to_a_cluster", "test_beside_writers", "test_perf_on_milvus", "test_coverage_on_milvus"),
    *("test_lines", "test_odd_collections", "test_loops"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))
    for item in items:
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


@pytest.fixture(autouse=True)
def no_ambient_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's or a CI machine's own Milvus, MLflow, storage, database and pipeline are no part of a test."""
    for name in list(os.environ):
        if name.startswith(("MILVUS_", "MLFLOW_", "CIRCLE", "PROMOTION_", "WEBHOOK_", "NOTIFY_", "SOURCE_", "AWS_", "PG", "RAY_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def ctrl_c_arrives() -> Iterator[None]:
    """At a test and at what it starts. Workers of pytest-xdist ignore it, and so does what a shell starts in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data sets beside the checkout, which are too large for it."""
    folder = ROOT.parent / "shared" / "data"
    needs(folder.is_dir(), "the data sets of ../shared/data are not here")
    return folder


@pytest.fixture(scope="session")
def milvus_wheel() -> Path:
    """The unpacked Milvus wheel, for tests that start a server of their own, e.g. to kill it."""
    needs(MILVUS_WHEEL.is_dir(), "the real Milvus is not installed; `make test` installs it")
    return MILVUS_WHEEL


@pytest.fixture(scope="session")
def milvus_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer | RunningMilvus]:
    """One real Milvus for all tests; ask for `milvus` to have it empty."""
    if RUNNING_MILVUS:
        yield RunningMilvus(RUNNING_MILVUS)
        return
    with MilvusServer(tmp_path_factory.mktemp("milvus"), request.getfixturevalue("milvus_wheel")) as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One real MLflow for all tests; it is never emptied, so name models after the test."""
    with MlflowServer(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One real PostgreSQL for all tests."""
    programs = postgres_programs()
    needs(programs is not None, "PostgreSQL is not installed; it is Debian's package postgresql")
    with PostgresServer(tmp_path_factory.mktemp("postgres"), programs) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One S3 for all tests."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The S3 alone, empty but for the bucket `shop`, and found by the variables that AWS's own clients read; emptied after the test."""
    s3_server.empty()
    s3_server.make("shop")
    use(monkeypatch, s3_server.variables())
    yield s3_server
    s3_server.empty()


@pytest.fixture
def empty_milvus_server(milvus_server: MilvusServer | RunningMilvus) -> Iterator[MilvusServer | RunningMilvus]:
    """The real Milvus alone, for what only a server has; emptied after the test. One that ends by itself fails this test alone."""
    yield milvus_server
    try:
        milvus_server.check()
    except ServerFailed:
        milvus_server.start()
        raise
    finally:
        _empty(milvus_server)


@pytest.fixture(scope="module")
def module_milvus_server(milvus_server: MilvusServer | RunningMilvus) -> Iterator[MilvusServer | RunningMilvus]:
    """The same, for a module whose tests share what they have built in it; emptied after the last."""
    yield milvus_server
    _empty(milvus_server)


@pytest.fixture(params=["lite", pytest.param("server", marks=pytest.mark.server)])
def milvus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MilvusAddress]:
    """An empty Milvus, embedded and real in turn: what the kit promises, it promises on both."""
    if request.param == "lite":
        yield MilvusAddress("lite", str(tmp_path / "milvus.db"), "")
    else:
        server: MilvusServer | RunningMilvus = request.getfixturevalue("empty_milvus_server")
        yield MilvusAddress("server", server.uri, server.token)


@pytest.fixture
def shop(tmp_path: Path, milvus: MilvusAddress, mlflow_server: MlflowServer) -> Shop:
    """A small service on an empty Milvus, embedded and real in turn."""
    from tests.shop import Shop  # which imports MLflow

    return Shop(tmp_path / "shop", milvus.uri, milvus.token, mlflow_server.uri)


@pytest.fixture
def lite_shop(tmp_path: Path, mlflow_server: MlflowServer) -> Shop:
    """A small service on an embedded Milvus, for what has nothing to do with the server."""
    from tests.shop import Shop

    return Shop(tmp_path / "shop", str(tmp_path / "milvus.db"), "", mlflow_server.uri)


def _empty(server: MilvusServer | RunningMilvus) -> None:
    """Drop every alias, then every collection.

    An alias whose collection was dropped before it stays and cannot be found: 2.3.5 neither lists nor describes it, yet
    refuses to create it again. A test that makes one drops it itself.
    """
    from pymilvus import MilvusClient  # 2 s, so only for the tests that pay it anyway

    client = MilvusClient(server.uri, token=server.token)
    for alias in client.list_aliases()["aliases"]:
        client.drop_alias(alias)
    for collection in client.list_collections():
        client.drop_collection(collection)
    client.close()
