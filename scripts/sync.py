"""`sync(source → collection)`: the one primitive that moves data.

Four things go on at the same time, with short queues between them: the source is read and cleaned; its rows are compared with what the
collection holds, and vectors that exist already are fetched; texts are encoded, a window at a time; rows are written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from scripts import digests
from scripts.errors import Refused, UsageError
from scripts.flow import Ahead, InFlight
from scripts.inventory import Difference, Inventory
from scripts.pace import Pace
from scripts.ports import Collection, Importer, Source
from scripts.reading import Reading
from scripts.records import Rows
from scripts.settings import SourceSettings
from scripts.shards import Shard
from scripts.supply import Supply
from scripts.sync_report import SyncReport

# Texts are encoded in order of length within a window. It is also about what a crash makes a pass encode again. (Of 500 texts, 1.05 times
# the cost of ordering them all; MiniLM, product texts.)
WINDOW_ROWS = 4_096
WINDOW_CHARACTERS = 16 << 20
CLEANED_AHEAD, COMPARED_AHEAD = 4, 2


@dataclass(frozen=True)
class Pass:
    """How a pass over the source goes about it."""

    shard: Shard = Shard()
    pace: Pace = field(default_factory=Pace)
    allow_empty: bool = False
    """Whether an empty source may empty the collection."""
    fresh: bool = False
    """Nothing was ever written to the collection, so there is nothing in it to compare with."""
    importer: Callable[[Collection], Importer] | None = None
    """Opens a way in for new rows, where they are not to be written one batch after the other."""
    at_most: int | None = None
    """Where somebody counted before: a pass that would write or delete more rows than this ends before it does."""
    advance: Callable[[int], None] = lambda rows: None
    """Told of rows of the source that are done, or about to be; also of none, before each deletion. What it raises ends the pass."""


def sync(source: Source, settings: SourceSettings, collection: Collection, supply: Supply, how: Pass | None = None) -> SyncReport:
    """Makes the collection equal to the source, comparing (key, content hash). Safe to run again after any crash.

    What the collection holds is read from the collection itself, so only unfinished work is done again. Rows that the source no longer
    has are deleted, but only after a complete pass: a pass that stops early deletes nothing. A pass over one shard leaves the keys of
    all others alone.

    Raises UsageError on an empty source (nothing is deleted then) and on bad rows that the configuration calls errors;
    UnfitModel when a vector is not usable.
    """
    how = how or Pass()
    reading = Reading(source, settings, collection.layout, how.shard)
    report = SyncReport(reading.faults)
    began = time.monotonic()
    survey = _Survey(reading, collection, supply, how, report)
    # Before the collection is read: what an earlier run handed over has to be in it by then.
    importer = how.importer(collection) if how.importer else None
    with InFlight(collection.writes_in_flight) as writes:
        sink = _Sink(collection, importer, how, writes, report)
        window = _Window()
        with Ahead(survey.differences(), COMPARED_AHEAD) as pieces:
            for piece in pieces:
                for positions, vectors in piece.copies:
                    sink.put(piece.rows.take(positions), vectors, piece.new[positions])
                    report.copied += len(positions)
                window.add(piece.rows.take(piece.rest), piece.new[piece.rest])
                if window.is_full:
                    _encode(*window.empty(), supply, sink, report)
                how.advance(piece.read)
        if len(window):
            _encode(*window.empty(), supply, sink, report)
    if importer:
        importer.close()
    survey.refuse_nothing(how.allow_empty)
    report.deleted = survey.delete_vanished(how)
    report.seconds = time.monotonic() - began
    return report


def _refuse_more(how: Pass, rows: int, collection: Collection) -> None:
    if how.at_most is not None and rows > how.at_most:
        raise Refused(f"The source moved on: {collection.name} lacks more than the {how.at_most:,} changes that were counted.", hint="Run the same command again.")


def _encode(rows: Rows, new: np.ndarray, supply: Supply, sink: _Sink, report: SyncReport) -> None:
    for position in supply.cut_off(rows):
        report.note_cut_off(rows.keys[position])
    for encoded in supply.encode(rows):
        sink.put(rows.take(encoded.positions), encoded.vectors, new[encoded.positions])
        report.embedded += encoded.distinct
        report.deduplicated += len(encoded.positions) - encoded.distinct


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows that the collection does not hold as they are. `new` says of which it does not hold the key."""

    rows: Rows
    new: np.ndarray
    copies: list[tuple[np.ndarray, np.ndarray]]
    """Positions, and the vectors that exist for them already."""
    rest: np.ndarray
    """The positions that have to be encoded."""
    read: int
    """How many rows of the source the piece was made of."""


