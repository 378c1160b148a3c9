"""Loading and compacting, begun and then watched."""

from __future__ import annotations

from scripts.adapters.milvus.inspection import load_of, segments_of
from scripts.adapters.milvus.store import MilvusStore
from scripts.errors import Refused
from scripts.health.seen import Load, Segment
from scripts.health.upkeep import Compaction, Loading


class MilvusUpkeep:
    """Implements health.upkeep.Upkeep, over the store's connection."""

    def __init__(self, store: MilvusStore) -> None:
        self._milvus = store._milvus

    def begin_loading(self, collection: str) -> None:
        self._milvus.call("load_collection", collection, _async=True)

    def loading(self, collection: str) -> Loading:
        state = self._milvus.call("get_load_state", collection)
        if str(state["state"]) == "NotExist":
            raise Refused(f"There is no collection {collection} any more.")
        return Loading(load_of(state), int(state["progress"]) if "progress" in state else None)

    def seal(self, collection: str, within: float) -> None:
        self._milvus.call("flush", collection, timeout=within)

    def is_indexed(self, collection: str) -> bool:
        indexes = (self._milvus.call("describe_index", collection, name) for name in self._milvus.call("list_indexes", collection))
        return not any(index["pending_index_rows"] for index in indexes if index)

    def begin_compacting(self, collection: str) -> Compaction | None:
        if self._milvus.embedded:  # compacts after each flush, and answers a request without doing anything (3.2.2)
            return None
        stored = frozenset(segment.segment_id for segment in self._milvus.call("list_persistent_segments", collection))
        return Compaction(int(self._milvus.call("compact", collection)), stored)

    def is_compacted(self, job: Compaction) -> bool:
        return str(self._milvus.call("get_compaction_state", job.number)) == "Completed"

    def has_left_some_out(self, job: Compaction) -> bool:
        merged = {segment for plan in self._milvus.call("get_compaction_plans", job.number).plans for segment in plan.sources}
        return not job.segments <= merged

    def segments(self, collection: str) -> tuple[Segment, ...] | None:
        if self._milvus.embedded:
            return None
        return segments_of(self._milvus, collection, loaded=self.loading(collection).load is Load.LOADED)
