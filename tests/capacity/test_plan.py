"""When how much is needed, where it fits and which index suits."""

import pytest

from scripts.capacity import plan
from scripts.capacity.moments import Window, moments
from scripts.capacity.needs import Shape, need
from scripts.capacity.nodes import FILLED, NODE_OWN_BYTES, Nodes, fit, is_for_one, sized
from scripts.capacity.quantities import GI
from scripts.errors import UsageError
from scripts.layout import Index, IndexType, Metric

HNSW = Shape(768, Index(), columns=64)
ROWS = 10_000_000


def test_a_promotion_has_two_pairs_loaded_and_the_way_back():
    """Production, the candidate and keep_loaded predecessors in memory; keep_previous on disk; replicas in memory alone."""
    pair = need(HNSW, ROWS)
    alone, rest, promotion = moments(pair, Window(keep_loaded=1, keep_previous=3, replicas=2))
    assert (alone.memory, rest.memory, promotion.memory) == (2 * pair.memory, 4 * pair.memory, 6 * pair.memory)
    assert (alone.storage, rest.storage, promotion.storage) == (pair.storage, 4 * pair.storage, 5 * pair.storage)


def test_no_more_predecessors_are_loaded_than_are_kept():
    """keep_loaded is a share of keep_previous."""
    assert moments(need(HNSW, ROWS), Window(keep_loaded=2, keep_previous=0))[-1].loaded == 2


def test_a_node_is_filled_to_nine_tenths():
    """Of its memory, less what is its own and one more segment while that is loaded."""
    assert Nodes(2, 64 * GI).holds(GI) == int(2 * (64 * GI * FILLED - NODE_OWN_BYTES - GI))
    assert Nodes(1, 2 * GI).holds(4 * GI) == 0
    usable = Nodes(2, 64 * GI).holds(GI)
    assert fit(Nodes(2, 64 * GI), usable, GI).holds and not fit(Nodes(2, 64 * GI), usable + 1, GI).holds


@pytest.mark.parametrize("needed", [0, 1, 5 * GI, 40 * GI, 700 * GI, 20_000 * GI])
def test_what_is_recommended_holds_what_is_needed(needed):
    """At every size, and one node less would not."""
    nodes = sized(needed, GI)
    assert fit(nodes, needed, GI).holds
    assert nodes.count == 1 or not fit(Nodes(nodes.count - 1, nodes.memory), needed, GI).holds


def test_each_replica_has_nodes_of_its_own():
    """However little there is to load."""
    assert sized(GI, GI, at_least=3).count == 3
    assert is_for_one(sized(GI, GI)) and not is_for_one(sized(GI, GI, at_least=2)) and not is_for_one(sized(100 * GI, GI))


def test_the_index_gives_up_no_more_than_the_memory_asks():
    """Of the same rows: HNSW where it fits, codes where memory is short, nothing where nothing fits."""
    chosen = [plan.planned(HNSW, ROWS, Window(), Nodes.parse(memory)).choice for memory in ("2x64Gi", "64Gi", "16Gi", "8Gi")]
    assert [choice.index.type if choice.index else None for choice in chosen] == [IndexType.HNSW, IndexType.IVF_SQ8, IndexType.IVF_PQ, None]
    assert "would not fit" in chosen[1].why and "more memory" in chosen[3].why


def test_few_rows_are_searched_exactly():
    """About 100 MB of vectors; one more than that gets an index."""
    few = 10**8 // (4 * 768)
    chosen = [plan.planned(HNSW, rows, Window(), None).choice.index for rows in (few, few + 1)]
    assert [index.type for index in chosen] == [IndexType.FLAT, IndexType.HNSW]


def test_the_index_that_suits_keeps_what_was_set():
    """Rows and columns stay; the index changes."""
    suited = plan.suited(HNSW, ROWS, Window(), Nodes.parse("64Gi"))
    assert (suited.index.type, suited.columns, suited.dimension) == (IndexType.IVF_SQ8, HNSW.columns, HNSW.dimension)


@pytest.mark.parametrize(
    ("index", "dimension", "m"),
    [("HNSW", 768, 1), ("HNSW", 768, 5_000), ("IVF_SQ8", 768, 8), ("FLAT", 768, 16), ("IVF_PQ", 768, 7), ("IVF_PQ", 768, 0), ("IVF_PQ", 768, 1_000)],
)
def test_settings_that_make_no_sense_are_refused(index, dimension, m):
    """--m is links of HNSW, or parts of a vector."""
    with pytest.raises(UsageError, match="--m"):
        plan.asked_index(index, dimension, Metric.COSINE, m)


@pytest.mark.parametrize("dimension", [1, 2, 3, 7, 768])
def test_codes_have_a_default_for_every_dimension(dimension):
    """A number of parts that divides it."""
    assert dimension % plan.asked_index("IVF_PQ", dimension, Metric.L2, None).params["m"] == 0


def test_a_small_node_holds_a_small_pair():
    """It is kept free for the largest segment that there is, not for the largest that there could be."""
    small, node = Shape(384, Index(), columns=64), Nodes.parse("2Gi")
    assert plan.planned(small, 10_000, Window(), node).fit.holds
    assert not plan.planned(small, 1_000_000, Window(), node).fit.holds
