"""What a collection looks like: its fields, its index and how it is searched."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

VECTOR = "vector"
TEXT_HASH = "text_hash"
COLUMNS_HASH = "columns_hash"
RESERVED = (VECTOR, TEXT_HASH, COLUMNS_HASH)

FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")  # holds on every Milvus since 2.3.5

MAX_STRING_BYTES = 65_535  # VARCHAR's own limit
MAX_KEY_BYTES = 1_024
MAX_ARRAY = 1_024


class FieldType(StrEnum):
    """Types of source columns. Dates and times are strings in ISO 8601, moments in UTC, which sort and filter as they should."""

    INT64 = "int64"
    DOUBLE = "double"
    BOOL = "bool"
    STRING = "string"
    INT64S = "int64[]"
    DOUBLES = "double[]"
    STRINGS = "string[]"
    JSON = "json"


class IndexType(StrEnum):
    HNSW = "HNSW"
    IVF_FLAT = "IVF_FLAT"
    IVF_SQ8 = "IVF_SQ8"
    IVF_PQ = "IVF_PQ"
    DISKANN = "DISKANN"
    FLAT = "FLAT"
    AUTOINDEX = "AUTOINDEX"


class Metric(StrEnum):
    COSINE = "COSINE"
    IP = "IP"
    L2 = "L2"


class Consistency(StrEnum):
    STRONG = "Strong"
    BOUNDED = "Bounded"
    SESSION = "Session"
    EVENTUALLY = "Eventually"


# A setting below these finds nothing useful to search with, so each type has its documented default.
_BUILD_DEFAULTS: dict[IndexType, dict[str, Any]] = {
    IndexType.HNSW: {"M": 16, "efConstruction": 200},
    IndexType.IVF_FLAT: {"nlist": 1024},
    IndexType.IVF_SQ8: {"nlist": 1024},
    IndexType.IVF_PQ: {"nlist": 1024, "m": 8, "nbits": 8},
}
_SEARCH_DEFAULTS: dict[IndexType, dict[str, Any]] = {
    IndexType.HNSW: {"ef": 64},
    IndexType.IVF_FLAT: {"nprobe": 32},
    IndexType.IVF_SQ8: {"nprobe": 32},
    IndexType.IVF_PQ: {"nprobe": 32},
    IndexType.DISKANN: {"search_list": 100},
}
# These candidate lists must be at least as long as the answer, or Milvus refuses the search.
_AT_LEAST_LIMIT = {IndexType.HNSW: "ef", IndexType.DISKANN: "search_list"}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Index(_Frozen):
    """Index type, metric and parameters, with the search parameters beside them."""

    type: IndexType = IndexType.HNSW
    metric: Metric = Metric.COSINE
    params: dict[str, int] = Field(default_factory=dict)
    search: dict[str, int] = Field(default_factory=dict)

    def build_params(self) -> dict[str, int]:
        return _BUILD_DEFAULTS.get(self.type, {}) | self.params

    def search_params(self, limit: int) -> dict[str, int]:
        """Parameters for an answer of `limit` hits; a list shorter than that is lengthened to it."""
        params = _SEARCH_DEFAULTS.get(self.type, {}) | self.search
        if (name := _AT_LEAST_LIMIT.get(self.type)) and params[name] < limit:
            params[name] = limit
        return params


class Column(_Frozen):
    name: str
    type: FieldType


class Layout(_Frozen):
    """Everything that is fixed when a collection is created."""

    key: Column
    columns: tuple[Column, ...]
    dimension: int
    index: Index
    consistency: Consistency = Consistency.BOUNDED
