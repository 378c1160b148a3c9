"""A collection under load: searches sent as MilvusClient sends them, each once.

MilvusClient repeats a search that failed for as long as it may, and makes an object of each hit; both would be measured with it (pymilvus 3.0.2).
So the request is made by pymilvus, once, and each search sends it with another vector. All workers share the store's connection. What either gains or
costs is measured by `python -m benchmarks.perf`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from pymilvus import DataType
from pymilvus.exceptions import ErrorCode

from scripts.adapters.milvus.collection import SMALLEST_INDEXED_SEGMENT
from scripts.adapters.milvus.connection import RETRY_SECONDS, NotPermitted
from scripts.adapters.milvus.raw import Wire, vectors_of
from scripts.adapters.milvus.schema import key_in, literal
from scripts.adapters.milvus.store import MilvusStore
from scripts.addresses import shown
from scripts.errors import Refused, Unreachable, UsageError
from scripts.layout import MAX_KEY_BYTES, Column, FieldType, Metric
from scripts.pair import Stamp
from scripts.perf.ports import Key, Question, Search, SearchFailed, Searching, Target

PAGE_ROWS, PAGE_BYTES = 16_384, 8 << 20
KEYS_PER_QUERY = 1_000
QUERIES_PER_SEARCH = 50
# What MilvusClient sends for a search at the collection's own consistency, where this process has not written (pymilvus 3.0.2).
_OWN_CONSISTENCY = {"use_default_consistency": True, "guarantee_timestamp": 1}
_KEYS = {DataType.INT64: FieldType.INT64, DataType.VARCHAR: FieldType.STRING}


class MilvusSearched:
    """Implements perf.ports.Searched, over the store's connection.

    Raises, when made, Refused where there is no such collection or it cannot be searched, and UsageError where it has to be said which vector field
    is meant.
    """

    def __init__(self, store: MilvusStore, name: str, field: str = "") -> None:
        self._store = store
        self._milvus = store._milvus
        if not self._milvus.call("has_collection", name):
            raise Refused(f"There is no collection or alias {name} on this server.", hint="`health` lists them.")
        self.target = _target(self._milvus, name, field)
        wire = self._milvus.wire
        if wire is None:
            raise Refused("This pymilvus keeps its messages in another way: nothing can be measured through it.", hint="The kit is made for 3.0.2.")
        self._wire: Wire = wire

    def searching(self, vectors: np.ndarray, timeout: float) -> Searching:
        placeholders = [self._placeholder(vector) for vector in vectors]

        def asking(question: Question) -> Search:
            template = self._request(vectors[:1], question)

            def search(number: int) -> list[Key]:
                request = self._wire._milvus.SearchRequest()
                request.CopyFrom(template)
                request.placeholder_group = placeholders[number]
                return _keys(self._once("Search", request, timeout).results.ids)

            return search

        return asking

    def answers(self, vectors: np.ndarray, question: Question) -> list[list[Key]]:
        found: list[list[Key]] = []
        for start in range(0, len(vectors), QUERIES_PER_SEARCH):
            request = self._request(vectors[start : start + QUERIES_PER_SEARCH], question)
            results = self._milvus.patiently("search", self.target.name, partial(self._wire.ask, "Search", request, RETRY_SECONDS)).results
            keys, at = _keys(results.ids), 0
            for hits in results.topks:
                found.append(keys[at : at + hits])
                at += hits
        return found

    def nothing(self) -> None:
        self._once("GetVersion", self._wire._milvus.GetVersionRequest(), RETRY_SECONDS)

    def is_loaded(self) -> bool:
        return str(self._milvus.call("get_load_state", self.target.name)["state"]) == "Loaded"

    def count(self, where: str = "") -> int:
        return int(self._milvus.call("query", self.target.name, filter=where, output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"])

    def unindexed(self, rows: int) -> int:
        if self.target.index == "FLAT":
            return 0
        if self._milvus.embedded:
            return int(_index(self._milvus, self.target.name, self.target.field).get("pending_index_rows") or 0)
        try:
            segments = self._milvus.call("list_loaded_segments", self.target.name)
        except NotPermitted:
            return 0
        # Those that are still written to are not among them (2.3.5), and small ones never have an index.
        bare = sum(each.num_rows for each in segments if not each.index_name and each.num_rows >= SMALLEST_INDEXED_SEGMENT)
        return bare + max(0, rows - sum(each.num_rows for each in segments))

    def keys(self) -> Iterator[list[Key]]:
        for keys, _ in self._pages("", [], PAGE_ROWS):
            yield keys

    def rows(self, where: str = "") -> Iterator[tuple[list[Key], np.ndarray]]:
        target = self.target
        for keys, found in self._pages(where, [target.field], self._rows_at_once()):
            yield keys, vectors_of(found[target.field], target.dimension)

    def vectors(self, keys: Sequence[Key]) -> dict[Key, np.ndarray]:
        target = self.target
        found: dict[Key, np.ndarray] = {}
        step = min(KEYS_PER_QUERY, self._rows_at_once())
        for start in range(0, len(keys), step):
            columns = self._columns(key_in(target.key, keys[start : start + step]), [target.key.name, target.field])
            if columns:
                found |= zip(columns[target.key.name], vectors_of(columns[target.field], target.dimension), strict=True)
        return found

    def _rows_at_once(self) -> int:
        """Of which the vectors are well under the 64 MiB of a message, whatever their dimension."""
        weight = 4 * self.target.dimension + 64 + (MAX_KEY_BYTES if self.target.key.type is FieldType.STRING else 0)
        return max(1, min(PAGE_ROWS, PAGE_BYTES // weight))

    def pointed_to(self) -> str | None:
        return self._store.target(self.target.alias)

    def is_gone(self, seconds: float) -> bool:
        request = self._wire._milvus.DescribeCollectionRequest(collection_name=self.target.name)
        try:
            status = self._wire.send("DescribeCollection", request, seconds).status
        except grpc.RpcError:
            return False
        return status.code == ErrorCode.COLLECTION_NOT_FOUND  # error_code is 4 of milvus-lite (3.2.2) and 1 of 2.3.5

    def _request(self, vectors: np.ndarray, question: Question) -> Any:
        """As MilvusClient makes it: keys and scores, no other fields."""
        from pymilvus.client.prepare import Prepare

        target = self.target
        how = {"metric_type": target.metric.value, "params": dict(question.params)}
        return Prepare.search_requests_with_expr(
            target.name, target.field, how, question.k, data=list(vectors), expr=question.where, output_fields=[], **_OWN_CONSISTENCY
        )

    def _placeholder(self, vector: np.ndarray) -> bytes:
        """The vector as pymilvus packs it, which takes it long."""
        common = self._wire._common
        value = common.PlaceholderValue(tag="$0", type=common.PlaceholderType.FloatVector, values=[vector.astype("<f4").tobytes()])
        return common.PlaceholderGroup(placeholders=[value]).SerializeToString()

    def _once(self, call: str, request: Any, timeout: float) -> Any:
        try:
            answer = self._wire.send(call, request, timeout)
        except grpc.RpcError as error:
            raise SearchFailed(_kind(error)) from None
        status = answer.status
        if status.code or status.error_code:
            raise SearchFailed(f"{status.code or status.error_code}: {_alike(status.reason)[:120]}")
        return answer

    def _pages(self, where: str, fields: list[str], page: int) -> Iterator[tuple[list[Key], dict[str, Any]]]:
        """Rows that match in order of keys. They are read without waiting for the latest writes; whoever wants those has counted before (2.3.5)."""
        key, after = self.target.key, None
        while True:
            found = self._columns(_beyond(key, after, where), [key.name, *fields], page=page)
            keys = list(found.get(key.name, ()))
            if not keys:
                return
            yield keys, found
            after = keys[-1]

    def _columns(self, where: str, fields: list[str], page: int = 0) -> dict[str, Any]:
        query = partial(self._wire.query, self.target.name, where, fields, RETRY_SECONDS, page=page)
        return self._milvus.patiently("query", self.target.name, query)


def refuse_missing_file(uri: str) -> None:
    """Opening a milvus-lite file would make it."""
    if "://" not in uri and not Path(uri).exists():
        raise Unreachable(f"There is no milvus-lite file {shown(uri)}.", hint="Is MILVUS_URI set?")


def _target(milvus: Any, name: str, field: str) -> Target:
    described = milvus.call("describe_collection", name)
    collection = described["collection_name"]
    chosen = _vector_field(described["fields"], collection, field)
    index = _index(milvus, collection, chosen["name"])
    metric = str(index.get("metric_type", "")).upper()
    if metric not in tuple(Metric):
        raise Refused(f"The index of {collection}.{chosen['name']} is of metric {metric or 'unknown'}; only COSINE, IP and L2 can be measured.")
    key = next(each for each in described["fields"] if each.get("is_primary"))
    try:
        stamp, unstamped = Stamp.read(collection, dict(described.get("properties", {}))), "it is not the kit's"
    except Refused as error:
        stamp, unstamped = None, str(error)
    return Target(
        name=collection,
        alias=name if name != collection else "",
        field=chosen["name"],
        dimension=int(chosen["params"]["dim"]),
        key=Column(name=key["name"], type=_KEYS[DataType(key["type"])]),
        metric=Metric(metric),
        index=str(index.get("index_type", "")),
        build=_build(index),
        embedded=milvus.embedded,
        stamp=stamp,
        unstamped="" if stamp else unstamped,
    )


def _vector_field(fields: Sequence[dict[str, Any]], collection: str, wanted: str) -> dict[str, Any]:
    kinds = {each["name"]: DataType(each["type"]) for each in fields if DataType(each["type"]).name.endswith("VECTOR")}
    if wanted and wanted not in kinds:
        raise UsageError(f"{collection} has no vector field {wanted!r}; it has {', '.join(kinds) or 'none'}.")
    names = [wanted] if wanted else [name for name, kind in kinds.items() if kind is DataType.FLOAT_VECTOR] or list(kinds)
    if not names:
        raise UsageError(f"{collection} has no vector field.")
    if len(names) > 1:
        raise UsageError(f"{collection} has the vector fields {', '.join(names)}.", hint="Say which with --field.")
    if kinds[names[0]] is not DataType.FLOAT_VECTOR:
        raise UsageError(f"{collection}.{names[0]} is of type {kinds[names[0]].name}; only FLOAT_VECTOR can be measured.")
    return next(each for each in fields if each["name"] == names[0])


def _index(milvus: Any, collection: str, field: str) -> dict[str, Any]:
    found = (milvus.call("describe_index", collection, name) for name in milvus.call("list_indexes", collection))
    index = next((each for each in found if each and each["field_name"] == field), None)
    if index is None:
        raise Refused(f"{collection}.{field} has no index, so it cannot be searched.", hint="`finish --pair NAME` builds that of a pair.")
    return index


def _build(index: dict[str, Any]) -> dict[str, Any]:
    """2.3.5 has them beside the rest, as strings."""
    inner = index.get("params")
    return {**index, **inner} if isinstance(inner, dict) else dict(index)


def _beyond(key: Column, after: Key | None, where: str) -> str:
    if after is not None:
        beyond = f"{key.name} > {literal(after)}"
    else:
        beyond = f'{key.name} >= ""' if key.type is FieldType.STRING else f"{key.name} >= {-(2**63) + 1}"
    return f"({where}) and {beyond}" if where else beyond


def _keys(ids: Any) -> list[Key]:
    return list(ids.str_id.data if ids.WhichOneof("id_field") == "str_id" else ids.int_id.data)


def _alike(reason: str) -> str:
    """Without the numbers of collections, nodes, messages and times, of which each failure would be another."""
    return re.sub(r"[\w.:-]*\d[\w.:-]*", "…", " ".join(reason.split()))


def _kind(error: grpc.RpcError) -> str:
    return str(error.code().name)
