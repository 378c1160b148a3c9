"""What a Milvus has loaded, and the memory of its query nodes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pymilvus import DataType
from pymilvus.grpc_gen import milvus_pb2

from scripts.adapters.milvus.connection import RETRY_SECONDS, NotPermitted
from scripts.adapters.milvus.inspection import load_of
from scripts.adapters.milvus.store import MilvusStore
from scripts.capacity.needs import OF_UNKNOWN_LENGTH, Shape
from scripts.capacity.occupancy import Occupant
from scripts.errors import KitError, Refused
from scripts.health.seen import Load
from scripts.layout import COLUMNS_HASH, TEXT_HASH, Index, IndexType, Metric
from scripts.pair import Stamp

_WIDTHS = {DataType.BOOL: 1, DataType.INT8: 1, DataType.INT16: 2, DataType.INT32: 4, DataType.INT64: 8, DataType.FLOAT: 4, DataType.DOUBLE: 8}
# Bytes of a vector's number. Sparse vectors are not sized: how long they are, only reading them tells.
_OF_A_NUMBER = {DataType.FLOAT_VECTOR: 4.0, DataType.FLOAT16_VECTOR: 2.0, DataType.BFLOAT16_VECTOR: 2.0, DataType.BINARY_VECTOR: 1 / 8}
_SIZED = ("M", "nlist", "m", "nbits")
# Of thousands of collections each is a call or seven, which wait beside each other.
LOOKS_AT_ONCE = 16


class MilvusOccupancy:
    """Implements capacity.occupancy.Occupancy, over the store's connection. An index that the kit does not know counts as HNSW; of an
    index that is not the kit's, milvus-lite does not tell the parameters (3.2.2)."""

    def __init__(self, store: MilvusStore) -> None:
        self._milvus = store._milvus

    def loaded(self) -> list[Occupant]:
        names = sorted(self._milvus.call("list_collections"))
        with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
            return [held for held in pool.map(self._look, names) if held]

    def query_nodes(self) -> tuple[int, ...]:
        if self._milvus.embedded:
            return ()
        try:
            return memory_of_query_nodes(self._milvus.patiently("get metrics", "", self._system))
        except KitError:
            return ()  # a hosted Milvus keeps it to itself; one that is gone is noticed by the next call

    def _system(self) -> str:
        """Empty where this pymilvus does not have what it takes to ask."""
        request = milvus_pb2.GetMetricsRequest(request=json.dumps({"metric_type": "system_info"}))
        wire = self._milvus.wire
        return wire.send("GetMetrics", request, RETRY_SECONDS).response if wire else ""

    def _look(self, name: str) -> Occupant | None:
        """None where it is not loaded, or was dropped during the look. Without a size where this user may not see it."""
        try:
            loaded = load_of(self._milvus.call("get_load_state", name)) in (Load.LOADED, Load.LOADING)
            return self._held(name) if loaded else None
        except NotPermitted:
            return Occupant(name, 0, ())
        except Refused:
            if self._milvus.call("has_collection", name):
                raise
            return None

    def _held(self, name: str) -> Occupant:
        described = self._milvus.call("describe_collection", name)
        stamp = _stamp(name, described)
        return Occupant(
            name=name,
            rows=int(self._milvus.call("get_collection_stats", name)["row_count"]),
            shapes=(Shape.of(stamp.layout),) if stamp else tuple(_shapes(described["fields"], self._indexes(name))),
            replicas=1 if self._milvus.embedded else max(1, len(self._milvus.call("describe_replica", name))),
        )

    def _indexes(self, name: str) -> dict[str, Index]:
        """By the field that each is of."""
        told = (self._milvus.call("describe_index", name, index) for index in self._milvus.call("list_indexes", name))
        return {index["field_name"]: _index(index) for index in told if index}


def memory_of_query_nodes(told: str) -> tuple[int, ...]:
    """Of the answer to `system_info` (2.3.5). Empty where it is not as expected: nobody is kept from building by what a server says of itself."""
    try:
        nodes = [node["infos"] for node in json.loads(told or "{}").get("nodes_info") or ()]
        sizes = [int(node["hardware_infos"]["memory"]) for node in nodes if node.get("type") == "querynode" and node.get("hardware_infos")]
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()
    return tuple(size for size in sizes if size > 0)


def _stamp(name: str, described: dict[str, Any]) -> Stamp | None:
    """None of what is not the kit's, and of a stamp that nobody can read."""
    try:
        return Stamp.read(name, dict(described.get("properties", {})))
    except Refused:
        return None


def _shapes(fields: list[dict[str, Any]], indexes: dict[str, Index]) -> list[Shape]:
    key = next((_width(field) for field in fields if field.get("is_primary")), 8)
    columns = sum(_width(field) for field in fields if not field.get("is_primary") and field["name"] not in (TEXT_HASH, COLUMNS_HASH) and not _is_vector(field))
    shapes = []
    for field in fields:
        if (size := _OF_A_NUMBER.get(DataType(field["type"]))) is not None:
            dimension = max(1, round(int(field["params"]["dim"]) * size / 4))
            index = indexes.get(field["name"], Index(type=IndexType.FLAT))
            shapes.append(Shape(dimension, index, columns if not shapes else 0, key))
    return shapes


def _is_vector(field: dict[str, Any]) -> bool:
    return DataType(field["type"]).name.endswith("VECTOR")


def _width(field: dict[str, Any]) -> int:
    return _WIDTHS.get(DataType(field["type"]), OF_UNKNOWN_LENGTH)


def _index(described: dict[str, Any]) -> Index:
    kind, metric = str(described.get("index_type", "")), str(described.get("metric_type", "")).upper()
    params = {name: int(described[name]) for name in _SIZED if str(described.get(name, "")).isdigit()}
    return Index(
        type=IndexType(kind) if kind in IndexType.__members__ else IndexType.HNSW,
        metric=Metric(metric) if metric in Metric.__members__ else Metric.L2,
        params=params,
    )
