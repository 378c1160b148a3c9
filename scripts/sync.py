"""`sync(source → collection)`: the one primitive that moves data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from scripts import digests
from scripts.config import BadRow, SourceSettings
from scripts.encoding import Encoder
from scripts.errors import UsageError
from scripts.inventory import Difference, Inventory, KeySet
from scripts.pair import Content
from scripts.ports import Collection, Source
from scripts.records import Faults, RowCleaner, Rows


@dataclass(slots=True)
class SyncReport:
    """What a pass did, in rows. `embedded` counts encoded texts; equal texts in a window are encoded once, the rest is `deduplicated`."""

    faults: Faults
    seen: int = 0
    unchanged: int = 0
    embedded: int = 0
    deduplicated: int = 0
    copied: int = 0
    written: int = 0
    deleted: int = 0
    fingerprint: int = 0
    seconds: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    @property
    def skipped(self) -> int:
        return self.faults.total

    @property
    def rows(self) -> int:
        """Distinct good keys of the source: what the collection holds after a complete pass."""
        return self.seen - self.skipped

    @property
    def rate(self) -> float:
        return self.seen / self.seconds if self.seconds else 0.0

    def content(self, *, now: datetime) -> Content:
        return Content(rows=self.rows, fingerprint=f"{self.rows}-{self.fingerprint:016x}", skipped=self.skipped, read_at=now)


def sync(
    source: Source, settings: SourceSettings, encoder: Encoder, collection: Collection, *, advance: Callable[[int], None] = lambda rows: None
) -> SyncReport:
    """Makes the collection equal to the source, comparing (key, content hash). Safe to run again after any crash.

    What the collection holds is read from the collection itself, so only unfinished work is done again. Rows that the source no longer
    has are deleted, but only after a complete pass: a pass that stops early deletes nothing. `advance` is told of rows read.

    Raises UsageError on an empty source (nothing is deleted then) and on bad rows that the configuration calls errors;
    UnfitModel when a vector is not usable.
    """
    held = Inventory(collection.contents())
    seen = KeySet()
    report = SyncReport(Faults(settings))
    # The collection's own types, not those that the source shows today: a first empty price must not turn int64 into double half way.
    cleaner = RowCleaner(settings, collection.layout.key, collection.layout.columns, report.faults)
    for raw in source.read():
        rows = _without_duplicates(cleaner.clean(raw), seen, report.faults)
        _apply(rows, held.compare(rows), encoder, collection, report)
        report.seen += len(raw)
        report.fingerprint = (report.fingerprint + digests.of_rows(rows.key_ids, rows.text_hashes, rows.column_hashes)) % 2**64
        advance(len(raw))
    if report.rows == 0:
        raise UsageError(
            f"The source has no usable rows ({report.seen} read, {report.skipped} skipped).",
            hint="Check source.uri; nothing was deleted from the collection.",
        )
    if held.missing_from(seen):
        report.deleted = _delete_unseen(collection, seen)
    report.seconds = time.monotonic() - report._began
    return report


def _without_duplicates(rows: Rows, seen: KeySet, faults: Faults) -> Rows:
    """The first row of each key."""
    if not len(rows):
        return rows
    repeated = seen.add(rows.key_ids)
    for position in np.flatnonzero(repeated):
        faults.add(BadRow.DUPLICATE_KEY, f"key {rows.keys[position]} again in {rows.places[position]}")
    return rows.take(np.flatnonzero(~repeated)) if repeated.any() else rows


def _apply(rows: Rows, difference: np.ndarray, encoder: Encoder, collection: Collection, report: SyncReport) -> None:
    """Brings one window of rows into the collection."""
    report.unchanged += int((difference == Difference.SAME).sum())
    if (to_copy := np.flatnonzero(difference == Difference.COLUMNS)).size:
        changed = rows.take(to_copy)
        collection.write(changed, collection.vectors(changed.keys))
        report.copied += len(changed)
        report.written += len(changed)
    if (to_embed := np.flatnonzero((difference == Difference.NEW) | (difference == Difference.TEXT))).size:
        fresh = rows.take(to_embed)
        distinct = len(set(fresh.texts))
        collection.write(fresh, encoder.documents(fresh.texts, [f"key {key}" for key in fresh.keys]))
        report.embedded += distinct
        report.deduplicated += len(fresh) - distinct
        report.written += len(fresh)


def _delete_unseen(collection: Collection, seen: KeySet) -> int:
    deleted = 0
    # The keys are read before any is deleted: a reader that walks while rows vanish under it would miss some.
    doomed = [[page.keys[i] for i in np.flatnonzero(~seen.contains(digests.of_keys(page.keys)))] for page in collection.contents()]
    for keys in doomed:
        if keys:
            collection.delete(keys)
            deleted += len(keys)
    return deleted
