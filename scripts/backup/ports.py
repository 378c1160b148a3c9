"""What a backup asks of the outside: whole rows of a collection, and a folder of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from scripts import digests
from scripts.layout import Layout
from scripts.ports import Collection, VectorPage
from scripts.records import Rows

Show = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows the progress of one step over so many rows, as `progress` does."""


@contextmanager
def unseen(label: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda rows: None


@dataclass(frozen=True, slots=True)
class WholePage(VectorPage):
    """With their stored columns: all that there is of these rows."""

    columns: dict[str, list[Any]]

    def rows(self) -> Rows:
        """As they are written. The text itself is not stored, only its hash."""
        blank = [""] * len(self.keys)
        return Rows(self.keys, blank, self.columns, blank, digests.of_keys(self.keys), self.text_hashes, self.column_hashes)


class WholeCollection(Collection, Protocol):
    def whole(self, after: int | str | None = None) -> Iterator[WholePage]:
        """Everything it holds, in order of keys; only what is beyond `after`, where that is given."""
        ...


@dataclass(frozen=True, slots=True)
class FileFacts:
    bytes: int
    sha256: str
    """Hex."""


class PartFile(Protocol):
    """A file that grows by a page at a time."""

    bytes: int

    def add(self, page: WholePage) -> None: ...

    def close(self) -> FileFacts:
        """After this it is on the disk."""
        ...


class Folder(Protocol):
    """A folder on this machine, on S3 or elsewhere. Its methods raise UsageError and Unreachable in one line."""

    name: str
    """As the user wrote it."""

    def below(self, name: str) -> Folder:
        """A folder in this one."""
        ...

    def names(self) -> list[str]:
        """All files in it and below it, relative to it; none where there is no such folder."""
        ...

    def read(self, name: str) -> bytes | None:
        """None where there is no such file."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """As a whole or not at all, replacing what is there."""
        ...

    def remove(self, name: str) -> None:
        """Safe to repeat."""
        ...

    def facts(self, name: str) -> FileFacts | None:
        """Reads the file to its end; None where there is none."""
        ...

    def part(self, name: str, layout: Layout) -> AbstractContextManager[PartFile]:
        """A new file."""
        ...

    def pages(self, name: str, layout: Layout) -> Iterator[WholePage]:
        """What a part holds, a page in memory at a time. Raises Refused where it cannot be read as one."""
        ...
