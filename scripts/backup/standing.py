"""What a folder holds: nothing, a backup that was begun, a whole one, or something that is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from scripts.backup.manifest import Manifest, Part
from scripts.backup.ports import Folder
from scripts.errors import Refused, UsageError

MANIFEST, UNFINISHED = "manifest.json", "unfinished.json"
# The number says where its rows belong, the rest which process wrote it: what a killed one left half written is never written over.
_PART = re.compile(r"part-\d{5,}-[0-9a-f]{8}\.parquet")
_ASIDE = re.compile(r"\.(manifest|unfinished)\.json\.[0-9a-f]{8}")


@dataclass(frozen=True)
class Standing:
    """At most one of the two; `files` are the parts that are there, whole or not."""

    whole: Manifest | None
    begun: Manifest | None
    files: tuple[str, ...]


def look(folder: Folder) -> Standing:
    """Raises Refused where the folder holds anything that is not of one backup."""
    names = folder.names()
    foreign = [name for name in names if name not in (MANIFEST, UNFINISHED) and not _PART.fullmatch(name) and not _ASIDE.fullmatch(name)]
    if foreign:
        raise Refused(f"{folder.name} is no folder of a backup: it holds {foreign[0]}{f' and {len(foreign) - 1} more' if foreign[1:] else ''}.", hint="Use an empty one.")
    parts = tuple(name for name in names if _PART.fullmatch(name))
    whole, begun = (_read(folder, name) if name in names else None for name in (MANIFEST, UNFINISHED))
    if parts and not whole and not begun:
        raise Refused(f"{folder.name} holds {parts[0]} without a {MANIFEST}: nobody knows what it belongs to.", hint="Use an empty folder.")
    return Standing(whole, None if whole else begun, parts)


def whole_backup(folder: Folder) -> Manifest:
    """Raises UsageError where there is none, or an unfinished one; Refused where it cannot be read."""
    content = folder.read(MANIFEST)
    if content is not None:
        return Manifest.parse(content, f"{folder.name}/{MANIFEST}")
    content = folder.read(UNFINISHED)
    if content is None:
        raise UsageError(f"There is no backup in {folder.name}: it has no {MANIFEST}.")
    begun = Manifest.parse(content, f"{folder.name}/{UNFINISHED}")
    raise UsageError(
        f"The backup in {folder.name} is unfinished: {begun.rows:,} of {begun.content.rows:,} rows.",
        hint=f"Run `backup --pair {begun.pair} --to {folder.name}` again; it goes on from there.",
    )


def damage(folder: Folder, part: Part) -> str:
    """What is wrong with this file, read to its end; empty where it is as it was written."""
    found = folder.facts(part.name)
    if found is None:
        return f"{folder.name}/{part.name} is gone"
    if found.bytes != part.bytes:
        return f"{folder.name}/{part.name} has {found.bytes:,} bytes, not {part.bytes:,}"
    if found.sha256 != part.sha256:
        return f"{folder.name}/{part.name} was changed since it was written: its checksum is {found.sha256[:12]}, not {part.sha256[:12]}"
    return ""


def refuse_damaged(folder: Folder, manifest: Manifest, advance: Callable[[int], None]) -> None:
    """Reads every file to its end. Raises Refused that names the first one which is not as it was written."""
    if (manifest.rows, manifest.fingerprint) != (manifest.content.rows, manifest.content.fingerprint):
        raise Refused(f"The parts in {folder.name}/{MANIFEST} are not the whole of {manifest.pair}.")
    for part in manifest.parts:
        if wrong := damage(folder, part):
            raise Refused(f"{wrong}.", hint="Nothing was restored. Restore another backup, or fetch this file from a copy.")
        advance(part.rows)


def _read(folder: Folder, name: str) -> Manifest:
    content = folder.read(name)
    if content is None:
        raise Refused(f"{folder.name}/{name} vanished just now.", hint="Does another process work in this folder?")
    return Manifest.parse(content, f"{folder.name}/{name}")
