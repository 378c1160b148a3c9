"""What the core asks of the outside. Adapters implement these; nothing here knows Milvus, MLflow or a file format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scripts.layout import Column, Layout
from scripts.pipelines import Pipelines
from scripts.records import RawRows, Rows
from scripts.run_record import RunRecord
from scripts.settings import Settings, SourceSettings


class Source(Protocol):
    """Rows to embed, streamed."""

    key: Column
    columns: tuple[Column, ...]
    """The stored columns, in the order of the configuration."""

    def read(self) -> Iterator[RawRows]:
        """One complete pass. May be called again; holds one piece at a time in memory."""
        ...

    def rows_estimate(self) -> int | None:
        """How many rows a pass will give, where that is known without reading."""
        ...


class Model(Protocol):
    """A loaded embedding model."""

    batch_size: int
    """How many texts it should be given at once."""

    def encode(self, texts: Sequence[str], prompt: str) -> Any:
        """One vector per text, in order. What comes back is not trusted: `encoding` checks it.

        Raises EncodingFailed when the model's own code fails.
        """
        ...

    def cut_off(self, texts: Sequence[str], prompt: str) -> list[int]:
        """Positions of the texts that are longer than the model takes, of which it reads the beginning. Empty where that is not known."""
        ...

    def declared_prompts(self) -> tuple[str | None, str | None]:
        """The prompts for queries and for documents that the model itself says it was trained with; None where it does not say."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a collection's rows: primary keys and the two content hashes (int64)."""

    keys: list[int] | list[str]
    text_hashes: np.ndarray
    column_hashes: np.ndarray


@dataclass(frozen=True, slots=True)
class VectorPage(Page):
    """With their vectors, float32 [len(keys), dimension]."""

    vectors: np.ndarray


@dataclass(frozen=True, slots=True)
class Hit:
    key: int | str
    score: float
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a server says of a collection. `rows` is the true count; `indexed` and `pending` lag after deletes and compaction."""

    rows: int
    indexed: int
    pending: int
    loaded: bool
    unindexed_segments: int
    unindexed_rows: int = 0
    """Rows that queries find without an index, though they are enough for one. Unlike `indexed` and `pending` it does not lag on a server."""
    metric: str = ""
    """The metric of the index that is there, which need not be the stamped one; empty where there is none."""

    @property
    def covered(self) -> bool:
        return self.pending == 0 and self.indexed >= self.rows and self.unindexed_segments == 0


class Collection(Protocol):
    """One physical collection, always worked with by its own name and never through an alias."""

    name: str
    layout: Layout
    writes_in_flight: int
    """How many calls of `write` at the same time serve it best."""

    def contents(self) -> Iterator[Page]:
        """Everything it holds now, acknowledged writes included."""
        ...

    def vectors(self) -> Iterator[VectorPage]:
        """Everything it holds now, acknowledged writes included, with the vectors: a page of it in memory at a time."""
        ...

    def find(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Of these rows those that it holds with the very same text: ascending positions, and vectors float32 [len(positions), dimension]."""
        ...

    def existing(self, keys: Sequence[int] | Sequence[str]) -> set[int] | set[str]:
        """Those of `keys` that it holds."""
        ...

    def write(self, rows: Rows, vectors: np.ndarray) -> None:
        """Inserts or replaces by key. Safe to repeat."""
        ...

    def importer(self, uri: str, root: Path, prefix: str) -> Importer:
        """Bulk import through files in the folder `uri`, which the server names `prefix`. To be opened before `contents` is read.

        Raises UsageError where the server has none or does not see that folder.
        """
        ...

    def delete(self, keys: Sequence[int] | Sequence[str]) -> None: ...

    def flush(self) -> None: ...

    def build_index(self) -> None:
        """Creates the stamped index where it is missing and waits for it."""
        ...

    def load(self) -> None: ...

    def release(self) -> None:
        """Out of memory, not off the disk: searches fail until it is loaded again."""
        ...

    def is_loaded(self) -> bool: ...

    def count(self) -> int:
        """The true number of rows. The collection must be loaded."""
        ...

    def readiness(self) -> Readiness: ...

    def search(self, vectors: np.ndarray, limit: int, *, where: str = "", fields: Sequence[str] = ()) -> list[list[Hit]]:
        """For each vector its nearest rows, best first, with the stamped search parameters."""
        ...


class Importer(Protocol):
    """Takes rows whose keys the collection does not hold. May hold them back; after `close` all of them are in the collection."""

    def add(self, rows: Rows, vectors: np.ndarray) -> None: ...

    def close(self) -> None: ...


