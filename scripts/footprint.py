"""What a pair takes: memory while it is loaded, and disk. An estimate, because Milvus tells neither."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scripts.capacity.needs import FORMULA as FORMULA
from scripts.capacity.needs import Shape, need
from scripts.layout import Layout
from scripts.pair import Stamp


@dataclass(frozen=True, slots=True)
class Footprint:
    """In bytes."""

    memory: int = 0
    disk: int = 0

    def __str__(self) -> str:
        known = " and ".join(f"{shown(size)} of {what}" for size, what in ((self.memory, "memory"), (self.disk, "disk")) if size)
        return f"about {known}" if known else "nothing"

    @classmethod
    def total(cls, parts: Iterable[Footprint]) -> Footprint:
        known = list(parts)
        return cls(sum(part.memory for part in known), sum(part.disk for part in known))


def of_stamp(stamp: Stamp) -> Footprint | None:
    """Of the rows that the pair's last complete passes have found; None for a build of which no pass was completed."""
    rows = rows_of(stamp)
    return None if rows is None else estimate(stamp.layout, rows)


def rows_of(stamp: Stamp) -> int | None:
    """As `of_stamp` counts them."""
    rows = [content.rows for content in ([stamp.content] if stamp.content else stamp.shards.values()) if content]
    return sum(rows) if rows else None


def estimate(layout: Layout, rows: int) -> Footprint:
    """Loaded, Milvus has the index and the scalar columns in memory; on disk the rows and the index beside them."""
    needed = need(Shape.of(layout), rows)
    return Footprint(memory=needed.memory, disk=needed.storage)


def shown(count: int) -> str:
    """Bytes as people read them: `1.7 GB`."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}" if 0 < value < 10 and units[0] != "B" else f"{value:.0f} {units[0]}"
