"""Rows by the thousand: requests filled and answers read column by column.

MilvusClient makes a dictionary of every row and a Python object of every number of a vector, which costs more than the server's own work
(pymilvus 3.0.2). This speaks the same protocol through the same connection, with pymilvus' generated messages; both are private to it,
so `MilvusClient` itself is the way to write and read where they are not as expected.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from scripts.adapters.milvus.schema import slices
from scripts.layout import COLUMNS_HASH, TEXT_HASH, VECTOR, FieldType, Layout
from scripts.records import Rows

# Where FieldData keeps the values of each type, and which type it says they have.
_SCALARS: dict[FieldType, tuple[DataType, str]] = {
    FieldType.INT64: (DataType.INT64, "long_data"),
    FieldType.DOUBLE: (DataType.DOUBLE, "double_data"),
    FieldType.BOOL: (DataType.BOOL, "bool_data"),
    FieldType.STRING: (DataType.VARCHAR, "string_data"),
}
_ARRAYS: dict[FieldType, tuple[DataType, str]] = {
    FieldType.INT64S: (DataType.INT64, "long_data"),
    FieldType.DOUBLES: (DataType.DOUBLE, "double_data"),
    FieldType.STRINGS: (DataType.VARCHAR, "string_data"),
}
_FLOATS_TAG = b"\x0a"  # field 1, with its length before it: the packed numbers of FloatArray
_STRONG, _EVENTUALLY = 0, 3
_ANY_TIME = 1
_EMPTY_COLLECTION = 26
ALL = 1_000_000


class Wire:
    """Upserts and queries through a client's own connection. Its methods raise what MilvusClient's raise, and may be called by several threads.

    Raises AttributeError, ImportError, TypeError or ValueError, when made, where pymilvus is not as expected.
    """

    def __init__(self, client: MilvusClient) -> None:
        from pymilvus.client.ts_utils import update_collection_ts
        from pymilvus.client.utils import check_status
        from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

        self._client = client
        self._common, self._milvus, self._schema = common_pb2, milvus_pb2, schema_pb2
        self._check, self._note_time = check_status, update_collection_ts
        self._try_out()

    def upserts(self, collection: str, layout: Layout, rows: Rows, vectors: np.ndarray) -> Iterator[Any]:
        """Requests that hold these rows, none of them too large for one message."""
        columns = {column.name: column.type for column in (layout.key, *layout.columns)}
        stored = {layout.key.name: rows.keys} | {column.name: rows.columns[column.name] for column in layout.columns}
        for part in slices(layout, rows):
            request = self._milvus.UpsertRequest(collection_name=collection, num_rows=part.stop - part.start)
            for name, kind in columns.items():
                self._add(request, name, kind, stored[name][part])
            for name, hashes in ((TEXT_HASH, rows.text_hashes), (COLUMNS_HASH, rows.column_hashes)):
                self._add(request, name, FieldType.INT64, hashes[part].tolist())
            self._add_vectors(request, vectors[part])
            yield request

    def upsert(self, request: Any, timeout: float | None) -> None:
        answer = self.ask("Upsert", request, timeout)
        # Session consistency reads this client's own writes by it.
        self._note_time(request.collection_name, answer.timestamp, self._handler.server_address, self._client._config.db_name)

    def query(self, collection: str, where: str, fields: Sequence[str], timeout: float | None, *, strong: bool = False, page: int = 0) -> dict[str, Any]:
        """The fields of the rows that match, each as `numbers` or `vectors` or `list` takes it; empty where there are none.

        `page` asks for that many rows in order of keys, which is what pymilvus' own iterator asks for.
        """
        request = self._milvus.QueryRequest(collection_name=collection, expr=where, output_fields=fields)
        if page:
            request.use_default_consistency = True
        else:
            request.consistency_level = _STRONG if strong else _EVENTUALLY
            request.guarantee_timestamp = 0 if strong else _ANY_TIME
        wanted = {"limit": page, "iterator": "True", "reduce_stop_for_best": "True"} if page else {}
        request.query_params.extend(self._common.KeyValuePair(key=name, value=str(value)) for name, value in wanted.items())
        answer = self._handler._stub.Query(request, timeout=timeout, metadata=self._metadata())
        if _EMPTY_COLLECTION in (answer.status.code, answer.status.error_code):
            return {}
        self._check(answer.status)
        return {field.field_name: _values(field) for field in answer.fields_data}

    def start_import(self, collection: str, file: str, timeout: float | None) -> int:
        """The task's number. Sent once: MilvusClient's own way repeats it by itself, and rows of a file that is imported twice are there twice."""
        return int(self.ask("Import", self._milvus.ImportRequest(collection_name=collection, files=[file]), timeout).tasks[0])

    def imports(self, collection: str, timeout: float | None) -> list[Any]:
        """All of the collection's import tasks that the server remembers (for a day)."""
        return list(self.ask("ListImportTasks", self._milvus.ListImportTasksRequest(collection_name=collection, limit=ALL), timeout).tasks)

    def ask(self, call: str, request: Any, timeout: float | None) -> Any:
        answer = self.send(call, request, timeout)
        self._check(answer.status)
        return answer

    def send(self, call: str, request: Any, timeout: float | None) -> Any:
        """What came back, whatever it says."""
        return getattr(self._handler._stub, call)(request, timeout=timeout, metadata=self._metadata())

    @property
    def _handler(self) -> Any:
        return self._client._get_connection()

    def _metadata(self) -> Any:
        return self._client._generate_call_context().to_grpc_metadata()

    def _add(self, request: Any, name: str, kind: FieldType, values: Sequence[Any]) -> None:
        if kind in _SCALARS:
            type_, attribute = _SCALARS[kind]
            field = request.fields_data.add(field_name=name, type=int(type_))
            getattr(field.scalars, attribute).data.extend(values)
        elif kind is FieldType.JSON:
            field = request.fields_data.add(field_name=name, type=int(DataType.JSON))
            field.scalars.json_data.data.extend(json_bytes(value) for value in values)
        else:
            type_, attribute = _ARRAYS[kind]
            field = request.fields_data.add(field_name=name, type=int(DataType.ARRAY))
            field.scalars.array_data.element_type = int(type_)
            for value in values:
                getattr(field.scalars.array_data.data.add(), attribute).data.extend(value)

    def _add_vectors(self, request: Any, vectors: np.ndarray) -> None:
        field = request.fields_data.add(field_name=VECTOR, type=int(DataType.FLOAT_VECTOR))
        field.vectors.dim = vectors.shape[1]
        packed = np.ascontiguousarray(vectors, dtype="<f4").tobytes()
        field.vectors.float_vector.ParseFromString(b"".join((_FLOATS_TAG, _length(len(packed)), packed)))

    def _try_out(self) -> None:
        """Builds one field of each kind and looks at every part of pymilvus that is used later."""
        request = self._milvus.UpsertRequest()
        for kind, value in {FieldType.STRING: "", FieldType.JSON: {}, FieldType.STRINGS: [""], FieldType.INT64: 1}.items():
            self._add(request, "name", kind, [value])
        vectors = np.arange(4, dtype=np.float32).reshape(2, 2)
        self._add_vectors(request, vectors)
        if not np.array_equal(np.asarray(_values(request.fields_data[-1])).reshape(2, 2), vectors):
            raise ValueError("pymilvus keeps vectors in another way")
        for part in (self._handler._stub.Upsert, self._handler._stub.Query, self._handler.server_address, self._client._config.db_name, self._metadata()):
            if part is None:
                raise TypeError("pymilvus' connection is made in another way")


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def numbers(values: Any) -> np.ndarray:
    """An int64 field of an answer; an array reads the message's own memory, without a Python object per number."""
    return np.array(values, dtype=np.int64)


def vectors_of(values: Any, dimension: int) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(-1, dimension)


def _values(field: Any) -> Any:
    """The packed values of an int64, string or vector field."""
    if field.HasField("vectors"):
        return field.vectors.float_vector.data
    kind = field.scalars.WhichOneof("data")
    return getattr(field.scalars, kind).data if kind else ()


def _length(size: int) -> bytes:
    """As protobuf writes it: seven bits a byte, the lowest first."""
    digits = bytearray()
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    return bytes((*digits, size))
