"""The files that an address names, wherever they are, each with its format."""

from __future__ import annotations

import fnmatch
import glob
import os
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow.fs import FileSelector, FileType, LocalFileSystem

from scripts.adapters import filesystems
from scripts.adapters.source_formats import FORMATS, Columns, Format, Place, Unusable, require
from scripts.adapters.source_types import Kind
from scripts.addresses import shown
from scripts.errors import KitError, UsageError

Version = tuple[FileType, int | None, int | None]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file and how to read it. Whatever is wrong with it is told with its name, as the user would write it."""

    shown: str
    place: Place
    format: Format

    @property
    def identity(self) -> str:
        """Two names of one local file are one file."""
        return os.path.realpath(self.place.path) if isinstance(self.place.system, LocalFileSystem) else self.shown

    def pieces(self, columns: Sequence[str]) -> Iterator[Columns]:
        with _blaming(self.shown):
            before = self._looked_at()
            yield from self.format.pieces(self.place, columns)
            # What was read may be half of the old file and half of the new one: on S3 every block is a request of its own.
            self.refuse_other_than(before)

    def kinds(self, columns: Sequence[str], declared: Collection[str]) -> dict[str, Kind]:
        """Of these columns and perhaps others. A declared column may be one that the first rows lack."""
        with _blaming(self.shown):
            kinds = self.format.kinds(self.place, columns)
            if kinds:
                require([name for name in columns if name not in declared], list(kinds))
            return kinds

    def rows(self) -> int | None:
        with _blaming(self.shown):
            return self.format.rows(self.place)

    def version(self) -> Version:
        """Another one when the file was written to, or is gone."""
        with _blaming(self.shown):
            return self._looked_at()

    def refuse_other_than(self, version: Version) -> None:
        with _blaming(self.shown):
            if self._looked_at() != version:
                raise Unusable("changed or vanished while it was read", hint="Run the same command again.")

    def _looked_at(self) -> Version:
        info = self.place.system.get_file_info(self.place.path)
        return info.type, info.size, info.mtime_ns


def find(uri: str, root: Path) -> list[SourceFile]:
    """The files that one address or pattern names, sorted. A plain path is relative to `root`.

    Raises UsageError where there is none, or one that has no known format; Unreachable where nothing answers or lets us in.
    """
    with _blaming(f"source.uri {shown(uri)}"):
        found = _local(uri, root) if filesystems.is_local(uri) else _remote(uri, root)
        if not found:
            raise Unusable(f"no file matches in {root}" if filesystems.is_local(uri) else "no file matches")
    return [SourceFile(name, place, _format(name)) for name, place in found]


def _format(name: str) -> Format:
    for ending, format_ in FORMATS.items():
        if name.lower().endswith(ending):
            return format_
    raise UsageError(f"{name} has no format that can be read.", hint=f"These can: {', '.join(FORMATS)}.")


def _local(uri: str, root: Path) -> list[tuple[str, Place]]:
    system, path = filesystems.resolve(uri, root)
    pattern = path if filesystems.scheme_of(uri) else uri
    if Path(path).is_dir():
        raise _is_a_folder()
    # A name with brackets is a name before it is a pattern.
    paths = [Path(path)] if Path(path).is_file() else sorted(root / name for name in glob.glob(pattern, root_dir=root, recursive=True))
    files = (path for path in paths if path.is_file())
    return [(str(path.relative_to(root) if path.is_relative_to(root) else path), Place(system, str(path))) for path in files]


def _remote(uri: str, root: Path) -> list[tuple[str, Place]]:
    system, path = filesystems.resolve(uri, root)
    match system.get_file_info(path).type:
        case FileType.File:
            return [(uri, Place(system, path))]
        case FileType.Directory:
            raise _is_a_folder()
    start = len(filesystems.scheme_of(uri)) + len("://")
    fixed, wild = _split(uri[start:])
    folder = path[: len(path) - len(wild)].rstrip("/")
    _require_bucket(uri, system, path)
    if not wild:
        return []
    pattern = wild.split("/")
    listed = system.get_file_info(FileSelector(folder, allow_not_found=True, recursive=len(pattern) > 1))
    inside = {info.path[len(folder) :].lstrip("/"): info.path for info in listed if info.type is FileType.File}
    return [(uri[:start] + fixed + name, Place(system, inside[name])) for name in sorted(inside) if _matches(name.split("/"), pattern)]


def _require_bucket(uri: str, system: pa.fs.FileSystem, path: str) -> None:
    """Nothing at an address on S3 is one thing, and no such bucket another."""
    bucket = path.partition("/")[0]
    if filesystems.scheme_of(uri) == "s3" and system.get_file_info(bucket).type is FileType.NotFound:
        raise Unusable(f"there is no bucket {bucket}", hint="Check the name, AWS_REGION and AWS_ENDPOINT_URL.")


def _split(address: str) -> tuple[str, str]:
    """Folders without wildcards, up to and with the last slash, and the rest; the rest is empty where there is no wildcard."""
    first = next((i for i, letter in enumerate(address) if letter in "*?["), None)
    if first is None:
        return address, ""
    end = address.rfind("/", 0, first) + 1
    return address[:end], address[end:]


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """As Python's glob does on local files: ** is any number of folders, and what begins with a dot has to be asked for."""
    if not parts or not pattern:
        return not parts and all(wild == "**" for wild in pattern)
    hidden = parts[0].startswith(".") and not pattern[0].startswith(".")
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (not hidden and _matches(parts[1:], pattern))
    return not hidden and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _is_a_folder() -> Unusable:
    return Unusable("is a folder", hint="Name its files, for example with /*.parquet at the end.")


_UNREADABLE = (EOFError, zlib.error, ValueError, OverflowError, RecursionError, pa.ArrowException, KeyError)


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    """Turns what fails within into an error that names the file."""
    try:
        yield
    except KitError:
        raise
    except Unusable as error:
        raise UsageError(f"{name}: {error}.", hint=error.hint) from None
    except OSError as error:
        raise filesystems.explained(error, name) from None
    except _UNREADABLE as error:
        raise UsageError(f"{name} cannot be read: {shown(str(error))}.") from None
