"""The one formula of the kit for what a pair takes: memory while it is loaded, disk of a query node, and object storage."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scripts.layout import FieldType, Index, IndexType, Layout, Metric

FORMULA = (
    "an estimate from rows and layout, not a measurement: the index as hnswlib, faiss and DiskANN lay it out, other columns by their width, "
    "strings and lists as 64 bytes; of one replica"
)

# Row id and timestamp, which Milvus adds to each row.
_SYSTEM_BYTES = 16
# The two content hashes, int64.
_HASH_BYTES = 16
_WIDTHS = {FieldType.INT64: 8, FieldType.DOUBLE: 8, FieldType.BOOL: 1}
OF_UNKNOWN_LENGTH = 64
# Loaded, a segment keeps each key a second time, with where its row is (segcore, OffsetOrderedArray: 8 bytes beside the key).
_ROW_OF_KEY_BYTES = 8

# dataCoord.segment.maxSize is 512 MB on 2.3.5 and 1,024 MB on 2.6.
SEGMENT_BYTES = 2**30
# A list of IVF has at least this many vectors, or knowhere makes fewer lists (MIN_POINTS_PER_CENTROID).
_LEAST_IN_A_LIST = 40
# AUTOINDEX is HNSW with these links on a server of one's own (2.3.5).
_AUTOINDEX_LINKS = 18
# What DiskANN keeps in memory of the raw vectors, as milvus.yaml has it: PQCodeBudgetGBRatio and SearchCacheBudgetGBRatio (2.3.5). Its graph
# on disk has MaxDegree 56.
_DISKANN_SHARE, _DISKANN_DEGREE = 0.125 + 0.1, 56
_SECTOR_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Shape:
    """What every row of a pair is made of. `columns` are the bytes of a row beside the key, the vector and what the kit and Milvus add."""

    dimension: int
    index: Index
    columns: int
    key: int = 8

    @classmethod
    def of(cls, layout: Layout) -> Shape:
        """Nobody knows how long strings and lists are without reading them: they count as 64 bytes each."""
        columns = sum(_WIDTHS.get(column.type, OF_UNKNOWN_LENGTH) for column in layout.columns)
        return cls(layout.dimension, layout.index, columns, _WIDTHS.get(layout.key.type, OF_UNKNOWN_LENGTH))

    @property
    def vector(self) -> int:
        """float32."""
        return 4 * self.dimension

    @property
    def stored_scalars(self) -> int:
        return _SYSTEM_BYTES + _HASH_BYTES + self.key + self.columns

    @property
    def loaded_scalars(self) -> int:
        return self.stored_scalars + self.key + _ROW_OF_KEY_BYTES

    @property
    def rows_per_segment(self) -> int:
        """Of a full one."""
        return max(1, SEGMENT_BYTES // (self.vector + self.stored_scalars))


@dataclass(frozen=True, slots=True)
class IndexBytes:
    """Of all rows: `memory` while loaded, `node_disk` on the query node that has loaded it, `stored` in object storage."""

    memory: float
    stored: float
    node_disk: float = 0.0


@dataclass(frozen=True, slots=True)
class Need:
    """Of one pair and one replica, in bytes."""

    rows: int
    vectors: int
    """As stored. In memory they are a part of the index."""
    stored_scalars: int
    loaded_scalars: int
    index: IndexBytes

    @property
    def memory(self) -> int:
        """Of query nodes, while the pair is loaded."""
        return int(self.index.memory) + self.loaded_scalars

    @property
    def storage(self) -> int:
        """Of object storage, when compaction and garbage collection have come to rest."""
        return self.vectors + self.stored_scalars + int(self.index.stored)

    @property
    def node_disk(self) -> int:
        return int(self.index.node_disk)


def need(shape: Shape, rows: int) -> Need:
    """What `rows` rows of this shape take. Deleted rows count until a compaction has removed them."""
    return Need(
        rows=rows,
        vectors=rows * shape.vector,
        stored_scalars=rows * shape.stored_scalars,
        loaded_scalars=rows * shape.loaded_scalars,
        index=_index(shape, rows),
    )


def segment_memory(shape: Shape) -> int:
    """Of one full segment: a query node has it twice for a moment while it loads it (IndexFactory::VecIndexLoadResource, 2.5)."""
    return need(shape, shape.rows_per_segment).memory


def _index(shape: Shape, rows: int) -> IndexBytes:
    vector, params = shape.vector, shape.index.build_params()
    match shape.index.type:
        case IndexType.FLAT:
            return IndexBytes(memory=rows * vector, stored=0)
        case IndexType.IVF_FLAT:
            return _lists(shape, rows, vector)
        case IndexType.IVF_SQ8:
            return _lists(shape, rows, shape.dimension)
        case IndexType.IVF_PQ:
            return _lists(shape, rows, params["m"] * params["nbits"] / 8)
        case IndexType.DISKANN:
            return _diskann(shape, rows)
        case _:
            return _graph(shape, rows, params.get("M", _AUTOINDEX_LINKS))


def _graph(shape: Shape, rows: int, links: int) -> IndexBytes:
    """HNSW as knowhere's hnswlib lays it out (hnswalg.h, the version of Milvus 2.3).

    On the lowest level, for each vector: 4·d bytes, 2·M links and their count; for COSINE its length. A vector is on another level with
    probability 1/M, so it has 1/(M−1) of them on average, each of M links and a count. Only in memory: where those levels are (8), how many there
    are (4) and a mutex (40).
    """
    higher = (4 * links + 4) / max(1, links - 1)
    length = 4 if shape.index.metric is Metric.COSINE else 0
    lowest = shape.vector + 4 * 2 * links + 4 + length
    return IndexBytes(memory=rows * (lowest + higher + 8 + 4 + 40), stored=rows * (lowest + higher + 4))


def _lists(shape: Shape, rows: int, code: float) -> IndexBytes:
    """IVF as faiss lays it out (InvertedLists.h, IndexFlat.h): a code and an id of 8 bytes for each vector, and in each segment the centres of its
    lists, 4·d bytes each. Of scalar quantisation a code is d bytes, of product quantisation m·nbits/8; their tables are smaller than a list's centre
    times 256."""
    full, rest = divmod(rows, shape.rows_per_segment)
    lists = full * _number_of_lists(shape, shape.rows_per_segment) + (_number_of_lists(shape, rest) if rest else 0)
    size = rows * (code + 8) + lists * shape.vector
    return IndexBytes(memory=size, stored=size)


def _number_of_lists(shape: Shape, rows: int) -> int:
    return max(1, min(shape.index.build_params()["nlist"], rows // _LEAST_IN_A_LIST))


def _diskann(shape: Shape, rows: int) -> IndexBytes:
    """In memory the codes and the cache that milvus.yaml allows; on disk nodes of the vector and its links, whole ones in sectors of 4,096 bytes
    (DiskANN, create_disk_layout)."""
    node = shape.vector + 4 + 4 * _DISKANN_DEGREE
    per_sector = _SECTOR_BYTES // node
    disk = math.ceil(rows / per_sector) * _SECTOR_BYTES if per_sector else rows * math.ceil(node / _SECTOR_BYTES) * _SECTOR_BYTES
    return IndexBytes(memory=rows * shape.vector * _DISKANN_SHARE, stored=disk, node_disk=disk)
