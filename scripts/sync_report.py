"""What a pass over a source did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scripts.pair import Content
from scripts.records import EXAMPLES_KEPT, Faults

COUNTS = ("seen", "unchanged", "embedded", "copied", "deduplicated", "written", "deleted", "skipped")


@dataclass(slots=True)
class SyncReport:
    """Counted in rows, but `embedded` in texts: equal texts of a window are encoded once, the rest is `deduplicated`.

    `copied` rows got a vector that existed already: their own, production's, or the cache's.
    """

    faults: Faults
    seen: int = 0
    unchanged: int = 0
    embedded: int = 0
    deduplicated: int = 0
    copied: int = 0
    written: int = 0
    deleted: int = 0
    cut_off: int = 0
    """Embedded texts of which the model read only the beginning."""
    cut_off_keys: list[int | str] = field(default_factory=list)
    fingerprint: int = 0
    seconds: float = 0.0

    @classmethod
    def total(cls, parts: Sequence[SyncReport], seconds: float) -> SyncReport:
        """Of all shards together; there is at least one."""
        total = cls(Faults(parts[0].faults.settings), seconds=seconds)
        for name in ("seen", "unchanged", "embedded", "deduplicated", "copied", "written", "deleted", "cut_off"):
            setattr(total, name, sum(getattr(part, name) for part in parts))
        for part in parts:
            total.faults.counts += part.faults.counts
            for kind, named in part.faults.examples.items():
                total.faults.examples[kind] = [*total.faults.examples.get(kind, []), *named][:EXAMPLES_KEPT]
        total.cut_off_keys = [key for part in parts for key in part.cut_off_keys][:EXAMPLES_KEPT]
        total.fingerprint = sum(part.fingerprint for part in parts) % 2**64
        return total

    @property
    def skipped(self) -> int:
        return self.faults.total

    @property
    def rows(self) -> int:
        """Distinct good keys of the source: what the collection holds after a complete pass."""
        return self.seen - self.skipped

    @property
    def rate(self) -> float:
        """Rows of the source per second."""
        return self.seen / self.seconds if self.seconds else 0.0

    def note_cut_off(self, key: int | str) -> None:
        self.cut_off += 1
        if len(self.cut_off_keys) < EXAMPLES_KEPT:
            self.cut_off_keys.append(key)

    def content(self, *, read_at: datetime) -> Content:
        return Content(rows=self.rows, fingerprint=f"{self.fingerprint:016x}", skipped=self.skipped, read_at=read_at)

    def lines(self) -> list[str]:
        counts = ", ".join(f"{name} {getattr(self, name):,}" for name in COUNTS)
        lines = [f"  {counts} ({self.seconds:,.1f} s, {self.rate:,.0f} rows/s)"]
        if self.skipped:
            lines.append(f"  skipped: {self.faults.summary()}")
        if self.cut_off:
            keys = ", ".join(map(str, self.cut_off_keys))
            lines.append(f"  {self.cut_off:,} texts are longer than the model takes, which read their beginning (keys {keys}{', …' if self.cut_off > EXAMPLES_KEPT else ''})")
        return lines

    def facts(self) -> dict[str, Any]:
        faults = {kind.value: {"count": count, "examples": self.faults.examples[kind]} for kind, count in self.faults.counts.items()}
        return {name: getattr(self, name) for name in COUNTS} | {
            "faults": faults,
            "cut_off": {"count": self.cut_off, "examples": self.cut_off_keys},
            "seconds": self.seconds,
        }
