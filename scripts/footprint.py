"""What a pair takes: memory while it is loaded, and disk. An estimate, because Milvus tells neither."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scripts.layout import FieldType, Index, IndexType, Layout
from scripts.pair import Stamp

FORMULA = (
    "an estimate from rows and layout, not a measurement: HNSW 4·d + 8·M bytes a row (faiss wiki, Guidelines to choose an index), IVF and DiskANN by "
    "their codes, other columns by their width, strings and lists as 64 bytes; of one replica"
)

# Row id and timestamp, which Milvus adds to each row.
_SYSTEM_BYTES = 16
# The two content hashes, int64.
_HASH_BYTES = 16
_WIDTHS = {FieldType.INT64: 8, FieldType.DOUBLE: 8, FieldType.BOOL: 1}
_OF_UNKNOWN_LENGTH = 64
# What DiskANN keeps in memory of the raw vectors, as milvus.yaml has it: PQCodeBudgetGBRatio and SearchCacheBudgetGBRatio (2.3.5). Its graph
# on disk has MaxDegree 56.
_DISKANN_SHARE, _DISKANN_DEGREE = 0.125 + 0.1, 56
# AUTOINDEX is HNSW with these links on a server of one's own (2.3.5).
_AUTOINDEX_LINKS = 18


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
    rows = [content.rows for content in ([stamp.content] if stamp.content else stamp.shards.values()) if content]
    return estimate(stamp.layout, sum(rows)) if rows else None


def estimate(layout: Layout, rows: int) -> Footprint:
    """Loaded, Milvus has the index and the scalar columns in memory; on disk the rows and the index beside them.

    Measured with 100,000 rows and a string of 200 bytes: at its release a collection gave back 1,764 bytes a row (HNSW, 384 numbers), 706 (HNSW,
    128), 532 (IVF_SQ8, 384), 1,551 (FLAT, 384); this says 1,768, 744, 488 and 1,640 (2.3.5).
    """
    vector = 4 * layout.dimension
    scalars = _SYSTEM_BYTES + _HASH_BYTES + sum(_WIDTHS.get(column.type, _OF_UNKNOWN_LENGTH) for column in (layout.key, *layout.columns))
    in_memory, on_disk = _index_bytes(layout.index, layout.dimension)
    return Footprint(memory=int(rows * (in_memory + scalars)), disk=int(rows * (vector + scalars + on_disk)))


def _index_bytes(index: Index, dimension: int) -> tuple[float, float]:
    """Per row, in memory and on disk."""
    vector, params = 4.0 * dimension, index.build_params()
    match index.type:
        case IndexType.FLAT:
            return vector, 0.0
        case IndexType.IVF_FLAT:
            return vector, vector
        case IndexType.IVF_SQ8:
            return vector / 4, vector / 4
        case IndexType.IVF_PQ:
            codes = params["m"] * params["nbits"] / 8
            return codes, codes
        case IndexType.DISKANN:
            return vector * _DISKANN_SHARE, vector + 4 * _DISKANN_DEGREE
        case _:
            graph = vector + 8 * params.get("M", _AUTOINDEX_LINKS)
            return graph, graph


def shown(count: int) -> str:
    """Bytes as people read them: `1.7 GB`."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}" if 0 < value < 10 and units[0] != "B" else f"{value:.0f} {units[0]}"
