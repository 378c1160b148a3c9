"""Two pairs on each backend, made once per file of tests; every test finds the first in production and no canary."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from scripts import canary
from scripts.serving import PairSearcher
from tests.servers import MlflowServer
from tests.serving.place import Place
from tests.shop import Shop


@pytest.fixture(scope="module", params=["lite", pytest.param("server", marks=pytest.mark.server)])
def two_pairs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mlflow_server: MlflowServer) -> Iterator[Place]:
    embedded = request.param == "lite"
    if embedded:
        uri, token = str(tmp_path_factory.mktemp("lite") / "milvus.db"), ""
    else:
        server = request.getfixturevalue("module_milvus_server")
        uri, token = server.uri, server.token
    shop = Shop(tmp_path_factory.mktemp("shop"), uri, token, mlflow_server.uri)
    with Place.made(shop, f"serving-{uuid.uuid4().hex[:8]}", embedded) as place:
        yield place


@pytest.fixture
def place(two_pairs: Place) -> Place:
    for pair in (two_pairs.first, two_pairs.second):
        two_pairs.store.set_properties(pair, canary.NONE)
    two_pairs.store.point(two_pairs.alias, two_pairs.first)
    two_pairs.open_gates()
    return two_pairs


@pytest.fixture
def searching(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., PairSearcher]]:
    """Makes a searcher of the place's alias, which looks often; all are closed at the end."""
    for name, value in place.shop.environment.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as open_:

        def made(alias: str = place.alias, **how: Any) -> PairSearcher:
            models = how.pop("models", tmp_path / "models")
            return open_.enter_context(PairSearcher(alias, **({"models": models, "backends": place.backends(models), "poll": 0.05} | how)))

        yield made
        place.open_gates()
