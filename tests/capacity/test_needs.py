"""What a pair takes, from how its index is laid out."""

import pytest

from scripts import footprint
from scripts.capacity.needs import SEGMENT_BYTES, Shape, need
from scripts.layout import Column, FieldType, Index, IndexType, Layout, Metric


def shape(kind: IndexType = IndexType.HNSW, dimension: int = 384, metric: Metric = Metric.COSINE, **params: int) -> Shape:
    return Shape(dimension, Index(type=kind, metric=metric, params=params), columns=64)


def test_the_links_of_hnsw_are_those_of_hnswlib():
    """Twice M on the lowest level, and a count; each higher level with probability 1/M; pointers, levels and mutexes in memory alone."""
    few, many = (need(shape(M=links), 10**6).index for links in (16, 32))
    higher = [(4 * links + 4) / (links - 1) for links in (16, 32)]
    assert many.memory - few.memory == pytest.approx(10**6 * (2 * 4 * 16 + higher[1] - higher[0]))
    assert few.memory - few.stored == 10**6 * (8 + 40)
    assert few.stored == pytest.approx(10**6 * (4 * 384 + 4 * 32 + 4 + 4 + higher[0] + 4))


def test_only_cosine_keeps_the_length_of_a_vector():
    """4 bytes of each."""
    cosine, product = (need(shape(metric=metric), 1_000).index.memory for metric in (Metric.COSINE, Metric.IP))
    assert cosine - product == 4_000


def test_lists_keep_codes_ids_and_centres():
    """A segment has no more lists than it has forty vectors for."""
    code = {IndexType.IVF_FLAT: 4 * 384, IndexType.IVF_SQ8: 384}
    for kind, size in code.items():
        assert need(shape(kind), 10_000).index.memory == 10_000 * (size + 8) + 250 * 4 * 384
    assert need(shape(IndexType.IVF_PQ, m=96), 10_000).index.memory == 10_000 * (96 + 8) + 250 * 4 * 384
    assert need(shape(IndexType.IVF_SQ8), 40).index.memory == 40 * (384 + 8) + 4 * 384


def test_every_segment_has_lists_of_its_own():
    """As many full ones as there are, and the rest."""
    of_lists = shape(IndexType.IVF_SQ8, nlist=100)
    rows = of_lists.rows_per_segment
    assert rows * (4 * 384 + of_lists.stored_scalars) == pytest.approx(SEGMENT_BYTES, rel=1e-5)
    assert need(of_lists, 2 * rows + 4_000).index.memory == (2 * rows + 4_000) * (384 + 8) + 300 * 4 * 384


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
