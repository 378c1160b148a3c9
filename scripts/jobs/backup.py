"""`backup`: a pair as files, with checksums, in a folder that can be restored anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scripts import catalogue, digests, filling, heartbeat
from scripts.backup import standing
from scripts.backup.manifest import Key, Manifest, Part
from scripts.backup.ports import Folder, Show, WholeCollection, WholePage, unseen
from scripts.backup.sampled import SampledRows
from scripts.backup.standing import MANIFEST, UNFINISHED
from scripts.catalogue import Entry
from scripts.errors import Refused
from scripts.flow import Ahead
from scripts.pair import State
from scripts.ports import Parts

# A file is closed when it has so many bytes: so much is read again after a crash, at most.
PART_BYTES = 128 << 20
PAGES_AHEAD = 2

Advance = Callable[[int], None]


@dataclass(frozen=True)
class BackedUp:
    manifest: Manifest
    folder: str
    kept_rows: int
    """Of an earlier run that did not finish, found whole."""
    exit_code: int = 0

    def lines(self) -> list[str]:
        made = self.manifest
        kept = f", {self.kept_rows:,} of them kept from before" if self.kept_rows else ""
        return [
            f"{made.pair} is backed up in {self.folder}: {made.rows:,} rows{kept}, {made.bytes / 1e6:,.1f} MB in {len(made.parts)} files.",
            f"  checksum of the whole {made.digest[:12]}, content {made.content.fingerprint}",
        ]

    def facts(self) -> dict[str, Any]:
        made = self.manifest
        facts = {"pair": made.pair, "folder": self.folder, "rows": made.rows, "kept_rows": self.kept_rows, "bytes": made.bytes}
        return facts | {"files": len(made.parts), "fingerprint": made.content.fingerprint, "sha256": made.digest}


def backup(parts: Parts, pair: str, folder: Folder, show: Show = unseen, *, part_bytes: int = PART_BYTES) -> BackedUp:
    """Safe to run again: after a crash it goes on behind the last file that is whole; what is complete is only checked.

    Memory does not grow with rows. Raises Refused where the pair is not finished or is being
    filled, where the folder holds anything else, and where the collection changed meanwhile: then there is no manifest.
    """
    entry = _finished_entry(parts, pair)
    before = standing.look(folder)
    if before.whole:
        _refuse_other(folder, before.whole, entry)
        with show("verify", before.whole.rows) as advance:
            standing.refuse_damaged(folder, before.whole, advance)
        _tidy(folder, before.whole)
        return BackedUp(before.whole, folder.name, before.whole.rows)
    if before.begun:
        _refuse_other(folder, before.begun, entry)
    blank = Manifest(pair=pair, stamp=entry.stamp.properties(), begun_at=parts.now(), writer="")
    work = _Work(folder, (before.begun or blank).changed(writer=heartbeat.new_token()), part_bytes)
    with show("backup", blank.content.rows) as advance:
        kept = work.keep_whole_parts(advance)
        with _open(parts, entry) as collection:
            work.write(collection, advance)
            _refuse_changed(parts, work.manifest)
            manifest = work.manifest.changed(asked=work.sampled.ask(collection) if work.manifest.rows else ())
    work.finish(manifest)
    return BackedUp(manifest, folder.name, kept)


def _finished_entry(parts: Parts, pair: str) -> Entry:
    entry = catalogue.read(parts.store, parts.settings).find(pair)
    if filling.watch(parts.store, [pair]).alive:
        raise Refused(f"{pair} is being filled.", hint="Let it finish.")
    if entry.state is State.BUILDING or entry.stamp.content is None:
        raise Refused(f"{pair} is not finished, so nobody knows what belongs in it.", hint=f"Run `embed` and `finish --pair {pair}` to the end.")
    entry.refuse_half_caught_up()
    return entry


def _refuse_other(folder: Folder, there: Manifest, entry: Entry) -> None:
    """It must be the same pair with the same content, or parts of two would be taken for one."""
    if there.pair != entry.pair.collection:
        raise Refused(f"{folder.name} holds a backup of {there.pair}, not of {entry.pair}.", hint="Use an empty folder.")
    theirs, ours = there.read_stamp(), entry.stamp
    content = entry.stamp.content
    assert content is not None
    same = (there.content.rows, there.content.fingerprint) == (content.rows, content.fingerprint)
    if not same or theirs.build != ours.build or theirs.layout != ours.layout:
        raise Refused(f"{folder.name} holds a backup of {there.pair} as it was before it changed.", hint="Use an empty folder.")


def _refuse_changed(parts: Parts, made: Manifest) -> None:
    """What was read must be what the stamp says, now as at the beginning."""
    now = catalogue.read(parts.store, parts.settings).find(made.pair).stamp
    expected = made.content
    if (made.rows, made.fingerprint) == (expected.rows, expected.fingerprint):
        if now.content is not None and now.content.fingerprint == expected.fingerprint:
            return
    raise Refused(
        f"{made.pair} changed while it was read ({made.rows:,} rows read, {expected.rows:,} expected): what was written is no backup.",
        hint=f"Run `catch-up {made.pair}` or `finish` if one was interrupted, then back up into an empty folder.",
    )


@contextmanager
def _open(parts: Parts, entry: Entry) -> Iterator[WholeCollection]:
    """Reading needs it in memory; where it was not, it is not afterwards either."""
    name = entry.pair.collection
    collection: WholeCollection = parts.store.open(name)  # type: ignore[assignment]
    loaded = collection.is_loaded()
    try:
        yield collection
    finally:
        if not loaded and name not in parts.store.aliases().values() and collection.is_loaded():
            collection.release()


def _tidy(folder: Folder, manifest: Manifest) -> None:
    wanted = {MANIFEST, *(part.name for part in manifest.parts)}
    for name in folder.names():
        if name not in wanted:
            folder.remove(name)


class _Work:
    """What the folder holds so far, and what is added to it."""

    def __init__(self, folder: Folder, manifest: Manifest, part_bytes: int) -> None:
        self.manifest = manifest
        self.sampled = SampledRows(manifest.pair)
        self._folder = folder
        self._part_bytes = part_bytes
        self._layout = manifest.read_stamp().layout

    def keep_whole_parts(self, advance: Advance) -> int:
        """How many rows of an earlier run are there, up to the first file that is not whole."""
        kept: list[Part] = []
        for part in self.manifest.parts:
            if standing.damage(self._folder, part):
                break
            for page in self._folder.pages(part.name, self._layout):
                self.sampled.add(page)
            kept.append(part)
            advance(part.rows)
        self.manifest = self.manifest.changed(parts=tuple(kept))
        self._folder.write(UNFINISHED, self.manifest.written())
        return self.manifest.rows

    def write(self, collection: WholeCollection, advance: Advance) -> None:
        last: Key | None = self.manifest.parts[-1].last if self.manifest.parts else None
        with Ahead(collection.whole(last), PAGES_AHEAD) as ahead:
            pages = iter(ahead)
            while (first := next(pages, None)) is not None:
                part = self._one_part(first, pages, advance)
                self.manifest = self.manifest.changed(parts=(*self.manifest.parts, part))
                self._folder.write(UNFINISHED, self.manifest.written())

    def finish(self, manifest: Manifest) -> None:
        self._refuse_other_writer()
        self._folder.write(MANIFEST, manifest.written())
        _tidy(self._folder, manifest)

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

    def _refuse_other_writer(self) -> None:
        """Whoever came later has taken over."""
        content = self._folder.read(UNFINISHED)
        if content is None or Manifest.parse(content, f"{self._folder.name}/{UNFINISHED}").writer != self.manifest.writer:
            raise Refused(f"Another process writes a backup into {self._folder.name}.", hint="Let it finish.")
