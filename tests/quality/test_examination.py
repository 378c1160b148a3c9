"""Each fault that a collection can have shows in the facts, apart from the others; a sound collection shows none. On both kinds of Milvus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scripts.adapters.milvus.schema import batches, index_params
from scripts.errors import Refused
from scripts.layout import FieldType, Index, IndexType, Metric
from scripts.quality.gates.index import AnnRecall
from tests.quality.pairs import DIMENSION, FEW, MANY, Words, products


def test_a_sound_pair_shows_no_fault(bench):
    """Everything was looked at, and all of it is as it should be."""
    bench.write(products(MANY))
    production = bench.store.open(bench.pair(name="shop_v1_00000001").pair.collection)
    facts = bench.look(bench.pair(), production=production)
    assert facts.unread == {}
    assert (facts.rows, facts.stamped_rows, facts.distinct_keys, facts.content_as_stamped) == (MANY, MANY, MANY, True)
    assert (facts.dimension, facts.stamped_dimension, facts.not_finite, facts.zero, facts.unlike_one) == (DIMENSION, DIMENSION, 0, 0, 0.0)
    assert (facts.shortest, facts.longest) == (pytest.approx(1), pytest.approx(1))
    assert abs(facts.parallel) < 0.5
    assert (facts.metric, facts.stamped_metric, facts.loaded, facts.unindexed) == ("COSINE", "COSINE", True, 0)
    assert (facts.recall.k, facts.recall.queries) == (10, 100)
    assert facts.recall.mean > 0.98
    assert (facts.reencoded.compared, facts.reencoded.unlike) == (256, ())
    assert facts.reencoded.worst > 0.999999
    assert (facts.source.rows, facts.source.stale, facts.source.skipped) == (MANY, 0.0, {})
    assert (facts.coverage.production_rows, facts.coverage.missing) == (MANY, 0)


def test_a_sound_pair_with_text_keys_and_another_order_shows_no_fault(bench):
    """Keys are matched, not positions: the source is re-ordered between the build and the look."""
    bench.settings = bench.settings.model_copy(update={"types": {"id": FieldType.STRING}})
    entry = bench.pair(key=FieldType.STRING)
    bench.write(products(FEW)[::-1])
    facts = bench.look(entry)
    assert (facts.distinct_keys, facts.content_as_stamped, facts.source.stale, facts.reencoded.compared) == (FEW, True, 0.0, 256)
    assert facts.reencoded.worst > 0.999999
    assert facts.recall.mean == 1.0


@pytest.mark.parametrize("metric", [Metric.IP, Metric.L2])
def test_a_sound_pair_by_another_metric_finds_what_it_holds(bench, metric):
    """Exact search is by the stamped metric."""
    bench.write(products(MANY))
    bench.model = Words(scale=3.0) if metric is Metric.L2 else Words()
    facts = bench.look(bench.pair(index=Index(metric=metric)))
    assert (facts.metric, facts.reencoded.unlike) == (metric, ())
    assert facts.recall.mean > 0.98


def test_a_sound_collection_and_its_source_are_read_once(bench):
    """Nothing is looked up by key, and nothing read twice."""
    reads = []

    class Counted:
        def __init__(self, inner, names):
            self._inner, self._names = inner, names

        def __getattr__(self, name):
            if name in self._names:
                reads.append(name)
            return getattr(self._inner, name)

    entry, looking = bench.pair(), bench.looking()
    bench.look(
        entry,
        Counted(bench.store.open(entry.pair.collection), ("vectors", "contents", "find", "existing", "search", "readiness")),
        open_source=lambda settings: Counted(looking.open_source(settings), ("read",)),
    )
    assert sorted(reads) == ["read", "readiness", "search", "vectors"]


def test_duplicated_rows_show(bench, milvus):
    """Written again under their own keys: the server counts them, and gives each key once. (milvus-lite keeps one row of each key.)"""

    def again(collection):
        rows, vectors = written
        for batch in batches(collection.layout, rows.take(range(20)), vectors[:20]):
            bench.store._milvus.call("insert", collection.name, batch)
        collection.flush()

    written = []

    def keep(rows, vectors):
        written[:] = rows, vectors
        return rows, vectors

    facts = bench.look(bench.pair(alter=keep, meddle=again))
    assert (facts.rows, facts.distinct_keys) == (FEW if milvus.kind == "lite" else FEW + 20, FEW)


def test_missing_rows_show(bench):
    """Half of them: in the count, the fingerprint, and as new in the source; what is there is compared all the same."""
    facts = bench.look(bench.pair(alter=lambda rows, vectors: (rows.take(range(0, FEW, 2)), vectors[::2])))
    assert (facts.rows, facts.stamped_rows, facts.content_as_stamped) == (FEW // 2, FEW, False)
    assert (facts.source.rows, facts.source.new, facts.source.changed, facts.source.vanished) == (FEW, FEW // 2, 0, 0)
    assert 100 < facts.reencoded.compared < 150
    assert facts.reencoded.unlike == ()


def test_other_texts_under_the_same_keys_show(embedded):
    """As many rows as stamped, and other content."""

    def swapped(rows, vectors):
        return replace(rows, text_hashes=rows.text_hashes[::-1].copy()), vectors

    facts = embedded.look(embedded.pair(alter=swapped))
    assert (facts.rows, facts.content_as_stamped, facts.source.changed) == (FEW, False, FEW)


def test_vectors_of_another_length_show(bench):
    """The same direction, three times as long: under IP it wins every query."""

    def lengthened(rows, vectors):
        vectors[1::2] *= 3
        return rows, vectors

    facts = bench.look(bench.pair(index=Index(metric=Metric.IP), alter=lengthened))
    assert (facts.unlike_one, facts.longest, facts.shortest) == (0.5, pytest.approx(3), pytest.approx(1))
    assert facts.reencoded.worst == pytest.approx(1 / 3)


def test_zero_vectors_show(bench):
    """Counted, and unlike the model's."""

    def emptied(rows, vectors):
        vectors[:150] = 0
        return rows, vectors

    facts = bench.look(bench.pair(alter=emptied))
    assert (facts.zero, facts.not_finite, facts.shortest, facts.unlike_one) == (150, 0, 0.0, 0.5)
    assert facts.reencoded.worst == -1.0