class VectorStore(Protocol):
    """The catalogue: which collections and aliases there are, and what they are stamped with."""

    def collections(self) -> list[str]: ...

    def aliases(self) -> dict[str, str]:
        """Every alias and the collection that it points to."""
        ...

    def target(self, alias: str) -> str | None:
        """The collection behind the alias, or None where the alias does not exist."""
        ...

    def properties(self, collection: str) -> dict[str, str] | None:
        """The collection's properties, or None where it does not exist."""
        ...

    def create(self, collection: str, layout: Layout, properties: dict[str, str]) -> None: ...

    def set_properties(self, collection: str, properties: dict[str, str]) -> None:
        """Merges these in. Still there after a crash of the server."""
        ...

    def point(self, alias: str, collection: str, check: Callable[[], None] = lambda: None) -> None:
        """Creates the alias or moves it, atomically for those who query it. Safe to repeat. `check` may raise: it is asked right before an alias is
        moved, and again before that is sent once more because its answer was lost."""
        ...

    def withdraw(self, alias: str, check: Callable[[], None] = lambda: None) -> None:
        """Removes the alias. Safe to repeat. `check` as of `point`."""
        ...

    def claim(self, name: str, token: str, properties: dict[str, str]) -> bool:
        """Makes a collection that holds no rows, only properties. Of all who claim a name exactly one succeeds, and again when it repeats the
        claim with its own token."""
        ...

    def drop(self, collection: str) -> None:
        """Drops a physical collection; an alias is refused, and so is a collection that has one."""
        ...

    def open(self, collection: str) -> Collection: ...

    def through(self, alias: str, layout: Layout) -> Collection:
        """What the alias answers with, for searches alone: only to see what a client that asks the alias would see."""
        ...


class VectorCache(Protocol):
    """Vectors that one embedding has given before. Losing it costs time, never correctness: what cannot be read is a miss."""

    def find(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Ascending positions of the texts whose vector is kept, and those vectors, float32 [len(positions), dimension]."""
        ...

    def keep(self, texts: Sequence[str], vectors: np.ndarray) -> None: ...

    @property
    def trouble(self) -> str:
        """Why some vectors could not be kept; empty where all is well."""
        ...

    def close(self) -> None:
        """Waits for what is being written."""
        ...


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version in the registry."""

    name: str
    version: int


class Registry(Protocol):
    """The model registry."""

    def candidate(self, name: str, selector: str) -> ModelVersion:
        """The newest version at a stage, or the one behind an `@alias`."""
        ...

    def version(self, name: str, version: int) -> ModelVersion: ...

    def at(self, name: str, selector: str) -> int | None:
        """The version now at a stage or alias; None where there is none."""
        ...

    def move(self, version: ModelVersion, selector: str) -> None:
        """Makes it the one version at a stage (others there are archived) or alias. Safe to repeat."""
        ...

    def tag(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Sets these tags on the version. Safe to repeat."""
        ...

    def download(self, version: ModelVersion, folder: Path) -> str:
        """Fetches the model's files into `folder`, replacing what is there, and returns their digest."""
        ...

    def digest(self, folder: Path) -> str:
        """The digest of files fetched before."""
        ...

    def requirements(self, version: ModelVersion) -> list[str]:
        """The lines of the requirements file that was saved with the model, as they are; none where it has none."""
        ...

    def load(self, folder: Path) -> Model: ...


class Runs(Protocol):
    """The experiment tracker's runs: the story of each pair, which nothing depends on."""

    def log(self, record: RunRecord) -> str:
        """Tells the pair's one run, made where there is none, and returns its id. Safe to repeat: what was told before is replaced.

        Raises Unreachable where it cannot be told.
        """
        ...


class Parts(Protocol):
    """What a job works with. A part is opened when it is first asked for, so a job that never asks for the registry works without it."""

    settings: Settings

    @property
    def store(self) -> VectorStore: ...

    @property
    def registry(self) -> Registry: ...

    @property
    def runs(self) -> Runs: ...

    @property
    def source(self) -> Source: ...

    @property
    def pipelines(self) -> Pipelines:
        """Raises UsageError where none is configured."""
        ...

    def open_source(self, settings: SourceSettings) -> Source:
        """The same source, read in another way."""
        ...

    def importer(self, collection: Collection) -> Importer:
        """Bulk import, as the configuration has it. Raises UsageError where it has none."""
        ...

    def cache(self, fingerprint: str, dimension: int) -> VectorCache | None:
        """Vectors that this embedding has given before, to be closed after use; None where no cache is configured."""
        ...

    def now(self) -> datetime: ...
