"""What a server has loaded, and whether `create` is let in beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.connection import NotPermitted
from scripts.adapters.milvus.occupancy import MilvusOccupancy, memory_of_query_nodes
from scripts.capacity.needs import Shape, need
from scripts.capacity.occupancy import Occupancy, Occupant
from scripts.capacity.policy import CapacitySettings, Policy
from scripts.errors import Refused
from scripts.jobs.capacity_admission import admitted
from scripts.layout import Index, IndexType, Metric
from scripts.pair import Content
from scripts.ports import VectorStore
from scripts.settings import Settings
from tests.retention_world import LAYOUT, World

NOW = timedelta()
OTHER = {"index_type": "IVF_FLAT", "metric_type": "IP", "params": {"nlist": 16}}


@dataclass
class Counted:
    """A source of which nothing but its length is asked."""

    rows: int | None

    def rows_estimate(self) -> int | None:
        return self.rows


@dataclass
class Parts:
    """All that an admission asks for."""

    store: VectorStore
    settings: Settings
    source: Counted
    occupancy: Occupancy
    moment: datetime

    def now(self) -> datetime:
        return self.moment


def parts(world: World, *, rows: int | None = None, **capacity: Any) -> Any:
    return Parts(world.store, world.settings.model_copy(update={"capacity": CapacitySettings(**capacity)}), Counted(rows), MilvusOccupancy(world.store), world.now)


def stamped_rows(world: World, name: str, rows: int) -> None:
    world.store.set_properties(name, world.stamp(name).changes(content=Content(rows=rows, fingerprint="0" * 16, skipped=0, read_at=world.now)))


def foreign(client: MilvusClient, name: str, rows: int, *, vectors: tuple[str, ...], links: int) -> None:
    """A loaded collection that the kit did not make: a string key, a vector or two, an index of each."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("code", DataType.VARCHAR, is_primary=True, max_length=16)
    schema.add_field("price", DataType.FLOAT)
    indexes = MilvusClient.prepare_index_params()
    for field in vectors:
        schema.add_field(field, DataType.FLOAT_VECTOR, dim=16)
        indexes.add_index(field, **({"index_type": "HNSW", "metric_type": "L2", "params": {"M": links, "efConstruction": 64}} if field == "picture" else OTHER))
    client.create_collection(name, schema=schema)
    numbers = np.eye(16, dtype=np.float32)[np.arange(rows) % 16]
    client.insert(name, [{"code": f"{row}", "price": 1.0, **dict.fromkeys(vectors, numbers[row])} for row in range(rows)])
    client.flush(name)
    client.create_index(name, indexes)
    client.load_collection(name)


def test_every_loaded_collection_is_sized_by_its_schema(milvus, tmp_path):
    """Also those that the kit did not make, with each of their vectors; what is not loaded is not there."""
    with MilvusStore(milvus.uri, milvus.token) as store:
        world = World(store, tmp_path)
        pair = world.build(NOW)
        # 2.3.5 has no more than one vector in a collection; milvus-lite does not tell the parameters of an index (3.2.2).
        fields, links = (("picture", "words"), 16) if milvus.kind == "lite" else (("picture",), 8)
        foreign(store._milvus._client, "pictures", 100, vectors=fields, links=links)
        foreign(store._milvus._client, "archive", 10, vectors=fields[:1], links=links)
        store._milvus._client.release_collection("archive")
        held = {each.name: each for each in MilvusOccupancy(store).loaded()}
        assert set(held) == {pair, "pictures"}
        assert (held[pair].rows, held[pair].shapes) == (0, (Shape.of(LAYOUT),))
        picture = Shape(16, Index(metric=Metric.L2, params={"M": links}), columns=4, key=64)
        words = Shape(16, Index(type=IndexType.IVF_FLAT, metric=Metric.IP, params={"nlist": 16}), columns=0, key=64)
        others = int(need(words, 100).index.memory) if len(fields) == 2 else 0
        assert (held["pictures"].rows, held["pictures"].replicas) == (100, 1)
        assert held["pictures"].memory == need(picture, 100).memory + others