def test_not_a_number_shows(bench, milvus):
    """milvus-lite takes NaN and infinity without a word; a server refuses them."""

    def broken(rows, vectors):
        vectors[:100, 3], vectors[100:110, 4] = np.nan, np.inf
        return rows, vectors

    if milvus.kind == "server":
        with pytest.raises(Refused, match="NaN"):
            bench.pair(alter=broken)
        return
    facts = bench.look(bench.pair(alter=broken))
    assert (facts.not_finite, facts.zero, facts.longest) == (110, 0, pytest.approx(1))
    assert facts.reencoded.worst == -1.0
    assert facts.model_dump_json()


def test_an_index_of_another_metric_shows(bench):
    """milvus-lite then searches by another measure and says nothing, and a server refuses to search."""

    def other(collection):
        layout = collection.layout.model_copy(update={"index": Index(metric=Metric.L2)})
        bench.store._milvus.call("create_index", collection.name, index_params(layout), sync=False)

    bench.write(products(MANY))
    facts = bench.look(bench.pair(meddle=other))
    assert (facts.metric, facts.stamped_metric) == ("L2", "COSINE")
    assert facts.recall is not None or "metric type not match" in facts.unread["recall"]


def test_a_collapsed_model_shows(embedded):
    """It says nearly the same of every text; the stored vectors are its own all the same."""

    class Collapsed(Words):
        def encode(self, texts, prompt):
            return super().encode(texts, prompt) * 0.01 + 1.0

    embedded.model = Collapsed()
    facts = embedded.look(embedded.pair())
    assert facts.parallel > 0.999
    assert facts.reencoded.unlike == ()


USELESS = [
    Index(type=IndexType.IVF_FLAT, params={"nlist": 256}, search={"nprobe": 1}),
    Index(type=IndexType.HNSW, params={"M": 4, "efConstruction": 8}, search={"ef": 1}),
]


@pytest.mark.parametrize("index", USELESS, ids=lambda index: index.type.value)
def test_an_index_that_does_not_find_what_it_holds_shows(bench, index):
    """Its vectors are right, and its parameters useless: below what the gate asks for where the suite sets no limit."""
    bench.write(products(4_000))
    facts = bench.look(bench.pair(index=index))
    assert facts.recall.mean < AnnRecall().at_least
    assert facts.recall.worst <= facts.recall.mean
    assert facts.recall.worst_query.startswith("q")
    assert facts.reencoded.unlike == ()


def test_a_released_candidate_is_refused(bench):
    """There is nothing to look at, and looking must not load it."""
    entry = bench.pair()
    bench.store._milvus.call("release_collection", entry.pair.collection)
    with pytest.raises(Refused, match="finish --pair"):
        bench.look(entry)
    assert not bench.store.open(entry.pair.collection).is_loaded()


def test_no_query_means_no_recall_and_no_pass(embedded):
    """The index was not asked anything."""
    facts = embedded.look(embedded.pair(), queries=[], query_vectors=np.empty((0, DIMENSION), dtype=np.float32))
    assert facts.recall is None
    assert "no query" in facts.unread["recall"]


def test_a_hundred_distinct_queries_are_asked(embedded):
    """Of many, evenly; a query that is there twice is asked once."""
    few = embedded.encoder.queries([f"red lamp {number}" for number in range(30)])
    entry = embedded.pair()
    assert embedded.look(entry, queries=["q"] * 90, query_vectors=np.repeat(few, 3, axis=0)).recall.queries == 30
    many = embedded.encoder.queries([f"red lamp {number}" for number in range(1_000)])
    assert embedded.look(entry, queries=["q"] * 1_000, query_vectors=many).recall.queries == 100


def test_an_empty_collection_is_looked_at_without_a_fault_of_ours(bench):
    """Every row of the source is new to it; there is nothing to find or to compare."""
    entry = bench.pair(meddle=lambda collection: collection.delete(list(range(FEW))))
    facts = bench.look(entry)
    assert (facts.rows, facts.distinct_keys, facts.source.new, facts.parallel, facts.longest) == (0, 0, FEW, 0.0, 0.0)
    assert facts.recall is None
    assert facts.reencoded is None or facts.reencoded.compared == 0
    assert facts.model_dump_json()
