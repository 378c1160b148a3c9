"""The place that the tests of this folder share, because building its pairs takes longer than what is tested."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import _empty
from tests.safety.matrix import Matrix
from tests.shop import Shop


@pytest.fixture(scope="package", params=["lite", pytest.param("server", marks=pytest.mark.server)])
def matrix(request: pytest.FixtureRequest, mlflow_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """Each test puts its place back to the world that it begins in."""
    folder = tmp_path_factory.mktemp("crashes")
    embedded = request.param == "lite"
    server = None if embedded else request.getfixturevalue("milvus_server")
    uri, token = (server.uri, server.token) if server else (str(folder / "milvus.db"), "")
    with Matrix(Shop(folder / "shop", uri, token, mlflow_server.uri), "safe-shop", folder, embedded) as matrix:
        yield matrix
    if server:
        _empty(server)
