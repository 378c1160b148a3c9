"""Vectors that an embedding has given before, in a folder on this machine or on S3."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from scripts.adapters.filesystems import explained, resolve, translated
from scripts.adapters.vector_index import NOWHERE, Index, place, row_of, segment_of
from scripts.adapters.vector_segments import Segment, SegmentFolder, digests_of, record_type
from scripts.addresses import shown
from scripts.errors import Unreachable
from scripts.flow import InFlight
from scripts.settings import CacheSettings

# Of a small cache a sixteenth, so that it does not lose much at once when it is full.
SEGMENT_BYTES = 8 << 20
# How many segments' ids, and how many segments' vectors are read at the same time: S3 takes its time, but vectors take memory. (Peak over
# 600,000 rows of 384 dimensions: 4 readers 80 MiB, 16 readers 310 MiB.)
OPENERS, READERS = 16, 4
# One is written while the next is filled; who is faster than that waits.
WRITERS = 2
# A place that failed is left alone for so long: if it is down, that costs some seconds a minute and not those of every call.
REST_SECONDS = 60
# What others wrote is looked up again after this share of the bound was written here.
LOOK_AGAIN_SHARE = 64


def open_cache(settings: CacheSettings, root: Path, fingerprint: str, dimension: int) -> CachedVectors:
    """Raises UsageError or Unreachable where nothing can be kept at the configured place."""
    with translated(shown(settings.uri)):
        system, path = resolve(settings.uri, root)
        folder = SegmentFolder(system, path, fingerprint, dimension)
        return CachedVectors(folder, fingerprint, dimension, max_bytes=settings.max_bytes, name=shown(settings.uri))


class CachedVectors:
    """Implements ports.VectorCache. What is kept is found at once, and by other processes when its segment is full or `close` was called.

    Any number of processes may use one folder. It stays below `max_bytes` but for what others wrote in the last moments, and below it when
    all of them are closed.
    """

    def __init__(self, folder: SegmentFolder, fingerprint: str, dimension: int, *, max_bytes: int, name: str) -> None:
        """`name` is the place as the user wrote it."""
        self._folder = folder
        self._dimension = dimension
        self._type = record_type(dimension)
        self._segment_rows = max(1, min(SEGMENT_BYTES, max_bytes // 16) // (self._type.itemsize + 8))
        self._space = _Space(folder, fingerprint, max_bytes)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="cache")
        self._writes = InFlight(WRITERS)
        self._trouble = _Trouble(name)
        self._lock = threading.Lock()
        self._segments: list[Segment | None] = []  # None: not written yet, or of no use any more
        self._unwritten: dict[int, np.ndarray] = {}
        self._index = Index()
        self._read_ids([segment for segment in self._space.look() if segment.embedding == fingerprint and segment.is_whole])
        self._begin_segment()

    @property
    def trouble(self) -> str:
        return str(self._trouble)

    def find(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        digests = digests_of(texts)
        places = self._index.places(digests[:, 0])
        wanted = np.flatnonzero(places != NOWHERE)
        wanted = wanted[np.argsort(places[wanted])]
        by_segment = np.split(wanted, np.flatnonzero(np.diff(segment_of(places[wanted]))) + 1) if wanted.size else []
        vectors = np.empty((len(texts), self._dimension), dtype=np.float32)
        found = np.zeros(len(texts), dtype=bool)

        def read(positions: np.ndarray) -> None:
            rows, where = np.unique(row_of(places[positions]), return_inverse=True)  # equal texts are one row
            records = self._records(int(segment_of(places[positions[:1]])[0]), rows)
            if records is None:
                return
            right = (records["digest"][where] == digests[positions]).all(axis=1)
            vectors[positions[right]] = records["vector"][where[right]]
            found[positions[right]] = True

        list(self._readers.map(read, by_segment))
        positions = np.flatnonzero(found)
        return positions, vectors[positions]

    def keep(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        full = []
        with self._lock:
            digests = digests_of(texts)
            segments = segment_of(self._index.places(digests[:, 0]))
            _, first = np.unique(digests[:, 0], return_index=True)
            first.sort()
            new = first[np.array([not self._has(segment) for segment in segments[first].tolist()], dtype=bool)]
            while new.size:
                some, new = np.split(new, [self._segment_rows - self._filled])
                self._fill(digests[some], vectors[some])
                if self._filled == self._segment_rows:
                    full.append(self._end_segment())
                    self._begin_segment()
        for number in full:
            self._writes.submit(self._write, number)

    def close(self) -> None:
        with self._lock:
            last = self._end_segment()
        if len(self._unwritten[last]):
            self._writes.submit(self._write, last)
        self._writes.wait()
        try:
            self._space.trim()
        except Exception as error:
            self._trouble.happened(error)
        self._readers.shutdown()

    def _read_ids(self, segments: list[Segment]) -> None:
        """Raises Unreachable where that cannot be done; what is damaged or just being deleted is left out."""
        ids, places = [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=np.int64)]
        with ThreadPoolExecutor(OPENERS) as openers:
            for segment, its in zip(segments, openers.map(self._folder.ids, segments), strict=True):
                if its is not None:
                    ids.append(its)
                    places.append(place(len(self._segments), np.arange(its.size)))
                    self._segments.append(segment)
        self._index.add(np.concatenate(ids), np.concatenate(places))

    def _has(self, number: int) -> bool:
        """Whether what the index says of this segment can be believed."""
        return number >= 0 and (number in self._unwritten or self._segments[number] is not None)

    def _begin_segment(self) -> None:
        self._unwritten[len(self._segments)] = np.empty(self._segment_rows, dtype=self._type)
        self._segments.append(None)
        self._filled = 0

    def _fill(self, digests: np.ndarray, vectors: np.ndarray) -> None:
        number, rows = len(self._segments) - 1, np.arange(self._filled, self._filled + len(digests))
        records = self._unwritten[number]
        records["digest"][rows], records["vector"][rows] = digests, vectors
        self._filled += rows.size
        self._index.add(digests[:, 0], place(number, rows))

    def _end_segment(self) -> int:
        number = len(self._segments) - 1
        self._unwritten[number] = self._unwritten[number][: self._filled]
        return number

    def _write(self, number: int) -> None:
        records = self._unwritten[number]
        segment = None
        if not self._trouble.is_resting:
            try:
                segment = self._folder.new(len(records))
                with self._space.for_writing(segment):
                    self._folder.write(segment, records)
            except Exception as error:  # fsspec's packages raise what they like; the vectors are in the collection all the same
                self._trouble.happened(error)
                segment = None
        with self._lock:
            self._trouble.unkept += len(records) if segment is None else 0
            self._segments[number] = segment
            del self._unwritten[number]

    def _records(self, number: int, rows: np.ndarray) -> np.ndarray | None:
        with self._lock:
            unwritten, segment = self._unwritten.get(number), self._segments[number]
        if unwritten is not None:
            return unwritten[rows]
        if segment is None or self._trouble.is_resting:
            return None
        try:
            return self._folder.read(segment, rows)
        except Exception as error:
            if not (isinstance(error, OSError) and isinstance(explained(error, ""), Unreachable)):
                with self._lock:
                    self._segments[number] = None  # damaged or gone: its texts may be kept anew
                return None
            self._trouble.happened(error)
            return None


class _Trouble:
    """What went wrong first, and how long to leave the place alone."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first = ""
        self._rests_until = 0.0
        self.unkept = 0

    def happened(self, error: Exception) -> None:
        self._rests_until = time.monotonic() + REST_SECONDS
        if not self._first:
            told = explained(error, self._name) if isinstance(error, OSError) else None
            self._first = str(told) if isinstance(told, Unreachable) else f"{self._name}: {shown(' '.join(str(error).split()))[:300]}."

    @property
    def is_resting(self) -> bool:
        return time.monotonic() < self._rests_until

    def __str__(self) -> str:
        if not self._first:
            return ""
        return f"The cache had trouble, and {self.unkept:,} vectors were not kept: {self._first}" if self.unkept else f"The cache had trouble: {self._first}"


