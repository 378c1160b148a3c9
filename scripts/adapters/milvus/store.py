"""The catalogue side of Milvus: collections, aliases and stamps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType

from pymilvus import DataType, MilvusClient

from scripts.adapters.milvus.collection import MilvusCollection
from scripts.adapters.milvus.connection import RETRY_SECONDS, Connection
from scripts.adapters.milvus.repeating import Ask, pointed
from scripts.adapters.milvus.schema import index_params, schema
from scripts.errors import KitError, ProductionMoved, Refused, Unreachable, UsageError
from scripts.layout import VECTOR, Layout
from scripts.pair import Stamp
from scripts.tls import OPEN, TlsFiles


class MilvusStore:
    """Implements ports.VectorStore, safe under threads. Use it with `with`: a milvus-lite file belongs to one process until it is closed.

    Nothing is opened before the first call, which raises Unreachable if the server is not there or the token is wrong.
    """

    def __init__(self, uri: str, token: str = "", patience: float = RETRY_SECONDS, tls: TlsFiles = OPEN) -> None:
        self._altering = threading.Lock()
        self._milvus = Connection(uri, token, patience, tls)

    def __enter__(self) -> MilvusStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def connect(self) -> None:
        """For who wants to know at once whether the server is there. Raises what a first call would."""
        self._milvus.connect()

    def close(self) -> None:
        """Safe to call twice; a use after it says so. A milvus-lite file is closed by the last of this process who has it open."""
        self._milvus.close()

    def collections(self) -> list[str]:
        return sorted(self._milvus.call("list_collections"))

    def aliases(self) -> dict[str, str]:
        names = self._milvus.call("list_aliases")["aliases"]
        targets = {name: self.target(name) for name in names}
        return {name: target for name, target in targets.items() if target}

    def target(self, alias: str) -> str | None:
        return pointed(self._milvus.call, alias)

    def properties(self, collection: str) -> dict[str, str] | None:
        described = self._describe(collection)
        return dict(described["properties"]) if described else None

    def create(self, collection: str, layout: Layout, properties: dict[str, str]) -> None:
        """Nothing is left behind when the index parameters are refused: a server is asked now, not after hours of embedding."""
        self._milvus.call(
            "create_collection", collection, schema=schema(layout), properties=properties, consistency_level=layout.consistency.value
        )
        if self._milvus.embedded:  # looks at index parameters only when there are rows (3.2.2)
            return
        try:
            self._milvus.call("create_index", collection, index_params(layout))
            self._milvus.call("drop_index", collection, VECTOR)
        except KitError as error:
            self._take_back(collection)
            if isinstance(error, Refused):
                raise UsageError(f"index: this server does not take {layout.index.type} with these parameters: {error.what}") from None
            raise

    def _take_back(self, collection: str) -> None:
        try:
            self._milvus.call("drop_collection", collection)
        except Unreachable:
            pass  # a builder may not drop: what it leaves is an unfinished build, which cleanup drops

    def set_properties(self, collection: str, properties: dict[str, str]) -> None:
        # 2.3.5 loses the last alter_collection_properties at a restart: each call saves what was there before it (milvus #30144).
        # Sent twice, what is lost is the repetition.
        # One at a time: of two threads that alter one collection, a heartbeat's say, milvus-lite fails one (3.2.2).
        with self._altering:
            for _ in range(1 if self._milvus.embedded else 2):
                self._milvus.call("alter_collection_properties", collection, properties)

    def point(self, alias: str, collection: str, check: Callable[[], None] = lambda: None) -> None:
        found = self.target(alias)
        if found == collection:
            return
        if found is not None:
            self._move(alias, found, collection, check)
            return
        try:
            self._milvus.call("create_alias", collection, alias)
        except Refused:
            # Creating is "only one wins": who lost must not move it after all. But a dangling alias, whose collection was dropped, cannot
            # be created either; 2.3.5 does not even list it.
            found = self.target(alias)
            if found is None:
                self._move(alias, None, collection, check)
            elif found != collection:
                raise ProductionMoved(alias, expected=None, found=found) from None

    def withdraw(self, alias: str, check: Callable[[], None] = lambda: None) -> None:
        if (found := self.target(alias)) is not None:
            self._milvus.call_if(partial(_is_still, alias, found, None, check), "drop_alias", alias)

    def claim(self, name: str, token: str, properties: dict[str, str]) -> bool:
        """The token is in the schema: Milvus refuses to create a collection that exists with another one, and the answer to a claim that was
        lost on the way can be told from somebody else's."""
        claimed = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        claimed.add_field(f"claim_{token}", DataType.INT64, is_primary=True)
        claimed.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=2)  # none is ever stored, but no collection is without
        try:
            self._milvus.call("create_collection", name, schema=claimed, properties=properties)
        except Refused:
            found = self._describe(name)
            if found is None or found["collection_name"] != name:  # nobody has it: the server would not make it at all
                raise
            return any(field["name"] == f"claim_{token}" for field in found["fields"])
        return True

    def drop(self, collection: str) -> None:
        # Old servers drop aliased collections without a word, and milvus-lite even drops through an alias: both are checked here.
        if self.target(collection) is not None:
            raise Refused(f"{collection} is an alias, not a collection; it stays.")
        if aliases := [alias for alias, target in self.aliases().items() if target == collection]:
            raise Refused(f"The alias {aliases[0]} points to {collection}; it stays.")
        self._milvus.call_if(_Dropping(collection).is_to_do, "drop_collection", collection)

    def open(self, collection: str) -> MilvusCollection:
        """Raises Refused where the collection does not exist or is not the kit's."""
        properties = self.properties(collection)
        stamp = Stamp.read(collection, properties) if properties is not None else None
        if stamp is None:
            raise Refused(f"There is no collection {collection} of the kit on this server.")
        return MilvusCollection(self._milvus, collection, stamp.layout)

    def through(self, alias: str, layout: Layout) -> MilvusCollection:
        return MilvusCollection(self._milvus, alias, layout)

    def _move(self, alias: str, origin: str | None, collection: str, check: Callable[[], None]) -> None:
        """Raises ProductionMoved where the alias is not at `origin` any more: not even a call that was begun before is made after that."""
        self._milvus.call_if(partial(_is_still, alias, origin, collection, check), "alter_alias", collection, alias)

    def _describe(self, name: str) -> dict | None:
        if not self._milvus.call("has_collection", name):
            return None
        return self._milvus.call("describe_collection", name)


class _Dropping:
    """Of the collection that has this name at the first look, and of no other that is given the name later."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._number: int | None = None

    def is_to_do(self, ask: Ask) -> bool:
        if not ask("has_collection", self._collection):
            return self._number is None  # never seen: then the server says so
        found = ask("describe_collection", self._collection)
        if found["collection_name"] != self._collection or found.get("aliases"):
            raise Refused(f"An alias points to {found['collection_name']} by now; it stays.")
        seen, self._number = self._number, found.get("collection_id", 0)
        return seen is None or seen == self._number


def _is_still(alias: str, origin: str | None, wanted: str | None, check: Callable[[], None], ask: Ask) -> bool:
    """Whether the alias is where it was, and not yet where it is wanted. Raises ProductionMoved where it is elsewhere, and what `check` raises: one
    that was moved, and moved back by somebody else while the answer was lost, is where it was as well."""
    check()
    now = pointed(ask, alias)
    if now not in (origin, wanted):
        raise ProductionMoved(alias, expected=origin, found=now)
    return now != wanted
