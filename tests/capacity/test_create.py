"""`create` asks, before hours of embedding, whether the promotion of what it makes would fit."""

from __future__ import annotations

import pytest

from tests.shop import Shop, refusal

# Where the configuration names the nodes, nothing depends on the kind of Milvus.
on_lite = pytest.mark.parametrize("milvus", ["lite"], indirect=True)
TOO_SMALL, LARGE = "1138Mi", "4x64Gi"  # nine tenths of the first are a node's own GiB, and 200 kB


@pytest.fixture
def empty(tmp_path, milvus, mlflow_server) -> Shop:
    made = Shop(tmp_path / "shop", milvus.uri, milvus.token, mlflow_server.uri)
    made.stage("words")
    return made


@pytest.fixture
def shop(empty) -> Shop:
    """With a production, which says how many rows there will be: of a CSV file nobody knows before it is read."""
    empty.promote("words")
    empty.stage("words")
    return empty


@on_lite
def test_rows_that_nobody_knows_of_refuse_nothing(empty):
    """A first pair of a CSV file: it is said that nothing was checked."""
    empty.configure(capacity={"query_nodes": TOO_SMALL})
    found = empty.do("create")["capacity"]
    assert found["fits"] is None and "neither the source nor production says" in found["says"]


@on_lite
def test_what_the_cluster_has_is_held_against_what_a_promotion_takes(shop):
    """Refused where it does not fit, before anything is made; built with a warning where that is the policy; not asked where it is off."""
    shop.configure(capacity={"query_nodes": TOO_SMALL})
    line = refusal(shop.run("create", "--build-id", "one"), 4)
    assert "The promotion would not fit" in line and "capacity.policy: warn" in line
    assert len(shop.do("status")["pairs"]) == 1
    shop.configure(capacity={"query_nodes": TOO_SMALL, "policy": "warn"})
    warned = shop.run("create", "--build-id", "two")
    assert warned.exit_code == 0 and "warning: The promotion would not fit" in warned.stdout
    shop.configure(capacity={"query_nodes": TOO_SMALL, "policy": "off"})
    assert shop.do("create", "--build-id", "three")["capacity"] is None
    shop.configure(capacity={"query_nodes": LARGE})
    assert shop.do("create", "--build-id", "four")["capacity"]["fits"] is True


def test_a_server_is_asked_where_nobody_said_what_it_has(shop, milvus):
    """The real one tells the memory of its query nodes; of milvus-lite, which has none, nothing is said."""
    found = shop.do("create")["capacity"]
    assert found is None if milvus.kind == "lite" else found["fits"] is True


@on_lite
def test_a_pair_that_is_there_is_found_again_whatever_the_cluster_has(shop):
    """It was admitted when it was made."""
    first = shop.do("create", "--build-id", "one")
    shop.configure(capacity={"query_nodes": TOO_SMALL})
    again = shop.do("create", "--build-id", "one")
    assert (again["pair"], again["found_again"]) == (first["pair"], True)