def test_a_server_tells_the_memory_of_its_query_nodes(empty_milvus_server):
    """One of a standalone; milvus-lite tells none, see below."""
    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as store:
        (memory,) = MilvusOccupancy(store).query_nodes()
    pages = {line.split(":")[0]: line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines()}
    assert 2**30 < memory <= int(pages["MemTotal"]) * 1024


@pytest.mark.parametrize(
    ("told", "memory"),
    [
        ({"nodes_info": [{"infos": {"type": "querynode", "hardware_infos": {"memory": 7}}}, {"infos": {"type": "proxy", "hardware_infos": {"memory": 9}}}]}, (7,)),
        ({"nodes_info": [{"infos": {"type": "querynode", "has_error": True}}, {"infos": {"type": "querynode", "hardware_infos": {"memory": 0}}}]}, ()),
        *((odd, ()) for odd in ({}, [], None, "x", {"nodes_info": None}, {"nodes_info": [{}]}, {"nodes_info": [{"infos": None}]}, {"nodes_info": 7})),
        ({"nodes_info": [{"infos": {"type": "querynode", "hardware_infos": {"memory": "much"}}}]}, ()),
    ],
)
def test_what_a_server_says_of_its_nodes_breaks_nothing(told, memory):
    """Nodes that tell an error, other kinds of nodes, and answers of another form: then it is not known what there is."""
    assert memory_of_query_nodes(json.dumps(told)) == memory and memory_of_query_nodes("<html>") == ()


def test_a_collection_that_this_user_may_not_see_keeps_nobody_from_building(tmp_path):
    """It is there, without a size; all others are sized as ever."""
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        world = World(store, tmp_path)
        pair, hidden = world.build(NOW), world.build(NOW + timedelta(days=1))
        occupancy = MilvusOccupancy(store)
        ask = occupancy._held

        def held(name: str) -> Occupant:
            if name == hidden:
                raise NotPermitted("no", privilege="DescribeCollection")
            return ask(name)

        occupancy._held = held
        found = {each.name: each for each in occupancy.loaded()}
    assert found[hidden] == Occupant(hidden, 0, ()) and found[pair].shapes == (Shape.of(LAYOUT),)


def test_create_is_let_in_by_what_is_loaded_and_what_should_be(tmp_path):
    """Production counts although somebody has released it; with neither source nor production nobody knows the rows."""
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        world = World(store, tmp_path)
        assert admitted(parts(world, rows=10, policy=Policy.WARN), LAYOUT) is None  # milvus-lite has no query nodes
        assert admitted(parts(world, rows=10**9, query_nodes="2Gi", policy=Policy.OFF), LAYOUT) is None
        assert admitted(parts(world, query_nodes="64Gi"), LAYOUT).holds is None
        assert "query_nodes" in admitted(parts(world, rows=10, query_nodes="auto"), LAYOUT).line
        name = world.build(NOW)
        stamped_rows(world, name, 100_000_000)
        world.judge(name, True, NOW)
        world.promote(name, NOW)
        assert admitted(parts(world, query_nodes="64Gi"), LAYOUT).line.count("100,000,000 rows (as production has)") == 1
        store.open(name).release()
        pair = need(Shape.of(LAYOUT), 100_000_000).memory
        nodes = f"{int((pair * 1.5) / 0.9) // 2**30 + 4}Gi"
        with pytest.raises(Refused, match=name):
            admitted(parts(world, query_nodes=nodes), LAYOUT)
        assert admitted(parts(world, rows=1_000_000, query_nodes=nodes), LAYOUT).holds
        assert admitted(parts(world, query_nodes=nodes, policy=Policy.WARN), LAYOUT).line.startswith("warning: ")
