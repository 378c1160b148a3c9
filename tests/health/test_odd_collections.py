"""Collections that the kit would not make: without an index, with vectors in several fields or partitions, indexed by a scalar as well."""

from __future__ import annotations

import time

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

from scripts.adapters.milvus import MilvusStore
from scripts.health.indexes import Judgment
from scripts.health.seen import Load
from scripts.health.statuses import Status
from tests.conftest import MilvusAddress
from tests.health.world import found, look, place

ROWS = 2_000
SETTLED_WITHIN_SECONDS = 120


def make(client: MilvusClient, name: str, *vectors: str, partitions: tuple[str, ...] = ()) -> None:
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("kind", DataType.VARCHAR, max_length=10)
    for vector in vectors:
        schema.add_field(vector, DataType.FLOAT_VECTOR, dim=4)
    client.create_collection(name, schema=schema)
    for partition in partitions:
        client.create_partition(name, partition)
    values = np.random.default_rng(1).normal(size=(ROWS, 4)).astype(np.float32)
    client.insert(name, [{"id": key, "kind": "a", **dict.fromkeys(vectors, value)} for key, value in enumerate(values)])
    client._get_connection().flush([name], _async=True)


def index(client: MilvusClient, name: str, *fields: str) -> None:
    params = client.prepare_index_params()
    for field in fields:
        if field == "kind":
            params.add_index(field, index_type="Trie", index_name="by_kind")
        else:
            params.add_index(field, index_type="HNSW", metric_type="L2", params={"M": 8, "efConstruction": 64})
    client.create_index(name, params)


@pytest.fixture(scope="module", params=["lite", pytest.param("server", marks=pytest.mark.server)])
def address(request, tmp_path_factory):
    """A Milvus with what this file is about, each with an alias."""
    if request.param == "lite":
        there = MilvusAddress("lite", str(tmp_path_factory.mktemp("odd") / "milvus.db"), "")
    else:
        server = request.getfixturevalue("module_milvus_server")
        there = MilvusAddress("server", server.uri, server.token)
    with MilvusStore(there.uri, there.token) as store:
        client = store._milvus._client
        make(client, "bare", "picture")
        make(client, "parted", "picture", partitions=("one", "two"))
        index(client, "parted", "picture")
        if there.kind == "lite":  # 2.3.5 takes one vector field
            make(client, "twofold", "picture", "sound")
            index(client, "twofold", "picture")
        else:
            make(client, "scalar", "picture")
            index(client, "scalar", "picture", "kind")
            client.load_collection("scalar", _async=True)
        for name in client.list_collections():
            client.create_alias(name, f"{name}_prod")
    yield there


def seen(address, name):
    return found(look(place(address.uri, address.token)), name)


def test_a_collection_without_an_index_that_serves_is_an_error(address):
    """No index is judged; the reason names the field."""
    each = seen(address, "bare")
    assert (each.indexes, each.status, each.state) == ((), Status.ERROR, None)
    assert any("picture has no index" in finding.reason for finding in each.findings)


def test_partitions_are_told_by_name(address):
    """The default one among them."""
    assert set(seen(address, "parted").seen.partitions) == {"_default", "one", "two"}


def test_of_several_vector_fields_each_has_its_own_judgment(address):
    """And one without an index makes it red, though the other has one. On the server an index of a scalar field beside that of the vector: a segment
    names either of them, so the counters decide."""
    if address.kind == "lite":
        each = seen(address, "twofold")
        assert [(one.index.field, one.judgment, one.coverage) for one in each.indexes] == [("picture", Judgment.COMPLETED, 100)]
        assert (each.status, each.seen.load) == (Status.ERROR, Load.LOADED) and "sound has no index" in each.findings[0].reason
        with MilvusStore(address.uri) as store:
            index(store._milvus._client, "twofold", "sound")
        each = seen(address, "twofold")
        assert {one.index.field: one.coverage for one in each.indexes} == {"picture": 100, "sound": 100} and each.status is Status.HEALTHY
        return
    until = time.monotonic() + SETTLED_WITHIN_SECONDS
    while (each := seen(address, "scalar")).status is not Status.HEALTHY:  # being loaded, sealed and indexed
        assert time.monotonic() < until, str(each.seen)
        assert each.seen.load is not Load.LOADED or any(one.judgment is not Judgment.COMPLETED for one in each.indexes)
    assert {one.index.field: (one.index.type, one.judgment, one.coverage) for one in each.indexes} == {
        "picture": ("HNSW", Judgment.COMPLETED, 100),
        "kind": ("Trie", Judgment.COMPLETED, 100),
    }
