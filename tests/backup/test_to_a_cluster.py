"""The road from a laptop to a cluster, and the way back from a loss there, with the real commands and a real MLflow."""

from __future__ import annotations

import pytest

from scripts.adapters.milvus import MilvusStore
from tests.shop import Shop, refusal


@pytest.fixture(scope="module")
def moved(tmp_path_factory, module_milvus_server, mlflow_server):
    """The cluster, the folder of each pair's backup by its name, and what production found on the laptop."""
    path = tmp_path_factory.mktemp("road")
    laptop = Shop(path / "laptop", str(path / "milvus.db"), "", mlflow_server.uri)
    folders = {laptop.promote("initials"): path / "first", laptop.promote("words"): path / "second"}
    first, second = folders
    laptop.do("backup", "--pair", first, "--to", str(folders[first]))
    assert laptop.do("backup", "--pair", "production", "--to", str(folders[second]))["pair"] == second
    yield Shop(path / "cluster", module_milvus_server.uri, module_milvus_server.token, mlflow_server.uri, laptop.model), folders, scores(laptop)


def scores(shop: Shop) -> list[float]:
    """Of the best ten; which of several equal products these are is nobody's business."""
    return [round(hit["score"], 4) for hit in shop.do("search", "red sofa")["hits"]]


def test_a_service_moves_from_a_laptop_to_a_cluster(moved):
    """Production and its predecessor are backed up on milvus-lite and restored on the server. What was decided on the laptop counts for nothing there: each
    is validated and promoted anew, on the cluster's own evidence."""
    cluster, folders, asked = moved
    for pair, folder in folders.items():
        restored = cluster.do("restore", str(folder))
        assert (restored["pair"], restored["rows"]) == (pair, 150)
    for found in cluster.do("status")["pairs"]:
        assert (found["state"], found["verdict"], found["evidence"], found["replaces"], found["aliases"]) == ("built", "", "", "", [])
    for pair in folders:
        assert "is built, not validated" in refusal(cluster.run("promote", "--pair", pair), 4)
        cluster.do("validate", "--pair", pair)
        cluster.do("promote", "--pair", pair)
    second = list(folders)[-1]
    assert cluster.production() == second and scores(cluster) == asked
    assert "was restored from this backup before, and is production now" in cluster.run("restore", str(folders[second])).stdout


def test_a_lost_production_comes_back(moved):
    """Somebody drops its collection by hand, past the kit, and the alias dangles. Its predecessor, which came from a backup as well, takes over by a
    rollback. What is restored is nobody's production before it is validated and promoted again; then searches find what they did."""
    cluster, folders, asked = moved
    first, second = folders
    assert cluster.production() == second
    with MilvusStore(cluster.milvus_uri, cluster.milvus_token) as store:
        store._milvus.call("drop_collection", second)
    assert cluster.production() is None
    cluster.do("rollback", "--to", first, "--reason", "its collection was dropped")
    cluster.do("restore", str(folders[second]))
    assert cluster.production() == first
    assert "never production nor validated" in refusal(cluster.run("rollback", "--to", second), 4)
    cluster.do("validate", "--pair", second)
    cluster.do("promote", "--pair", second)
    assert cluster.production() == second and scores(cluster) == asked
