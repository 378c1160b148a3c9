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

# The largest segment: dataCoord.segment.maxSize is 512 MB on 2.3.5 and 1,024 MB on 2.6.
SEGMENT_BYTES = 2**30
# Compaction makes them as large as that; here the smaller ones, of which there are more. What does not fill one stays as flush has left it:
# sealProportion of maxSize, which is 0.23 on 2.3.5 and 0.12 on 2.6.
COMPACTED_BYTES, FLUSHED_BYTES = 2**29, 118 * 2**20
# A list of IVF has at least this many vectors, or knowhere makes fewer lists (ivf.cc, MIN_POINTS_PER_CENTROID, 2.2.3).
_LEAST_IN_A_LIST = 39
# Each list is an allocation of jemalloc, which Milvus brings: a large one begins anywhere within a page (its config.cache_oblivious, 5.3), and the
# sizes of small ones are four to a doubling.
_PAGE_BYTES, _LARGE_ALLOCATION, _SMALL_SLACK = 4096, 14_336, 1 / 12
# AUTOINDEX is HNSW with these links on a server of one's own (2.3.5).
_AUTOINDEX_LINKS = 18
# An upsert is a delete as well. Until a compaction, a segment has each in memory, in blocks of so many (segcore, DeletedRecord::
# deprecated_size_per_chunk; the size of a block as jemalloc's own statistics show it, 2.3.5).
_DELETES_IN_A_BLOCK, _BLOCK_BYTES = 32_768, 3 * 2**18
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

    def segments(self, rows: int) -> list[tuple[int, int]]:
        """How many there are, of how many rows each: compacted ones, those that flush has left, and a last one."""
        width = self.vector + self.stored_scalars
        full, flushed = max(1, COMPACTED_BYTES // width), max(1, FLUSHED_BYTES // width)
        rest = rows % full
        return [(rows // full, full), (rest // flushed, flushed), (int(rest % flushed > 0), rest % flushed)]


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
    """With the deletes that upserts have left."""
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
        loaded_scalars=rows * shape.loaded_scalars + _deletes(shape, rows),
        index=_index(shape, rows),
    )


def segment_memory(shape: Shape, rows: int) -> int:
    """Of the largest segment that so many rows can be in: a query node has it twice for a moment while it loads it
    (IndexFactory::VecIndexLoadResource, 2.5)."""
    return need(shape, min(rows, shape.rows_per_segment)).memory


def _deletes(shape: Shape, rows: int) -> int:
    """Of the segments that nothing was compacted into yet."""
    _, *flushed = shape.segments(rows)
    return sum(count * math.ceil(rows_each / _DELETES_IN_A_BLOCK) for count, rows_each in flushed) * _BLOCK_BYTES


def _index(shape: Shape, rows: int) -> IndexBytes:
    vector, params = shape.vector, shape.index.build_params()
    match shape.index.type:
        case IndexType.FLAT:
            return IndexBytes(memory=rows * vector, stored=0)
        case IndexType.IVF_FLAT:
            # To give a vector back, knowhere remembers where it is (ivf.cc, make_direct_map).
            return _lists(shape, rows, vector, beside=_length(shape), only_in_memory=8)
        case IndexType.IVF_SQ8:
            return _lists(shape, rows, shape.dimension)
        case IndexType.IVF_PQ:
            return _lists(shape, rows, params["m"] * params["nbits"] / 8)
        case IndexType.DISKANN:
            return _diskann(shape, rows)
        case _:
            return _graph(shape, rows, params.get("M", _AUTOINDEX_LINKS))


def _graph(shape: Shape, rows: int, links: int) -> IndexBytes:
    """HNSW as knowhere's hnswlib lays it out when it is loaded (hnswalg.h, loadIndex, knowhere 2.2.3, which is Milvus 2.3's).

    On the lowest level, for each vector: 4·d bytes, 2·M links and their count; for COSINE its length. A vector is on another level with
    probability 1/M, so it has 1/(M−1) of them on average, each of M links and a count. Only in memory: where those levels are (8) and how many there
    are (4). Mutexes (40 bytes each) has only the index that is being built.
    """
    higher = (4 * links + 4) / max(1, links - 1)
    lowest = shape.vector + 4 * 2 * links + 4 + _length(shape)
    return IndexBytes(memory=rows * (lowest + higher + 8 + 4), stored=rows * (lowest + higher + 4))


def _length(shape: Shape) -> int:
    """Of a vector that is compared by its direction, beside it."""
    return 4 if shape.index.metric is Metric.COSINE else 0


def _lists(shape: Shape, rows: int, code: float, beside: int = 0, only_in_memory: int = 0) -> IndexBytes:
    """IVF as faiss lays it out (InvertedLists.h, IndexFlat.h): a code, what is `beside` it and an id of 8 bytes for each vector, and in each segment
    the centres of its lists, 4·d bytes each. Of scalar quantisation a code is d bytes, of product quantisation m·nbits/8; their tables are smaller
    than a list's centre times 256. In memory each list has some slack of its allocation."""
    stored = memory = 0.0
    for count, rows_each in shape.segments(rows):
        lists = max(1, min(shape.index.build_params()["nlist"], rows_each // _LEAST_IN_A_LIST))
        codes = rows_each * code
        slack = lists * _PAGE_BYTES if codes > lists * _LARGE_ALLOCATION else codes * _SMALL_SLACK
        stored += count * (rows_each * (code + beside + 8) + lists * shape.vector)
        memory += count * (rows_each * only_in_memory + slack)
    return IndexBytes(memory=stored + memory, stored=stored)


def _diskann(shape: Shape, rows: int) -> IndexBytes:
    """In memory the codes and the cache that milvus.yaml allows; on disk nodes of the vector and its links, whole ones in sectors of 4,096 bytes
    (DiskANN, create_disk_layout)."""
    node = shape.vector + 4 + 4 * _DISKANN_DEGREE
    per_sector = _SECTOR_BYTES // node
    disk = math.ceil(rows / per_sector) * _SECTOR_BYTES if per_sector else rows * math.ceil(node / _SECTOR_BYTES) * _SECTOR_BYTES
    return IndexBytes(memory=rows * shape.vector * _DISKANN_SHARE, stored=disk, node_disk=disk)
