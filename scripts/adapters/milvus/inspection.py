"""Looking at collections, the kit's and all others: what a server tells of each, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pymilvus import DataType

from scripts.adapters.milvus.connection import RETRY_SECONDS, Connection
from scripts.adapters.milvus.store import MilvusStore
from scripts.addresses import shown
from scripts.errors import KitError, Refused, Unreachable
from scripts.health.seen import FieldSeen, IndexSeen, Load, Seen, Segment
from scripts.tls import OPEN, TlsFiles

Answer = TypeVar("Answer")

_LOADS = {"Loaded": Load.LOADED, "Loading": Load.LOADING, "NotLoad": Load.NOT_LOADED}
_GROWING = "Growing"


class MilvusInspection:
    """Implements health.seen.Inspection. Use it with `with`.

    Raises Unreachable, when made, if the server is not there or the token is wrong. A milvus-lite file is opened as every process of the kit
    opens it, with its collections loaded; one that does not exist is not made.
    """

    def __init__(self, uri: str, token: str = "", patience: float = RETRY_SECONDS, tls: TlsFiles = OPEN) -> None:
        if "://" not in uri and not Path(uri).exists():
            raise Unreachable(f"There is no milvus-lite file {shown(uri)}.", hint="Is MILVUS_URI set?")
        self._store = MilvusStore(uri, token, patience, tls)
        self._milvus: Connection = self._store._milvus

    def __enter__(self) -> MilvusInspection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._store.close()

    def collections(self) -> list[str]:
        return self._store.collections()

    def aliases(self) -> dict[str, str]:
        return self._store.aliases()

    def look(self, collection: str) -> Seen | None:
        try:
            return self._look(collection)
        except Refused:
            if self._exists(collection):
                raise
            return None

    def _look(self, name: str) -> Seen:
        described = self._milvus.call("describe_collection", name)
        fields = tuple(map(_field, described["fields"]))
        pieces = _Pieces(lambda: self._exists(name))
        state = pieces.get("load state", lambda: self._milvus.call("get_load_state", name)) or {}
        load = load_of(state)
        loaded, embedded = load is Load.LOADED, self._milvus.embedded
        if embedded:
            pieces.lacks("segments and replicas (milvus-lite)")
        return Seen(
            name=name,
            rows=pieces.get("rows", lambda: self._count(name)) if loaded else None,
            stored_rows=pieces.get("stored rows", lambda: int(self._milvus.call("get_collection_stats", name)["row_count"])),
            load=load,
            progress=int(state["progress"]) if "progress" in state else None,
            partitions=pieces.get("partitions", lambda: tuple(self._milvus.call("list_partitions", name))),
            fields=fields,
            properties=dict(described.get("properties", {})),
            indexes=pieces.get("indexes", lambda: self._indexes(name, fields)),
            segments=None if embedded else pieces.get("segments", lambda: segments_of(self._milvus, name, loaded=loaded)),
            replicas=pieces.get("replicas", lambda: len(self._milvus.call("describe_replica", name))) if loaded and not embedded else None,
            unknown=tuple(pieces.unknown),
        )

    def _exists(self, name: str) -> bool:
        return bool(self._milvus.call("has_collection", name))

    def _count(self, name: str) -> int:
        return int(self._milvus.call("query", name, filter="", output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"])

    def _indexes(self, name: str, fields: tuple[FieldSeen, ...]) -> tuple[IndexSeen, ...]:
        vectors = {field.name for field in fields if field.vector}
        found = (self._milvus.call("describe_index", name, index) for index in self._milvus.call("list_indexes", name))
        return tuple(_index(each, vectors) for each in found if each)


class _Pieces:
    """Asks for one thing after the other. What a server does not have, or does not permit, is said to be unknown and hides nothing else."""

    def __init__(self, exists: Callable[[], bool]) -> None:
        self.unknown: list[str] = []
        self._exists = exists

    def lacks(self, what: str) -> None:
        self.unknown.append(what)

    def get(self, what: str, ask: Callable[[], Answer]) -> Answer | None:
        try:
            return ask()
        except Unreachable as error:
            if "does not permit" not in error.what:
                raise
            self.unknown.append(f"{what} (not permitted)")
        except KitError as error:
            if not self._exists():
                raise Refused("It was dropped during the look.") from None
            self.unknown.append(f"{what} ({error.what.rstrip('.')})")
        return None


def _field(described: dict[str, Any]) -> FieldSeen:
    kind = DataType(described["type"])
    dimension = described.get("params", {}).get("dim")
    return FieldSeen(
        name=described["name"],
        type=kind.name,
        dimension=int(dimension) if dimension else None,
        primary=bool(described.get("is_primary")),
        vector=kind.name.endswith("VECTOR"),
    )


def _index(described: dict[str, Any], vectors: set[str]) -> IndexSeen:
    return IndexSeen(
        field=described["field_name"],
        type=str(described.get("index_type", "")),
        metric=str(described.get("metric_type", "")).upper(),
        state=str(described.get("state", "")),
        total=int(described.get("total_rows", 0)),
        indexed=int(described.get("indexed_rows", 0)),
        pending=int(described.get("pending_index_rows", 0)),
        vector=described["field_name"] in vectors,
    )


def load_of(state: dict[str, Any]) -> Load:
    """What get_load_state says."""
    return _LOADS.get(str(state.get("state", "")), Load.UNKNOWN)


def segments_of(milvus: Connection, name: str, *, loaded: bool) -> tuple[Segment, ...]:
    """Those of the disk and those in memory, which differ while some are sealed, indexed or compacted."""
    in_memory = {s.segment_id: s for s in (milvus.call("list_loaded_segments", name) if loaded else ())}
    stored = {s.segment_id: s for s in milvus.call("list_persistent_segments", name)}
    return tuple(
        Segment(
            rows=int(segment.num_rows),
            growing=segment.state.name == _GROWING,
            stored=number in stored,
            loaded=number in in_memory,
            index=in_memory[number].index_name if number in in_memory else "",
        )
        for number, segment in (stored | in_memory).items()
    )
