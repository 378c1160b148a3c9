"""A backup in the making: what the folder holds of it so far, and what is added."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scripts import digests
from scripts.backup import standing
from scripts.backup.manifest import Key, Manifest, Part
from scripts.backup.ports import Folder, WholeCollection, WholePage
from scripts.backup.sampled import SampledRows
from scripts.backup.standing import MANIFEST, UNFINISHED
from scripts.errors import Refused
from scripts.flow import Ahead

# With one being made, one at work on, and one as it came from the server five are in memory, each of PAGE_BYTES or of what Milvus gives in one answer.
PAGES_AHEAD = 2

Advance = Callable[[int], None]


class Work:
    """Safe to be killed at any point: a file counts when unfinished.json lists it, and the backup when manifest.json is there."""

    def __init__(self, folder: Folder, manifest: Manifest, part_bytes: int) -> None:
        self.manifest = manifest
        self.sampled = SampledRows(manifest.pair)
        self._folder = folder
        self._part_bytes = part_bytes
        self._layout = manifest.read_stamp().layout

    def keep_whole_parts(self, advance: Advance) -> int:
        """How many rows of an earlier run are there, up to the first file that is not whole. Other files go: on a full disk they are in the way."""
        self._take_over()
        kept: list[Part] = []
        for part in self.manifest.parts:
            if standing.damage(self._folder, part):
                break
            for page in self._folder.pages(part.name, self._layout):
                self.sampled.add(page)
            kept.append(part)
            advance(part.rows)
        self._refuse_other_writer()  # all files were read meanwhile, which may have taken hours
        if len(kept) < len(self.manifest.parts):
            self.manifest = self.manifest.changed(parts=tuple(kept))
            self._folder.write(UNFINISHED, self.manifest.written())
        standing.tidy(self._folder, self.manifest, UNFINISHED)
        return self.manifest.rows

    def write(self, collection: WholeCollection, advance: Advance) -> None:
        last: Key | None = self.manifest.parts[-1].last if self.manifest.parts else None
        with Ahead(collection.whole(last), PAGES_AHEAD) as ahead:
            pages = iter(ahead)
            while (first := next(pages, None)) is not None:
                part = self._one_part(first, pages, advance)
                self.manifest = self.manifest.changed(parts=(*self.manifest.parts, part))
                self._folder.write(UNFINISHED, self.manifest.written())

    def forget(self) -> None:
        """What was written is of no use: who runs next begins anew."""
        self._folder.write(UNFINISHED, self.manifest.changed(parts=()).written())

    def finish(self, manifest: Manifest) -> str:
        """Gives why something of an earlier run is left lying about; empty where nothing is."""
        self._refuse_other_writer()
        there = set(self._folder.names())
        if gone := [part.name for part in manifest.parts if part.name not in there]:
            raise Refused(f"{self._folder.name}/{gone[0]} vanished while the backup was written.", hint="Does another process work in this folder?")
        self._folder.write(MANIFEST, manifest.written())
        return standing.tidy(self._folder, manifest, MANIFEST)

    def _one_part(self, first: WholePage, others: Iterator[WholePage], advance: Advance) -> Part:
        """Pages until the file is large enough."""
        name = f"part-{len(self.manifest.parts):05d}-{self.manifest.writer[-8:]}.parquet"
        rows = digest = 0
        page: WholePage | None = first
        with self._folder.part(name, self._layout) as file:
            while page is not None:
                file.add(page)
                self.sampled.add(page)
                rows, last = rows + len(page.keys), page.keys[-1]
                digest = (digest + digests.of_rows(digests.of_keys(page.keys), page.text_hashes, page.column_hashes)) % 2**64
                advance(len(page.keys))
                page = next(others, None) if file.bytes < self._part_bytes else None
            self._refuse_other_writer()
            facts = file.close()
        return Part(name=name, rows=rows, bytes=facts.bytes, sha256=facts.sha256, digest=f"{digest:016x}", last=last)

    def _take_over(self) -> None:
        """Before anything is read or removed: whoever writes here sees it when it next looks. Who has finished meanwhile keeps what it has made."""
        self._folder.write(UNFINISHED, self.manifest.written())
        if self._folder.read(MANIFEST) is not None:
            raise _another(self._folder)

    def _refuse_other_writer(self) -> None:
        """Whoever came later has taken over."""
        content = self._folder.read(UNFINISHED)
        if content is None or Manifest.parse(content, f"{self._folder.name}/{UNFINISHED}").writer != self.manifest.writer:
            raise _another(self._folder)


def _another(folder: Folder) -> Refused:
    return Refused(f"Another process writes a backup into {folder.name}, or has just finished it.", hint="Let it finish; the same command checks it then.")
