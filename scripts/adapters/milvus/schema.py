"""A Layout as Milvus takes it: fields, index parameters, rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pymilvus import CollectionSchema, DataType, MilvusClient
from pymilvus.milvus_client.index import IndexParams

from scripts.layout import COLUMNS_HASH, MAX_ARRAY, MAX_KEY_BYTES, MAX_STRING_BYTES, TEXT_HASH, VECTOR, Column, FieldType, Layout
from scripts.records import Rows

# Well under the 64 MiB that a message may have, beyond which the call dies with a raw RESOURCE_EXHAUSTED.
MAX_BATCH_BYTES = 16 * 1024 * 1024
MAX_BATCH_ROWS = 5_000

_SCALARS: dict[FieldType, dict[str, Any]] = {
    FieldType.INT64: {"datatype": DataType.INT64},
    FieldType.DOUBLE: {"datatype": DataType.DOUBLE},
    FieldType.BOOL: {"datatype": DataType.BOOL},
    FieldType.STRING: {"datatype": DataType.VARCHAR, "max_length": MAX_STRING_BYTES},
    FieldType.JSON: {"datatype": DataType.JSON},
    FieldType.INT64S: {"datatype": DataType.ARRAY, "element_type": DataType.INT64, "max_capacity": MAX_ARRAY},
    FieldType.DOUBLES: {"datatype": DataType.ARRAY, "element_type": DataType.DOUBLE, "max_capacity": MAX_ARRAY},
    FieldType.STRINGS: {"datatype": DataType.ARRAY, "element_type": DataType.VARCHAR, "max_capacity": MAX_ARRAY, "max_length": MAX_STRING_BYTES},
}


def schema(layout: Layout) -> CollectionSchema:
    """Key as primary key (never auto id), vector, the two content hashes, then the columns."""
    built = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    length = {"max_length": MAX_KEY_BYTES} if layout.key.type is FieldType.STRING else {}
    built.add_field(layout.key.name, is_primary=True, **(_SCALARS[layout.key.type] | length))
    built.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=layout.dimension)
    built.add_field(TEXT_HASH, DataType.INT64)
    built.add_field(COLUMNS_HASH, DataType.INT64)
    for column in layout.columns:
        built.add_field(column.name, **_SCALARS[column.type])
    return built


def index_params(layout: Layout) -> IndexParams:
    params = MilvusClient.prepare_index_params()
    params.add_index(VECTOR, index_type=layout.index.type.value, metric_type=layout.index.metric.value, params=layout.index.build_params())
    return params


def slices(layout: Layout, rows: Rows) -> Iterator[slice]:
    """The rows cut into pieces that one message takes, by bytes and by number."""
    weights = np.full(len(rows), layout.dimension * 4 + 64, dtype=np.int64)
    for values in (rows.keys, *(rows.columns[column.name] for column in layout.columns)):
        if rows and isinstance(values[0], (str, list, dict)):
            weights += np.fromiter(map(_bytes, values), dtype=np.int64, count=len(values))
    total = np.cumsum(weights)
    start = 0
    while start < len(rows):
        before = total[start - 1] if start else 0
        fits = int(np.searchsorted(total, before + MAX_BATCH_BYTES, side="right"))
        stop = min(max(fits, start + 1), start + MAX_BATCH_ROWS)
        yield slice(start, stop)
        start = stop


def batches(layout: Layout, rows: Rows, vectors: np.ndarray) -> Iterator[list[dict[str, Any]]]:
    """The rows as MilvusClient.upsert takes them."""
    stored = {layout.key.name: rows.keys} | {column.name: rows.columns[column.name] for column in layout.columns}
    for part in slices(layout, rows):
        batch = [dict(zip(stored, values, strict=True)) for values in zip(*(values[part] for values in stored.values()), strict=True)]
        for row, vector, text, columns in zip(batch, vectors[part], rows.text_hashes[part].tolist(), rows.column_hashes[part].tolist(), strict=True):
            row |= {VECTOR: vector, TEXT_HASH: text, COLUMNS_HASH: columns}
        yield batch


def key_in(key: Column, keys: Sequence[int] | Sequence[str]) -> str:
    """A filter for these keys. Written here because pymilvus pastes `ids=` in without escaping quotes and backslashes (3.0.2)."""
    return f"{key.name} in [{', '.join(literal(value) for value in keys)}]"


def literal(value: int | str) -> str:
    """A value in a filter expression. Both servers read JSON's escapes, but milvus-lite 3.2.2 none for non-ASCII characters."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(int(value))


def _bytes(value: Any) -> int:
    """At most; looking at every character would cost more than the message."""
    return len(value) * 4 if isinstance(value, str) else len(json.dumps(value)) * 4
