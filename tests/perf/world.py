"""A server with what is measured: a pair with an alias, one without rows, and collections of strangers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from click.testing import CliRunner, Result
from pymilvus import DataType, MilvusClient

from scripts import digests
from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.searching import MilvusSearched
from scripts.endings import Commands
from scripts.layout import Column, FieldType, Index, Layout
from scripts.pair import Content, State
from scripts.perf_commands import perf
from scripts.records import Rows
from tests.conftest import MilvusAddress
from tests.test_pair import stamp

PAIR, ALIAS, EMPTY = "shop_v2_00000002", "shop_prod", "shop_v3_00000003"
# The last has both of their fields, which 2.3.5 does not take.
LISTS, FLAT, BOTH = "stranger_lists", "stranger_flat", "stranger_both"
ROWS, DIMENSION = 4_000, 64
# A graph so thin that it misses neighbours: recall has something to show.
INDEX = Index(params={"M": 4, "efConstruction": 8}, search={"ef": 32})
LAYOUT = Layout(key=Column(name="id", type=FieldType.INT64), columns=(Column(name="price", type=FieldType.INT64),), dimension=DIMENSION, index=INDEX)
STRANGERS = 1_500
SHAPE = {"index_type": "IVF_FLAT", "metric_type": "L2", "params": {"nlist": 32}}
COLOUR = {"index_type": "FLAT", "metric_type": "IP"}


def vectors(count: int = ROWS, dimension: int = DIMENSION, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def furnish(store: MilvusStore) -> None:
    make_pair(store)
    store.point(ALIAS, PAIR)
    _strange(store, LISTS, {"shape": SHAPE})
    if store._milvus.embedded:  # what the real server does not answer in a way of its own
        store.create(EMPTY, LAYOUT, stamp(layout=LAYOUT).properties())
        store.open(EMPTY).build_index()
        store.open(EMPTY).load()
        _strange(store, FLAT, {"colour": COLOUR})
        _strange(store, BOTH, {"shape": SHAPE, "colour": COLOUR})


def make_pair(store: MilvusStore, rows: int = ROWS) -> None:
    whole = Content(rows=rows, fingerprint="0" * 16, skipped=0, read_at=datetime(2026, 11, 21, tzinfo=UTC))
    store.create(PAIR, LAYOUT, stamp(layout=LAYOUT, content=whole, state=State.VALIDATED).properties())
    collection = store.open(PAIR)
    keys = list(range(rows))
    hashes = digests.of_texts(map(str, keys))
    collection.write(Rows(keys, [""] * rows, {"price": keys}, [""] * rows, digests.of_keys(keys), hashes, hashes), vectors(rows))
    for step in (collection.flush, collection.build_index, collection.load):
        step()


def _strange(store: MilvusStore, name: str, fields: dict[str, dict[str, Any]]) -> None:
    """Strings as keys, nothing of the kit's."""
    milvus, schema, params = store._milvus, MilvusClient.create_schema(auto_id=False), MilvusClient.prepare_index_params()
    schema.add_field("name", DataType.VARCHAR, is_primary=True, max_length=20)
    columns = {field: vectors(STRANGERS, 16) for field in fields}
    for field, index in fields.items():
        schema.add_field(field, DataType.FLOAT_VECTOR, dim=16)
        params.add_index(field, **index)
    milvus.call("create_collection", name, schema=schema)
    milvus.call("insert", name, [{"name": f"näme '{n}"} | {field: columns[field][n] for field in fields} for n in range(STRANGERS)])
    milvus.call("flush", name, timeout=None)
    milvus.call("create_index", name, params)
    milvus.call("load_collection", name, timeout=None)


def add_strangers(store: MilvusStore, count: int) -> None:
    """As somebody's service does, who never flushes."""
    store._milvus.call("insert", LISTS, [{"name": f"later {n}", "shape": vector} for n, vector in enumerate(vectors(count, 16, seed=6))])


@contextlib.contextmanager
def opened(address: MilvusAddress, name: str = PAIR, field: str = "") -> Iterator[MilvusSearched]:
    with MilvusStore(address.uri, address.token) as store:
        yield MilvusSearched(store, name, field)


def run(address: MilvusAddress, *words: str) -> Result:
    """The command, as it ends for a user."""
    group = Commands("kit", commands={"perf": perf})
    return CliRunner().invoke(group, ["perf", *words], env={"MILVUS_URI": address.uri, "MILVUS_TOKEN": address.token})
