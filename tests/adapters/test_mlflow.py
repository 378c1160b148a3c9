"""The contract of ports.Registry on a real MLflow server, and models as they are loaded from it."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from mlflow import MlflowClient

from scripts.adapters.mlflow import MlflowRegistry
from scripts.encoding import Encoder
from scripts.errors import Unreachable, UsageError
from scripts.pair import Embedding
from scripts.ports import ModelVersion
from tests.shop import Shop


@pytest.fixture
def shop(tmp_path, mlflow_server) -> Shop:
    return Shop(tmp_path / "shop", "unused.db", "", mlflow_server.uri)


@pytest.fixture
def registry(mlflow_server) -> MlflowRegistry:
    return MlflowRegistry(mlflow_server.uri)


def test_the_candidate_is_the_version_in_its_stage(shop, registry):
    """And none is a fault that names what there is."""
    shop.stage("words")
    second = shop.stage("initials")
    assert registry.candidate(shop.model, "Staging") == ModelVersion(shop.model, second)
    assert registry.at(shop.model, "Production") is None
    with pytest.raises(UsageError, match=r"has no version at Production in MLflow.*1 \(Archived\), 2 \(Staging\)"):
        registry.candidate(shop.model, "Production")


def test_moving_to_a_stage_archives_who_was_there(shop, registry):
    """So that one version is in production; again changes nothing."""
    first, second = shop.stage("words"), shop.stage("initials")
    for version in (first, second, second):
        registry.move(ModelVersion(shop.model, version), "Production")
        assert registry.at(shop.model, "Production") == version
    assert shop.stage_of(first) == "Archived"


def test_moving_an_alias(shop, registry):
    """`@name` means an alias, there and back."""
    versions = [shop.stage("words"), shop.stage("initials")]
    assert registry.at(shop.model, "@production") is None
    for version in (*versions, *versions[:1]):
        registry.move(ModelVersion(shop.model, version), "@production")
        assert registry.at(shop.model, "@production") == version


def test_tags_of_a_version_are_set_again_without_harm(shop, registry, monkeypatch):
    """The last value counts, one that is too long is cut, other people's tags stay, and what is there already is no event for MLflow's webhooks."""
    version = ModelVersion(shop.model, shop.stage("words"))
    client, sent = MlflowClient(shop.mlflow_uri), []
    client.set_model_version_tag(shop.model, str(version.version), "theirs", "x")
    send = registry._client.set_model_version_tag
    monkeypatch.setattr(registry._client, "set_model_version_tag", lambda *words: (sent.append(words[2]), send(*words)))
    registry.tag(version, {"promotion.pair": "a", "promotion.why": "w" * 200_000})
    registry.tag(version, {"promotion.pair": "a", "promotion.why": "w" * 200_000})
    registry.tag(version, {"promotion.pair": "b"})
    assert client.get_model_version(shop.model, str(version.version)).tags == {"theirs": "x", "promotion.pair": "b", "promotion.why": "w" * 5_000}
    assert sent == ["promotion.pair", "promotion.why", "promotion.pair"]


def test_a_models_digest_is_of_its_own_files(shop, registry, tmp_path):
    """The same version has the same digest wherever it is fetched to, another model another."""
    first, second = shop.stage("words"), shop.stage("initials")
    digests = [
        registry.download(ModelVersion(shop.model, version), tmp_path / folder) for version, folder in ((first, "a"), (first, "b"), (first, "b"), (second, "c"))
    ]
    assert digests[0] == digests[1] == digests[2] != digests[3]
    assert registry.digest(tmp_path / "b") == digests[0]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "shop") == ["a", "b", "c"]


def test_a_pyfunc_has_its_prompt_put_before_each_text(shop, registry, tmp_path):
    """Queries and documents come out differently where the prompts differ."""
    folder = tmp_path / "model"
    registry.download(ModelVersion(shop.model, shop.stage("words")), folder)
    prompted = Encoder(registry.load(folder), Embedding(template="{x}", query_prompt="query "))
    plain = Encoder(registry.load(folder), Embedding(template="{x}"))
    assert np.array_equal(prompted.queries(["sofa"]), plain.queries(["query sofa"]))
    assert np.array_equal(next(prompted.documents(["sofa"], str)).vectors, plain.queries(["sofa"]))


def test_a_model_that_was_never_there(registry):
    """Model and version are named."""
    with pytest.raises(UsageError, match="model no-such-model version 3"):
        registry.version("no-such-model", 3)
    with pytest.raises(UsageError, match="no-such-model"):
        registry.candidate("no-such-model", "Staging")
    with pytest.raises(UsageError, match="model no-such-model version 3"):
        registry.tag(ModelVersion("no-such-model", 3), {"promotion.pair": "a"})


def test_a_dead_address_fails_at_once_and_hides_its_password():
    """Not after minutes of retries."""
    with pytest.raises(Unreachable, match="Nothing answers at MLFLOW_TRACKING_URI") as error:
        MlflowRegistry("http://somebody:hidden-secret@127.0.0.1:9").at("a-model", "Staging")
    assert "hidden-secret" not in str(error.value)


def test_a_server_that_answers_nobody_is_given_up_soon(monkeypatch):
    """It takes the connection and then hangs; MLflow itself would try for three minutes, and a rollback would hold the lock that long."""
    for patience in ("CONNECT_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(f"scripts.adapters.mlflow_connection.{patience}", 0.2)
    monkeypatch.setattr("scripts.adapters.mlflow_connection.MAX_RETRIES", 0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        registry = MlflowRegistry(f"http://127.0.0.1:{silent.getsockname()[1]}")
        for ask in (lambda: registry.at("a-model", "Staging"), lambda: registry.move(ModelVersion("a-model", 1), "Production")):
            with pytest.raises(Unreachable, match="did not answer for its health"):
                ask()
