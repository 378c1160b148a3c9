"""Segments: files of vectors, each written once, whole, and never changed. What was damaged in one is noticed and left out.

    head     kind of file, dimension, number of rows, digest of the head
    ids      half of each text's digest: all that is read when the cache is opened
    records  text digest, vector and checksum of each row, so that any of them can be read alone
"""

from __future__ import annotations

import hashlib
import re
import secrets
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow.fs

_KIND = b"vectors1"
_HEAD = struct.Struct("<8sII16s")
_ID = np.dtype("<u8")
# Records that are no further apart than this are read in one go: a request to S3 costs about as long.
_GAP_BYTES = 256 << 10
# A name that the kit gave. Nothing else in the folder is ever read or deleted.
_NAME = re.compile(r"([0-9a-f]+)/(\d{20}-[0-9a-f]{16})\.(vectors|part)")
# What a process was writing when it was killed is removed after this long; until then it may still be writing.
_ABANDONED_NS = 3_600 * 10**9


def digests_of(texts: Sequence[str]) -> np.ndarray:
    """128 bits of BLAKE2b of each text, uint64 [len(texts), 2]. A collision would be a wrong vector: of 100 million texts, probability 1e-23."""
    joined = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return np.frombuffer(joined, dtype=_ID).reshape(-1, 2)


def record_type(dimension: int) -> np.dtype:
    return np.dtype([("digest", _ID, (2,)), ("vector", "<f4", (dimension,)), ("check", "<u4")])


def _checksums(records: np.ndarray) -> np.ndarray:
    """CRC-32 of each record but its own checksum."""
    size = records.itemsize
    raw = memoryview(np.ascontiguousarray(records).view(np.uint8).reshape(-1))
    return np.fromiter((zlib.crc32(raw[at : at + size - 4]) for at in range(0, len(raw), size)), dtype=np.uint32, count=len(records))


def _head(dimension: int, ids: bytes) -> bytes:
    digest = hashlib.blake2b(struct.pack("<I", dimension) + ids, digest_size=16).digest()
    return _HEAD.pack(_KIND, dimension, len(ids) // _ID.itemsize, digest)


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the cache."""

    path: str
    embedding: str
    name: str
    """Begins with the time it was made at, so names are in order of age."""
    size: int
    is_whole: bool = True

    @property
    def is_abandoned(self) -> bool:
        return not self.is_whole and int(self.name.partition("-")[0]) + _ABANDONED_NS < time.time_ns()


class SegmentFolder:
    """The segments of one embedding, among those of others, in a folder on any file system."""

    def __init__(self, system: pyarrow.fs.FileSystem, folder: str, embedding: str, dimension: int) -> None:
        """Raises OSError where there can be no such folder."""
        from pyarrow import fs

        self._system = system
        self._folder = folder.rstrip("/")
        self._embedding = embedding
        self._type = record_type(dimension)
        self._dimension = dimension
        self._renames = isinstance(system, fs.LocalFileSystem)
        if system.get_file_info(folder).type == fs.FileType.File:
            raise NotADirectoryError("it is a file, not a folder")
        if not isinstance(system, fs.S3FileSystem):  # which has no folders
            system.create_dir(f"{folder}/{embedding}", recursive=True)

    def segments(self) -> list[Segment]:
        """All segments of all embeddings, oldest first."""
        from pyarrow import fs

        try:
            found = self._system.get_file_info(fs.FileSelector(self._folder, recursive=True))
        except FileNotFoundError:  # on S3: nothing was kept yet
            return []
        named = [(info, _NAME.fullmatch(info.path[len(self._folder) + 1 :])) for info in found if info.is_file]
        segments = [Segment(info.path, name[1], name[2], info.size, name[3] == "vectors") for info, name in named if name]
        return sorted(segments, key=lambda segment: segment.name)

    def ids(self, segment: Segment) -> np.ndarray | None:
        """The first halves of the digests of its rows, in order; None where it is damaged, of another dimension, or gone."""
        rows, rest = divmod(segment.size - _HEAD.size, _ID.itemsize + self._type.itemsize)
        if rows < 1 or rest:
            return None
        try:
            with self._system.open_input_file(segment.path) as file:
                start = file.read_at(_HEAD.size + rows * _ID.itemsize, 0)
        except FileNotFoundError:
            return None
        ids = start[_HEAD.size :]
        return np.frombuffer(ids, dtype=_ID) if start[: _HEAD.size] == _head(self._dimension, ids) else None

    def read(self, segment: Segment, rows: np.ndarray) -> np.ndarray:
        """The records of these rows (ascending). Raises ValueError where one of them is damaged."""
        count = (segment.size - _HEAD.size) // (_ID.itemsize + self._type.itemsize)
        begin, size = _HEAD.size + count * _ID.itemsize, self._type.itemsize
        parts = []
        with self._system.open_input_file(segment.path) as file:
            for near in np.split(rows, np.flatnonzero(np.diff(rows) * size > _GAP_BYTES) + 1):
                first, last = int(near[0]), int(near[-1])
                raw = file.read_at((last - first + 1) * size, begin + first * size)
                parts.append(np.frombuffer(raw, dtype=self._type)[near - first])
        records = np.concatenate(parts)
        if (_checksums(records) != records["check"]).any():
            raise ValueError("it is damaged")
        return records

    def new(self, rows: int) -> Segment:
        """A segment to be written."""
        name = f"{time.time_ns():020d}-{secrets.token_hex(8)}"
        size = _HEAD.size + rows * (_ID.itemsize + self._type.itemsize)
        return Segment(f"{self._folder}/{self._embedding}/{name}.vectors", self._embedding, name, size)

    def write(self, segment: Segment, records: np.ndarray) -> None:
        """All of it or nothing: on this machine's disks a file gets its name when it is complete; on S3 it appears when it is."""
        records["check"] = _checksums(records)
        ids = records["digest"][:, 0].tobytes()
        path = segment.path.removesuffix("vectors") + "part" if self._renames else segment.path
        try:
            with self._system.open_output_stream(path) as file:
                file.write(_head(self._dimension, ids))
                file.write(ids)
                file.write(memoryview(records.view(np.uint8)))
            if self._renames:
                self._system.move(path, segment.path)
        except BaseException:
            self._remove_quietly(path)
            raise

    def remove(self, segment: Segment) -> None:
        """Safe to repeat, and beside other processes that remove it too."""
        try:
            self._system.delete_file(segment.path)
        except FileNotFoundError:
            pass

    def _remove_quietly(self, path: str) -> None:
        try:
            self._system.delete_file(path)
        except Exception:  # what went wrong before is told; this is only tidying up
            pass
