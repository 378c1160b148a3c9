"""`backup`: a pair as files, with checksums, in a folder that can be restored anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scripts import catalogue, filling, heartbeat, ledger
from scripts.backup import standing
from scripts.backup.manifest import Manifest
from scripts.backup.ports import Folder, Show, WholeCollection, unseen
from scripts.backup.work import Work
from scripts.catalogue import Entry
from scripts.errors import KitError, Refused
from scripts.pair import State
from scripts.ports import Collection, Parts

# A file is closed when it has so many bytes: so much is read again after a crash, at most.
PART_BYTES = 128 << 20
PRODUCTION = "production"


@dataclass(frozen=True)
class BackedUp:
    manifest: Manifest
    folder: str
    kept_rows: int
    """Of an earlier run, found whole."""
    notes: tuple[str, ...] = ()
    exit_code: int = 0

    def lines(self) -> list[str]:
        made, plural = self.manifest, "" if len(self.manifest.parts) == 1 else "s"
        size = f"{made.bytes / 1e6:,.1f} MB in {len(made.parts)} file{plural}"
        kept = f", {self.kept_rows:,} of them kept from before" if self.kept_rows else ""
        return [
            f"{made.pair} is backed up in {self.folder}: {made.rows:,} rows{kept}, {size}.",
            f"  checksum of the whole {made.digest[:12]}, content {made.content.fingerprint}, begun {made.begun_at:%Y-%m-%d %H:%M} UTC",
            *(f"  {note}" for note in self.notes),
        ]

    def facts(self) -> dict[str, Any]:
        made = self.manifest
        return {
            "pair": made.pair,
            "folder": self.folder,
            "begun_at": made.begun_at.isoformat(),
            "rows": made.rows,
            "kept_rows": self.kept_rows,
            "bytes": made.bytes,
            "files": len(made.parts),
            "fingerprint": made.content.fingerprint,
            "sha256": made.digest,
            "notes": list(self.notes),
        }


def backup(parts: Parts, pair: str, folder: Folder, show: Show = unseen, *, part_bytes: int = PART_BYTES) -> BackedUp:
    """Safe to run again: after a crash it goes on behind the last file that is whole; what is complete is only checked.

    `pair` may be PRODUCTION. However many rows there are, five pages are in memory, each of 8 MiB or of what Milvus gives in one answer (64 MiB), and
    the one at work once more as it is packed. Raises Refused where the pair is not finished or is being filled, where the folder holds
    anything else, and where the collection changed meanwhile: then there is no manifest.
    """
    entry = _finished_entry(parts, pair)
    before = standing.look(folder)
    if before.whole:
        return _checked(folder, before.whole, entry, show)
    work, notes = Work(folder, _begun(parts, before.begun, entry, folder), part_bytes), list[str]()
    with show("backup", work.manifest.content.rows) as advance:
        kept = work.keep_whole_parts(advance)
        with _readable(parts, entry, notes) as collection:
            work.write(collection, advance)
            if not _is_as_stamped(parts, work.manifest):
                work.forget()
                raise _changed(work.manifest)
            manifest = work.manifest.changed(asked=work.sampled.ask(collection) if work.manifest.rows else ())
    notes.append(work.finish(manifest))
    return BackedUp(manifest, folder.name, kept, tuple(filter(None, notes)))


def _finished_entry(parts: Parts, pair: str) -> Entry:
    world = catalogue.read(parts.store, parts.settings)
    entry = _production(world) if pair == PRODUCTION else world.find(pair)
    name = entry.pair.collection
    if filling.watch(parts.store, [name]).alive:
        raise Refused(f"{name} is being filled.", hint="Let it finish.")
    if entry.state is State.BUILDING or entry.stamp.content is None:
        raise Refused(f"{name} is not finished, so nobody knows what belongs in it.", hint=f"Run `embed` and `finish --pair {name}` to the end.")
    entry.refuse_half_caught_up()
    return entry


def _production(world: catalogue.Catalogue) -> Entry:
    if world.production:
        return world.production
    raise Refused(f"The alias {world.alias} points to {world.target or 'nothing'}: there is no production pair.", hint="Name one with --pair.")


def _checked(folder: Folder, whole: Manifest, entry: Entry, show: Show) -> BackedUp:
    """A backup that is there already. Raises Refused where it is of something else."""
    _refuse_other_pair(folder, whole, entry)
    if not _is_same(whole, entry):
        raise Refused(f"{folder.name} holds a backup of {whole.pair} as it was before it changed.", hint="Use an empty folder.")
    with show("verify", whole.rows) as advance:
        standing.refuse_damaged(folder, whole, advance)
    left = standing.tidy(folder, whole, standing.MANIFEST)
    return BackedUp(whole, folder.name, whole.rows, tuple(filter(None, [left])))


def _begun(parts: Parts, before: Manifest | None, entry: Entry, folder: Folder) -> Manifest:
    """What to go on with. Of the pair as it was before it changed nothing can be finished any more, so that is begun anew."""
    if before:
        _refuse_other_pair(folder, before, entry)
    if before is None or not _is_same(before, entry):
        before = Manifest(pair=entry.pair.collection, stamp=entry.stamp.properties(), begun_at=parts.now(), writer="")
    return before.changed(writer=heartbeat.new_token())


def _refuse_other_pair(folder: Folder, there: Manifest, entry: Entry) -> None:
    if there.pair != entry.pair.collection:
        raise Refused(f"{folder.name} holds a backup of {there.pair}, not of {entry.pair}.", hint="Use an empty folder.")


def _is_same(there: Manifest, entry: Entry) -> bool:
    """It must be the same content, or parts of two would be taken for one."""
    theirs, ours, content = there.read_stamp(), entry.stamp, entry.stamp.content
    same = content is not None and (there.content.rows, there.content.fingerprint) == (content.rows, content.fingerprint)
    return same and theirs.build == ours.build and theirs.layout == ours.layout


def _is_as_stamped(parts: Parts, made: Manifest) -> bool:
    """What was read must be what the stamp says, now as at the beginning."""
    now = catalogue.read(parts.store, parts.settings).find(made.pair).stamp.content
    expected = made.content
    return (made.rows, made.fingerprint) == (expected.rows, expected.fingerprint) and now is not None and now.fingerprint == expected.fingerprint


def _changed(made: Manifest) -> Refused:
    return Refused(
        f"{made.pair} changed while it was read ({made.rows:,} rows read, {made.content.rows:,} expected): what was written is no backup.",
        hint=f"Run `catch-up {made.pair}` or `finish` if one was interrupted, then the same command again.",
    )


@contextmanager
def _readable(parts: Parts, entry: Entry, notes: list[str]) -> Iterator[WholeCollection]:
    """Reading needs it in memory; where it was not, it is not afterwards either, or a note says why."""
    collection: WholeCollection = parts.store.open(entry.pair.collection)  # type: ignore[assignment]
    loaded = collection.is_loaded()
    if not loaded and entry.stamp.content and entry.stamp.content.rows:
        collection.load()  # it is finished, so it has its index
    try:
        yield collection
    finally:
        if not loaded:
            notes.append(_why_it_stays(parts, collection))


def _why_it_stays(parts: Parts, collection: Collection) -> str:
    """Releases it, and is empty where that went well. Who changes production at this moment may be about to switch to it."""
    name = collection.name
    try:
        found = ledger.read(parts.store, parts.settings.alias)
        if found and found.holder and not heartbeat.is_dead(found.holder.token):
            return f"{name} stays in memory: {found.holder}."
        if name in parts.store.aliases().values():
            return f"{name} stays in memory: it has an alias now."
        collection.release()
    except KitError as error:
        return f"{name} stays in memory: {error}"
    return ""