class _Space:
    """Keeps the whole folder, all embeddings together, below a bound."""

    def __init__(self, folder: SegmentFolder, fingerprint: str, max_bytes: int) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._own: set[str] = set()
        self._being_written: dict[str, int] = {}
        self._bytes = self._since_look = 0

    def look(self) -> list[Segment]:
        """All segments but those that are being written here, which count in full from the beginning."""
        segments = [segment for segment in self._folder.segments() if segment.name not in self._being_written]
        self._bytes = sum(segment.size for segment in segments) + sum(self._being_written.values())
        self._since_look = 0
        return segments

    @contextmanager
    def for_writing(self, segment: Segment) -> Iterator[None]:
        """Room for a segment that is written in this block. Raises OSError where there is none to make."""
        with self._lock:
            if segment.size > self._max_bytes:
                raise OSError("cache.max_gib is too little for a single vector")
            if self._bytes + segment.size > self._max_bytes or self._since_look * LOOK_AGAIN_SHARE > self._max_bytes:
                self._trim(self._max_bytes - segment.size)
            self._own.add(segment.name)
            self._being_written[segment.name] = segment.size
            self._bytes += segment.size
            self._since_look += segment.size
        try:
            yield
        finally:
            with self._lock:
                del self._being_written[segment.name]

    def trim(self) -> None:
        with self._lock:
            self._trim(self._max_bytes)

    def _trim(self, limit: int) -> None:
        for segment in sorted(self.look(), key=self._worth):
            if self._bytes <= limit and not segment.is_abandoned:
                break
            self._folder.remove(segment)
            self._bytes -= segment.size

    def _worth(self, segment: Segment) -> tuple[int, str]:
        """What goes first: remains of killed processes, then the oldest of other embeddings, then any of this one, what this run wrote last.

        Any and not the oldest: a catalogue a little larger than the cache, read in the same order each time, would always meet what was
        just deleted, and find nothing at all.
        """
        if segment.is_abandoned:
            return 0, segment.name
        if segment.embedding != self._fingerprint:
            return 1, segment.name
        return (3 if segment.name in self._own else 2), f"{random.random():.9f}"
