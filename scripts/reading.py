"""Reading a source as one collection has it: its own key, text and columns, cleaned; of each key the first row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np

from scripts import digests
from scripts.inventory import KeySet
from scripts.layout import Layout
from scripts.pair import Stamp
from scripts.ports import Source
from scripts.records import Faults, RowCleaner, Rows
from scripts.settings import BadRow, SourceSettings
from scripts.shards import Shard


def as_of(source: SourceSettings, stamp: Stamp) -> SourceSettings:
    """The source as this pair reads it. An older pair stays what it is, whatever the configuration says by now."""
    columns = tuple(column.name for column in stamp.layout.columns)
    embedding = stamp.embedding
    return source.model_copy(
        update={"key": stamp.layout.key.name, "columns": columns, "text": embedding.template, "unescape_html": embedding.unescape_html}
    )


class Reading:
    """One pass over a source, or over a shard's rows of it. `seen`, `faults` and `digest` are complete when it has ended."""

    def __init__(self, source: Source, settings: SourceSettings, layout: Layout, shard: Shard = Shard()) -> None:
        self.faults = Faults(settings)
        self.seen = KeySet()
        self.digest = 0
        """Of all good rows, as digests.of_rows has it."""
        self._source = source
        # The collection's own types, not those that the source shows today: a first empty price must not turn int64 into double half way.
        self._cleaner = RowCleaner(settings, layout.key, layout.columns, self.faults, shard)

    @property
    def fingerprint(self) -> str:
        """As `Content` has it."""
        return f"{self.digest:016x}"

    def pieces(self) -> Iterator[tuple[int, Rows]]:
        """How many rows each piece of the source has, whatever they are, and which of them are good: maybe none.

        Raises UsageError on bad rows that the configuration calls errors, and what the source raises.
        """
        with closing(self._source.read()) as pieces:
            for raw in (part for piece in pieces for part in piece.parts()):
                rows = self._first_of_each_key(self._cleaner.clean(raw))
                if len(rows):
                    self.digest = (self.digest + digests.of_rows(rows.key_ids, rows.text_hashes, rows.column_hashes)) % 2**64
                yield len(raw), rows

    def rows(self) -> Iterator[Rows]:
        """The good rows alone, in the pieces that have some. Raises what `pieces` raises."""
        return (rows for _, rows in self.pieces() if len(rows))

    def _first_of_each_key(self, rows: Rows) -> Rows:
        if not len(rows):
            return rows
        repeated = self.seen.add(rows.key_ids)
        for position in np.flatnonzero(repeated):
            self.faults.add(BadRow.DUPLICATE_KEY, f"key {rows.keys[position]} again in {rows.places[position]}")
        return rows.take(np.flatnonzero(~repeated)) if repeated.any() else rows