class _Survey:
    """How each row of the source stands to the collection's row of the same key."""

    def __init__(self, reading: Reading, collection: Collection, supply: Supply, how: Pass, report: SyncReport) -> None:
        self._reading = reading
        self._collection = collection
        self._supply = supply
        self._shard = how.shard
        self._fresh = how.fresh
        self._report = report
        self._held = Inventory(())
        self._read = 0

    def differences(self) -> Iterator[_Piece]:
        """The report knows what was read when this has ended."""
        with Ahead(self._reading.pieces(), CLEANED_AHEAD) as cleaned:
            if not self._fresh:
                self._held = Inventory(self._collection.contents(), self._shard)  # while the first pieces of the source are read
            for read, rows in cleaned:
                self._read += read
                yield self._compared(rows, read)
        self._report.seen = len(self._reading.seen) + self._report.skipped
        self._report.fingerprint = self._reading.digest

    def refuse_nothing(self, allowed: bool) -> None:
        """Raises UsageError when the source has no usable row. Of a small source a shard may have none, if it holds none either."""
        if self._report.rows or allowed or (self._read and len(self._held) == 0 and not self._shard.is_all):
            return
        where = "" if self._shard.is_all else f" in shard {self._shard.index}/{self._shard.count}"
        raise UsageError(
            f"The source has no usable rows{where} ({self._report.seen} read, {self._report.skipped} skipped).",
            hint="Check source.uri; nothing was deleted from the collection. --allow-empty makes the collection as empty as the source.",
        )

    def delete_vanished(self, how: Pass) -> int:
        """Deletes what the source no longer has; to be called after a complete pass."""
        if not self._held.missing_from(self._reading.seen):
            return 0
        # All keys are read before any is deleted: a reader that walks while rows vanish under it would miss some.
        doomed = [keys for page in self._collection.contents() if (keys := self._vanished(page.keys))]
        _refuse_more(how, self._report.written + sum(map(len, doomed)), self._collection)
        for keys in doomed:
            how.pace.wait(len(keys))
            how.advance(0)  # whoever has taken over may have written what this pass did not see
            self._collection.delete(keys)
        return sum(map(len, doomed))

    def _vanished(self, keys: list[int] | list[str]) -> list[int] | list[str]:
        ids = digests.of_keys(keys)
        return [keys[i] for i in np.flatnonzero(self._shard.holds(ids) & ~self._reading.seen.contains(ids)).tolist()]

    def _compared(self, rows: Rows, read: int) -> _Piece:
        difference = self._held.compare(rows)
        different = np.flatnonzero(difference != Difference.SAME)
        self._report.unchanged += len(rows) - len(different)
        rows, difference = rows.take(different), difference[different]
        # Where only a stored column changed, the collection itself has the vector.
        itself = [self._collection] if (difference == Difference.COLUMNS).any() else []
        copies = list(self._supply.copies(rows, itself)) if len(rows) else []
        rest = np.setdiff1d(np.arange(len(rows)), np.concatenate([positions for positions, _ in copies])) if copies else np.arange(len(rows))
        return _Piece(rows, difference == Difference.NEW, copies, rest, read)


class _Window:
    """Rows that wait to be encoded together."""

    def __init__(self) -> None:
        self._parts: list[Rows] = []
        self._new: list[np.ndarray] = []
        self._rows = self._characters = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def is_full(self) -> bool:
        return self._rows >= WINDOW_ROWS or self._characters >= WINDOW_CHARACTERS

    def add(self, rows: Rows, new: np.ndarray) -> None:
        if len(rows):
            self._parts.append(rows)
            self._new.append(new)
            self._rows += len(rows)
            self._characters += sum(map(len, rows.texts))

    def empty(self) -> tuple[Rows, np.ndarray]:
        """All rows, which it no longer has; there is at least one."""
        rows, new = Rows.joined(self._parts), np.concatenate(self._new)
        self.__init__()
        return rows, new


class _Sink:
    """Brings rows into the collection, several writes at the same time, no faster than the pace allows."""

    def __init__(self, collection: Collection, importer: Importer | None, how: Pass, writes: InFlight, report: SyncReport) -> None:
        self._collection = collection
        self._importer = importer
        self._how = how
        self._pace = how.pace
        self._writes = writes
        self._report = report

    def put(self, rows: Rows, vectors: np.ndarray, new: np.ndarray) -> None:
        """Waits where writing is slower than whatever gives the vectors."""
        _refuse_more(self._how, self._report.written + len(rows), self._collection)
        if self._importer:
            self._put(self._importer.add, rows.take(np.flatnonzero(new)), vectors[new])
            rows, vectors = rows.take(np.flatnonzero(~new)), vectors[~new]
        self._put(self._collection.write, rows, vectors)

    def _put(self, write: Callable[[Rows, np.ndarray], None], rows: Rows, vectors: np.ndarray) -> None:
        step = self._pace.rows_at_once(len(rows))
        for start in range(0, len(rows), step or 1):
            some = slice(start, start + step)
            part = rows if step == len(rows) else rows.take(range(len(rows))[some])
            self._pace.wait(len(part))
            self._writes.submit(write, part, vectors[some])
            self._report.written += len(part)
