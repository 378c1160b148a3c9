"""How far a collection is behind its source: counted, with nothing written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scripts.inventory import Difference, Inventory
from scripts.ports import Collection
from scripts.reading import Reading


@dataclass(frozen=True)
class Behind:
    """In rows: keys that the collection lacks, rows with another text or column, keys that the source no longer has."""

    new: int = 0
    changed: int = 0
    vanished: int = 0

    @property
    def total(self) -> int:
        return self.new + self.changed + self.vanished

    def __str__(self) -> str:
        return f"{self.total:,} change{'' if self.total == 1 else 's'} ({self.new:,} new, {self.changed:,} changed, {self.vanished:,} gone)"


def behind(reading: Reading, collection: Collection) -> Behind:
    """Takes one pass over both, and is complete when `reading` is. Memory: 24 bytes a row of the collection, 8 to 16 a row of the source.

    Raises what the source raises.
    """
    held = Inventory(collection.contents())
    new = changed = 0
    for rows in reading.rows():
        difference = held.compare(rows)
        new += int((difference == Difference.NEW).sum())
        changed += int(np.isin(difference, (Difference.TEXT, Difference.COLUMNS)).sum())
    return Behind(new, changed, held.missing_from(reading.seen))
