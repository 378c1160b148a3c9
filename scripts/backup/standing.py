"""What a folder holds: nothing, a backup that was begun, a whole one, or something that is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from scripts.backup.manifest import PART_NAME, Manifest, Part
from scripts.backup.ports import Folder
from scripts.errors import KitError, Refused, UsageError

MANIFEST, UNFINISHED = "manifest.json", "unfinished.json"
_PART = re.compile(PART_NAME)
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
        others = f" and {len(foreign) - 1} more" if foreign[1:] else ""
        raise Refused(f"{folder.name} is no folder of a backup: it holds {foreign[0]}{others}.", hint="Use an empty one.")
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
        inside = _folders_of(folder.names())
        hint = f"Below it there is one in {inside[-1]}." if inside else "Is the address right?"
        raise UsageError(f"There is no backup in {folder.name}: it has no {MANIFEST}.", hint=hint)
    begun = Manifest.parse(content, f"{folder.name}/{UNFINISHED}")
    raise UsageError(
        f"The backup in {folder.name} is unfinished: {begun.rows:,} of {begun.content.rows:,} rows.",
        hint=f"Run `backup --pair {begun.pair} --to {folder.name}` again; it goes on from there.",
    )


def newest_backup(folder: Folder, service: str) -> Folder:
    """This folder, where a backup is or was begun in it; else the one below it that has this service's newest whole one.

    Raises UsageError where there is none, Refused where a manifest below it cannot be read: it might be the newest.
    """
    names = folder.names()
    if MANIFEST in names or UNFINISHED in names:
        return folder
    below = [folder.below(name) for name in _folders_of(names)]
    made = [(manifest.begun_at, at) for at, each in enumerate(below) if (manifest := whole_backup(each)).read_stamp().service == service]
    if not made:
        raise UsageError(f"There is no backup of {service} in {folder.name}, nor below it.", hint="Is the address right?")
    return below[max(made)[1]]


def tidy(folder: Folder, manifest: Manifest, own: str) -> str:
    """Removes what this manifest, which is in the file `own`, does not list, but never a whole backup's manifest. Gives why something stays: a backup
    is whole all the same, and it may well be that nobody is to remove anything there."""
    wanted = {own, MANIFEST, *(part.name for part in manifest.parts)}
    for name in folder.names():
        if name not in wanted:
            try:
                folder.remove(name)
            except KitError as error:
                return f"left over from an earlier run: {error}"
    return ""


def _folders_of(names: list[str]) -> list[str]:
    """Those that have a whole backup."""
    return sorted(name.removesuffix(f"/{MANIFEST}") for name in names if name.endswith(f"/{MANIFEST}"))


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
            raise Refused(f"{wrong}.", hint="Use another backup, or fetch this file from a copy.")
        advance(part.rows)


def _read(folder: Folder, name: str) -> Manifest:
    content = folder.read(name)
    if content is None:
        raise Refused(f"{folder.name}/{name} vanished just now.", hint="Does another process work in this folder?")
    return Manifest.parse(content, f"{folder.name}/{name}")
