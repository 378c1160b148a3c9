"""What a pair takes, from how its index is laid out."""

import pytest

from scripts import footprint
from scripts.capacity.needs import COMPACTED_BYTES, FLUSHED_BYTES, Shape, need
from scripts.layout import Column, FieldType, Index, IndexType, Layout, Metric


def shape(kind: IndexType = IndexType.HNSW, dimension: int = 384, metric: Metric = Metric.COSINE, **params: int) -> Shape:
    return Shape(dimension, Index(type=kind, metric=metric, params=params), columns=64)


def test_the_links_of_hnsw_are_those_of_hnswlib():
    """Twice M on the lowest level, and a count; each higher level with probability 1/M; pointers in memory alone."""
    few, many = (need(shape(M=links), 10**6).index for links in (16, 32))
    higher = [(4 * links + 4) / (links - 1) for links in (16, 32)]
    assert many.memory - few.memory == pytest.approx(10**6 * (2 * 4 * 16 + higher[1] - higher[0]))
    assert few.memory - few.stored == 10**6 * 8
    assert few.stored == pytest.approx(10**6 * (4 * 384 + 4 * 32 + 4 + 4 + higher[0] + 4))


def test_only_cosine_keeps_the_length_of_a_vector():
    """4 bytes of each."""
    cosine, product = (need(shape(metric=metric), 1_000).index.memory for metric in (Metric.COSINE, Metric.IP))
    assert cosine - product == 4_000


def test_lists_keep_codes_ids_and_centres():
    """A segment has no more lists than it has thirty-nine vectors for; in memory a long one takes a page more, a short one a twelfth."""
    codes = need(shape(IndexType.IVF_SQ8), 10_000).index
    assert (codes.stored, codes.memory) == (10_000 * (384 + 8) + 256 * 4 * 384, codes.stored + 256 * 4096)
    products = need(shape(IndexType.IVF_PQ, m=96), 10_000).index
    assert (products.stored, products.memory) == (10_000 * (96 + 8) + 256 * 4 * 384, products.stored + 10_000 * 96 / 12)
    assert need(shape(IndexType.IVF_SQ8), 40).index.stored == 40 * (384 + 8) + 4 * 384


def test_lists_of_whole_vectors_remember_where_each_is():
    """In memory alone; the length of a vector, for COSINE, is stored as well."""
    cosine, product = (need(shape(IndexType.IVF_FLAT, metric=metric), 10_000).index for metric in (Metric.COSINE, Metric.IP))
    assert product.stored == 10_000 * (4 * 384 + 8) + 256 * 4 * 384
    assert cosine.stored - product.stored == cosine.memory - product.memory == 10_000 * 4
    assert product.memory - product.stored == 10_000 * 8 + 256 * 4096


def test_every_segment_has_lists_of_its_own():
    """Those that compaction has made, those that flush has left, and the last one."""
    of_lists = shape(IndexType.IVF_SQ8, nlist=100)
    (_, full), (_, flushed), _ = of_lists.segments(1)
    assert [rows * (4 * 384 + of_lists.stored_scalars) for rows in (full, flushed)] == [
        pytest.approx(size, rel=1e-4) for size in (COMPACTED_BYTES, FLUSHED_BYTES)
    ]
    rows = 2 * full + 3 * flushed + 4_000
    assert of_lists.segments(rows) == [(2, full), (3, flushed), (1, 4_000)]
    assert need(of_lists, rows).index.stored == rows * (384 + 8) + 600 * 4 * 384


def test_diskann_fills_sectors_with_whole_nodes():
    """Two nodes of 384 numbers go into 4,096 bytes; one of 1,024 numbers takes two sectors."""
    assert need(shape(IndexType.DISKANN), 1_001).node_disk == 501 * 4096
    assert need(shape(IndexType.DISKANN, 1_024), 1_000).node_disk == 1_000 * 2 * 4096
    assert need(shape(IndexType.DISKANN), 1_000).index.memory == pytest.approx(1_000 * 4 * 384 * 0.225)


def test_exact_search_stores_no_index():
    """In memory the vectors themselves."""
    flat = need(shape(IndexType.FLAT), 1_000)
    assert (flat.index.memory, flat.index.stored, flat.node_disk) == (1_536_000, 0, 0)


def test_a_key_is_in_memory_twice():
    """As a column, and to find its row; on disk once."""
    layout = Layout(
        key=Column(name="id", type=FieldType.INT64),
        columns=(Column(name="price", type=FieldType.DOUBLE), Column(name="title", type=FieldType.STRING), Column(name="sold", type=FieldType.BOOL)),
        dimension=8,
        index=Index(),
    )
    of_layout = Shape.of(layout)
    assert of_layout.columns == 8 + 64 + 1
    assert of_layout.loaded_scalars - of_layout.stored_scalars == 16


def test_cleanup_and_capacity_have_one_formula():
    """What cleanup says a pair frees is what capacity says it takes."""
    layout = Layout(key=Column(name="id", type=FieldType.INT64), columns=(), dimension=384, index=Index())
    pair, size = need(Shape.of(layout), 12_345), footprint.estimate(layout, 12_345)
    assert (size.memory, size.disk) == (pair.memory, pair.storage)


def test_upserts_leave_deletes_in_memory_until_a_compaction():
    """In blocks of 32,768 for each segment that flush has left; a compacted one has none."""
    of_rows = shape()
    (_, full), (_, flushed), _ = of_rows.segments(1)

    def left(rows: int) -> int:
        return need(of_rows, rows).loaded_scalars - rows * of_rows.loaded_scalars

    assert 32_768 < flushed < 3 * 32_768
    assert [left(rows) / (3 * 2**18) for rows in (0, 1, 32_768, 32_769, flushed, flushed + 1, full)] == [0, 1, 1, 2, 3, 4, 0]
