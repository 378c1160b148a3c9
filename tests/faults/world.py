"""A server with one pair in production, which is what operators look at, back up and load, and a way to see whether any of its rows were lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.adapters.backup_files import open_folder
from scripts.adapters.milvus import MilvusStore
from scripts.backup import standing
from scripts.backup.ports import WholePage
from scripts.pair import production_alias
from tests.backup import world as made
from tests.servers import MilvusServer

PAIR, OTHER, ROWS = made.PAIR, made.OTHER, made.ROWS
ALIAS, SECOND = production_alias(made.SERVICE), "small_shop_second"

Held = dict[Any, tuple[Any, ...]]
"""Every row by its key, down to the last bit of its vector."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Rows that are not there, there more than once, or there with another content or without having been asked for."""

    lost: int = 0
    doubled: int = 0
    wrong: int = 0

    @classmethod
    def between(cls, expected: Held, found: Held, count: int) -> Loss:
        wrong = sum(found[key] != expected[key] for key in expected.keys() & found.keys()) + len(found.keys() - expected.keys())
        return cls(len(expected.keys() - found.keys()), count - len(found), wrong)

    def __str__(self) -> str:
        told = [f"{count:,} {name}" for name, count in (("lost", self.lost), ("doubled", self.doubled), ("wrong", self.wrong)) if count]
        return ", ".join(told) or "0"


class World:
    """On a server that runs and is empty."""

    def __init__(self, server: MilvusServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.environment = {"MILVUS_URI": server.uri, "MILVUS_TOKEN": server.token}
        with made.opened(folder, server.uri, server.token) as kit:
            made.build(kit, of=made.stamp(promoted_at=made.BEGAN, replaces=""))
            kit.store.point(ALIAS, PAIR)
        self.config = ["--config", str(folder / "promotion.yaml")]
        self.rows, _ = self.held(PAIR)

    def add_second(self) -> None:
        """OTHER, with the same rows and an alias of its own."""
        with made.opened(self.folder, self.server.uri, self.server.token) as kit:
            made.build(kit, OTHER)
            kit.store.point(SECOND, OTHER)

    def held(self, name: str) -> tuple[Held, int]:
        """What a collection holds, and how many rows that is by its own count."""
        with self.store() as store:
            collection = store.open(name)
            return _by_key(collection.whole()), collection.count()

    def loss(self, name: str, expected: Held | None = None) -> Loss:
        found, count = self.held(name)
        return Loss.between(self.rows if expected is None else expected, found, count)

    def loss_of_backup(self, folder: Path) -> Loss:
        """Of the rows in its files, which are read here and not believed."""
        files = open_folder(str(folder), folder.parent)
        manifest = standing.whole_backup(files)
        pages = [page for part in manifest.parts for page in files.pages(part.name, made.layout())]
        return Loss.between(self.rows, _by_key(pages), sum(len(page.keys) for page in pages))

    def release(self, name: str = PAIR) -> None:
        with self.store() as store:
            store.open(name).release()

    def is_loaded(self, name: str = PAIR) -> bool:
        with self.store() as store:
            return store.open(name).is_loaded()

    def drop(self, name: str) -> None:
        with self.store() as store:
            if store.properties(name) is not None:
                store.drop(name)

    def store(self) -> MilvusStore:
        return MilvusStore(self.server.uri, self.server.token)


def _by_key(pages: Iterable[WholePage]) -> Held:
    held: Held = {}
    for page in pages:
        for at, key in enumerate(page.keys):
            columns = repr([values[at] for values in page.columns.values()])
            held[key] = (int(page.text_hashes[at]), int(page.column_hashes[at]), page.vectors[at].tobytes(), columns)
    return held
