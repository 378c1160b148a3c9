"""Looking at collections, the kit's and all others: what a server tells of each, and what it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pymilvus import DataType

from scripts.adapters.milvus.connection import RETRY_SECONDS, Connection, NotPermitted
from scripts.adapters.milvus.store import MilvusStore
from scripts.addresses import shown
from scripts.errors import KitError, Refused, Unreachable
from scripts.health.seen import Because, FieldSeen, Gap, IndexSeen, Load, Seen, Segment
from scripts.tls import OPEN, TlsFiles

Answer = TypeVar("Answer")

_LOADS = {"Loaded": Load.LOADED, "Loading": Load.LOADING, "NotLoad": Load.NOT_LOADED}
_GROWING = "Growing"
DEFAULT_PARTITION = "_default"


class MilvusInspection:
    """Implements health.seen.Inspection. Use it with `with`.

    Its first call raises Unreachable if the server is not there or the token is wrong. A milvus-lite file is opened as every process of the kit
    opens it, with its collections loaded; one that does not exist is not made.
    """

    def __init__(self, uri: str, token: str = "", patience: float = RETRY_SECONDS, tls: TlsFiles = OPEN) -> None:
        if "://" not in uri and not _is_there(uri):
            raise Unreachable(f"There is no milvus-lite file {shown(uri)}.", hint="Is MILVUS_URI set?")
        self._store = MilvusStore(uri, token, patience, tls)
        self._milvus: Connection = self._store._milvus

    def __enter__(self) -> MilvusInspection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._store.close()

    def collections(self) -> list[str]:
        return self._store.collections()

    def aliases(self) -> dict[str, str] | None:
        try:
            names = self._milvus.call("list_aliases")["aliases"]
            targets = {name: self._target(name) for name in names}
        except NotPermitted:
            return None
        return {name: target for name, target in targets.items() if target}

    def look(self, collection: str) -> Seen | None:
        try:
            return self._look(collection)
        except NotPermitted as error:  # of one collection: newer servers ask for a grant to describe it
            return Seen(collection, unknown=(Gap("everything", Because.NOT_PERMITTED, _missing(error)),))
        except Refused as error:
            if self._exists(collection):
                return Seen(collection, unknown=(Gap("everything", Because.FAILED, error.what.rstrip(".")),))
            return None

    def _look(self, name: str) -> Seen:
        described = self._milvus.call("describe_collection", name)
        fields = tuple(map(_field, described["fields"]))
        pieces = _Pieces(lambda: self._exists(name))
        state = pieces.get("load state", lambda: self._milvus.call("get_load_state", name)) or {}
        load, rows, growing = load_of(state), None, None
        if not state:  # who may not see it may well be answered, which says the same
            rows, growing = pieces.get("rows", lambda: self._count(name)) or (None, None)
            load = load if rows is None else Load.LOADED
        loaded, embedded = load is Load.LOADED, self._milvus.embedded
        partitions = pieces.get("partitions", lambda: self._partitions(name, described))
        indexes = pieces.get("indexes", lambda: self._indexes(name, fields))
        segments = replicas = None
        if embedded:
            pieces.lacks("segments and replicas", "milvus-lite has none")
        else:
            segments = pieces.get("segments", lambda: segments_of(self._milvus, name, loaded=loaded))
        stored = pieces.get("stored rows", lambda: self._stored(name)) if segments is None else _stored(segments)
        if loaded and not embedded:
            replicas = pieces.get("replicas", lambda: len(self._milvus.call("describe_replica", name)))
        if loaded and rows is None:  # last, because it is what hangs where nobody answers queries
            rows, growing = pieces.get("rows", lambda: self._count(name)) or (None, None)
        return Seen(
            name=name,
            rows=rows,
            stored_rows=stored,
            growing_rows=growing,
            load=load,
            progress=int(state["progress"]) if "progress" in state else None,
            partitions=partitions,
            fields=fields,
            aliases=tuple(described.get("aliases", ())),
            properties=dict(described.get("properties", {})),
            indexes=indexes,
            segments=segments,
            replicas=replicas,
            unknown=tuple(pieces.unknown),
        )

    def _exists(self, name: str) -> bool:
        return bool(self._milvus.call("has_collection", name))

    def _target(self, alias: str) -> str | None:
        try:
            return str(self._milvus.call("describe_collection", alias)["collection_name"])
        except Refused:
            return None  # taken away meanwhile

    def _count(self, name: str) -> tuple[int, int | None]:
        """All rows, and those that no sealed segment in memory has. The first count waits until all that was written before is there, so that the
        second, a moment later, need not wait for the same."""
        ask = {"filter": "", "output_fields": ["count(*)"]}
        rows = int(self._milvus.call("query", name, consistency_level="Strong", **ask)[0]["count(*)"])
        if self._milvus.embedded:  # answers with all rows again (3.2.2)
            return rows, None
        sealed = int(self._milvus.call("query", name, consistency_level="Eventually", ignore_growing=True, **ask)[0]["count(*)"])
        return rows, max(0, rows - sealed)

    def _stored(self, name: str) -> int:
        return int(self._milvus.call("get_collection_stats", name)["row_count"])

    def _partitions(self, name: str, described: dict[str, Any]) -> tuple[str, ...]:
        # The default one cannot be dropped: where there is one, it is that.
        return (DEFAULT_PARTITION,) if described.get("num_partitions") == 1 else tuple(self._milvus.call("list_partitions", name))

    def _indexes(self, name: str, fields: tuple[FieldSeen, ...]) -> tuple[IndexSeen, ...]:
        vectors = {field.name for field in fields if field.vector}
        try:  # no name means the only one: mostly there is no more than that, and one call tells all
            found = [self._milvus.call("describe_index", name, "")]
        except Refused:
            found = [self._milvus.call("describe_index", name, index) for index in self._milvus.call("list_indexes", name)]
        return tuple(_index(each, vectors) for each in found if each)


class _Pieces:
    """Asks for one thing after the other. What a server does not have, does not permit or does not answer is said to be unknown, and hides nothing
    else."""

    def __init__(self, exists: Callable[[], bool]) -> None:
        self.unknown: list[Gap] = []
        self._exists = exists
        self._silent = ""

    def lacks(self, what: str, why: str) -> None:
        self.unknown.append(Gap(what, Because.ABSENT, why))

    def get(self, what: str, ask: Callable[[], Answer]) -> Answer | None:
        """None where it is not known. After a call that was not answered nothing more is asked: the next one would take as long."""
        if self._silent:
            self.unknown.append(Gap(what, Because.FAILED, self._silent))
            return None
        try:
            return ask()
        except NotPermitted as error:
            self.unknown.append(Gap(what, Because.NOT_PERMITTED, _missing(error)))
        except Unreachable as error:
            self._silent = error.what.rstrip(".")
            self.unknown.append(Gap(what, Because.FAILED, self._silent))
        except KitError as error:
            if not self._exists():
                raise Refused("It was dropped during the look.") from None
            self.unknown.append(Gap(what, Because.FAILED, error.what.rstrip(".")))
        return None


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # a name that is too long, or a folder that is not ours to look into
        return False


def _missing(error: NotPermitted) -> str:
    return f"not permitted: it takes {error.privilege}" if error.privilege else "not permitted"


def _stored(segments: Iterable[Segment]) -> int:
    return sum(segment.rows for segment in segments if segment.stored and not segment.growing)


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
        name=str(described.get("index_name", "")),
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
