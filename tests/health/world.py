"""A server with what a look finds: production, a retired pair, one that is being built, a ledger and a stranger's collection."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import numpy as np
from pymilvus import DataType, MilvusClient

from scripts import digests
from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.collection import MilvusCollection
from scripts.adapters.milvus.inspection import MilvusInspection
from scripts.health.report import HealthReport
from scripts.jobs.health import Place
from scripts.jobs.health import health as job
from scripts.pair import Content, Stamp, State
from scripts.records import Rows
from tests.test_pair import stamp

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RETIRED, PRODUCTION, BUILDING, LEDGER, STRANGER = "shop_v1_00000001", "shop_v2_00000002", "shop_v3_00000003", "shop_prod_ledger_1", "stranger"
# 2.3.5 indexes no segment of less than 1,024.
ROWS = 1_200
SERVED = {"content": Content(rows=ROWS, fingerprint="0" * 16, skipped=0, read_at=NOW), "promoted_at": NOW}


def write(store: MilvusStore, name: str, keys: range) -> None:
    texts = [f"text {key}" for key in keys]
    rows = Rows(list(keys), texts, {}, [""] * len(keys), digests.of_keys(keys), digests.of_texts(texts), digests.of_texts(texts))
    store.open(name).write(rows, np.random.default_rng(len(keys)).normal(size=(len(keys), 8)).astype(np.float32))


def build(store: MilvusStore, name: str, made: Stamp, rows: int = ROWS) -> MilvusCollection:
    """Indexed, and not loaded."""
    store.create(name, made.layout, made.properties())
    write(store, name, range(rows))
    collection = store.open(name)
    collection.flush()
    collection.build_index()
    return collection


def furnish(store: MilvusStore) -> None:
    build(store, RETIRED, stamp(**SERVED, retired_at=NOW))
    build(store, PRODUCTION, stamp(**SERVED, state=State.VALIDATED, replaces=RETIRED)).load()
    store.create(BUILDING, stamp().layout, stamp().properties())
    store.point("shop_prod", PRODUCTION)
    store.claim(LEDGER, "0" * 8, {})
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("name", DataType.VARCHAR, is_primary=True, max_length=20)
    schema.add_field("picture", DataType.FLOAT_VECTOR, dim=4)
    store._milvus.call("create_collection", STRANGER, schema=schema)
    store._milvus.call("insert", STRANGER, [{"name": f"n{n}", "picture": [0.1] * 4} for n in range(100)])
    store._milvus._client._get_connection().flush([STRANGER], _async=True)


def place(uri: str, token: str, name: str = "here") -> Place:
    return Place(name, uri, partial(MilvusInspection, uri, token, patience=10.0))


def look(*places: Place, within: float = 60) -> HealthReport:
    return job(places, within=within, now=lambda: NOW)


def found(report: HealthReport, name: str):
    return next(each for each in report.clusters[0].collections if each.seen.name == name)
