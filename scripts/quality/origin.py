"""The source as it is now, beside what a collection holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scripts.behind import Behind, behind
from scripts.errors import KitError
from scripts.pair import Stamp
from scripts.ports import Collection, Source
from scripts.quality.facts import SourceFacts
from scripts.quality.sampling import Sample
from scripts.quality.stored import StoredRows
from scripts.reading import Reading
from scripts.records import Rows
from scripts.settings import SourceSettings


class Origin:
    """The source that a pair was made of, read once; a second time where what it holds is not what the collection holds.

    `trouble` says why it could not be read; nothing else is to be asked of it then.
    """

    def __init__(self, open_source: Callable[[SourceSettings], Source], settings: SourceSettings, stamp: Stamp, sample: Sample[Rows]) -> None:
        self._open = open_source
        self._settings = settings
        self._stamp = stamp
        self._sample = sample
        self._reading: Reading | None = None
        self.trouble = ""

    def read(self) -> Iterator[None]:
        """The first pass, a piece at a time. Raises nothing that the source raises."""
        try:
            self._reading = self._new_reading()
            for rows in self._reading.rows():
                self._sample.add(rows.key_ids, lambda at, rows=rows: rows.take([at]))
                yield
        except KitError as error:
            self.trouble = str(error)

    def sampled(self) -> Rows | None:
        """None where the source has no usable row."""
        parts = self._sample.items()
        return Rows.joined(parts) if parts else None

    def compared(self, stored: StoredRows, collection: Collection) -> SourceFacts:
        """Raises what the second pass raises, where there is one."""
        reading = self._reading
        if (len(reading.seen), reading.fingerprint) == (stored.rows, stored.fingerprint):
            return _facts(reading)
        reading = self._new_reading()
        return _facts(reading, behind(reading, collection))

    def _new_reading(self) -> Reading:
        return Reading(self._open(self._settings), self._settings, self._stamp.layout)


def _facts(reading: Reading, found: Behind = Behind()) -> SourceFacts:
    faults = reading.faults
    return SourceFacts(
        rows=len(reading.seen),
        new=found.new,
        changed=found.changed,
        vanished=found.vanished,
        skipped={kind.value: count for kind, count in faults.counts.items()},
        examples={kind.value: tuple(named) for kind, named in faults.examples.items()},
    )
