"""Each fault that a collection can have shows in the facts, apart from the others; a sound collection shows none. On both kinds of Milvus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.schema import batches, index_params
from scripts.errors import Refused, Unreachable
from scripts.layout import FieldType, Index, IndexType, Metric
from scripts.pair import Pair
from scripts.quality.facts import Prompts
from scripts.quality.gates.index import AnnRecall
from scripts.settings import BadRow, OnBadRow
from tests.quality.pairs import DIMENSION, Bench, Words, products

MANY = 1_500
"""Enough for a server to build an index."""
FEW = 300


@pytest.fixture
def bench(milvus, tmp_path):
    with MilvusStore(milvus.uri, milvus.token) as store:
        bench = Bench(store, tmp_path)
        bench.write(products(FEW))
        yield bench


@pytest.fixture
def embedded(tmp_path):
    """For what has nothing to do with the kind of Milvus, which takes a server several seconds to make a pair for."""
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        bench = Bench(store, tmp_path)
        bench.write(products(FEW))
        yield bench


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


def test_vectors_of_other_keys_show(bench):
    """Count, keys, texts, norms and recall are all right: only encoding again tells."""
    facts = bench.look(bench.pair(alter=lambda rows, vectors: (rows, np.random.default_rng(1).permutation(vectors))))
    assert (facts.content_as_stamped, facts.source.stale, facts.recall.mean) == (True, 0.0, 1.0)
    assert facts.reencoded.worst < 0.9
    assert len(facts.reencoded.unlike) == 5


def test_another_models_vectors_show(bench):
    """Of the same dimension and length."""
    entry = bench.pair()
    bench.model = Words(seed=1)
    assert bench.look(entry).reencoded.worst < 0.5


def test_a_few_rows_of_another_model_show(bench):
    """2% of the rows, whichever 256 of 1,500 are drawn: by twenty pairs' names, all of them see it, and name only wrong rows."""
    bench.write(products(MANY))
    wrong = np.random.default_rng(2).choice(MANY, MANY // 50, replace=False)

    def mixed(rows, vectors):
        vectors[wrong] = Words(seed=1).encode([rows.texts[at] for at in wrong], "")
        return rows, vectors

    entry = bench.pair(alter=mixed)
    collection = bench.store.open(entry.pair.collection)
    for seed in range(20):
        again = bench.look(replace(entry, pair=Pair("shop", 2, f"{seed:08x}")), collection).reencoded
        assert again.worst < 0.9
        assert set(map(int, again.unlike)) <= set(wrong.tolist())


def test_vectors_of_truncated_texts_show(bench):
    """Made of the first 40 characters, by a loader that cut its column."""
    entry = bench.pair(alter=lambda rows, vectors: (rows, bench.model.encode([text[:40] for text in rows.texts], "")))
    assert bench.look(entry).reencoded.worst < 0.95


def test_a_model_that_cuts_texts_itself_is_no_fault(embedded):
    """It does so again."""
    embedded.model = Words(reads=40)
    assert embedded.look(embedded.pair()).reencoded.worst > 0.999999


def test_vectors_of_another_length_show(bench):
    """The same direction, three times as long: under IP it wins every query."""
    entry = bench.pair(index=Index(metric=Metric.IP), alter=lambda rows, vectors: (rows, vectors * np.where(np.arange(FEW) % 2, 3, 1)[:, None].astype(np.float32)))
    facts = bench.look(entry)
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
        bench.store._milvus.call("create_index", collection.name, index_params(collection.layout.model_copy(update={"index": Index(metric=Metric.L2)})), sync=False)

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


def test_a_stale_collection_shows(bench):
    """30 rows are new, 10 have another text, 20 another price, and 40 are gone from the source."""
    entry = bench.pair()
    now = products(FEW + 30)[40:]
    for row in now[:10]:
        row["name"] += " again"
    for row in now[10:30]:
        row["price"] += 1
    bench.write(now)
    facts = bench.look(entry)
    assert facts.content_as_stamped
    assert (facts.source.rows, facts.source.new, facts.source.changed, facts.source.vanished) == (FEW - 10, 30, 30, 40)
    assert facts.source.stale == pytest.approx(100 / FEW)
    assert facts.reencoded.compared < 256  # new and changed rows have no vector to compare
    assert facts.reencoded.unlike == ()


def test_sampled_rows_are_looked_up_where_the_collection_holds_many_others(bench):
    """The source is a small part of what the collection holds, so that few of its rows are among the collection's sample."""
    bench.write(products(MANY))
    entry = bench.pair()
    bench.write(products(60))
    facts = bench.look(entry)
    assert (facts.reencoded.compared, facts.reencoded.unlike) == (60, ())
    assert facts.source.vanished == MANY - 60


def test_skipped_rows_are_counted_by_kind_and_named(embedded):
    """As `records` counts them; the collection is what the good rows are."""
    embedded.write([*products(FEW), {"id": None, "name": "x", "price": 1}, {"id": 1_000, "name": "", "price": 1}, {"id": 3, "name": "again", "price": 1}])
    source = embedded.look(embedded.pair()).source
    assert (source.rows, source.stale) == (FEW, 0.0)
    assert source.skipped == {"missing_key": 1, "missing_text": 1, "duplicate_key": 1}
    assert "key 3 again" in source.examples["duplicate_key"][0]


def test_a_source_that_cannot_be_read_is_said_and_not_passed(embedded):
    """Gone, or with a row that the configuration calls an error: what depends on it is None, with the reason; the rest is there."""
    entry = embedded.pair()
    embedded.write([*products(FEW), {"id": 3, "name": "again", "price": 1}])
    strict = embedded.settings.model_copy(update={"on_bad_row": {BadRow.DUPLICATE_KEY: OnBadRow.ERROR}})
    facts = embedded.look(entry, source=strict)
    assert (facts.source, facts.reencoded) == (None, None)
    assert "key 3 again" in facts.unread["source"]
    (embedded.folder / "products.jsonl").unlink()
    facts = embedded.look(entry)
    assert (facts.source, facts.reencoded, facts.recall.mean, facts.rows) == (None, None, 1.0, FEW)
    assert "products.jsonl" in facts.unread["source"] and "products.jsonl" in facts.unread["reencoded"]


def test_a_source_that_fails_when_it_is_read_again_is_said(embedded):
    """The second pass, which counts what differs, fails where the first did not."""
    entry, looking = embedded.pair(), embedded.looking()
    embedded.write(products(FEW + 1))
    opened = iter([looking.open_source])

    def once(settings):
        try:
            return next(opened)(settings)
        except StopIteration:
            raise Unreachable("The database is gone.") from None

    facts = embedded.look(entry, open_source=once)
    assert facts.unread["source"] == "The database is gone."
    assert facts.reencoded.unlike == ()


def test_a_model_that_fails_is_said_and_not_passed(embedded):
    """On one of the sampled texts: nothing is claimed of the vectors."""
    entry = embedded.pair()
    embedded.model = Words(fails_on=" n7")  # no query has it
    facts = embedded.look(entry)
    assert facts.reencoded is None
    assert "out of memory: key " in facts.unread["reencoded"]


def test_documents_that_production_has_and_the_candidate_lacks_are_counted(embedded):
    """As an old export would leave them out."""
    production = embedded.store.open(embedded.pair(name="shop_v1_00000001").pair.collection)
    embedded.write(products(FEW)[: FEW - 7])
    coverage = embedded.look(embedded.pair(), production=production).coverage
    assert (coverage.production_rows, coverage.missing) == (FEW, 7)
    assert coverage.examples == tuple(map(str, range(FEW - 7, FEW - 2)))


def test_production_that_cannot_be_compared_is_said_and_left_as_it_is(bench):
    """Other keys; released, which reading would load; or none at all."""
    entry = bench.pair()
    assert "no collection" in bench.look(entry).unread["coverage"]
    as_text = bench.settings.model_copy(update={"types": {"id": FieldType.STRING}})
    other = Bench(bench.store, bench.folder, settings=as_text).pair(name="shop_v1_00000001", key=FieldType.STRING)
    assert "are string" in bench.look(entry, production=bench.store.open(other.pair.collection)).unread["coverage"]
    released = bench.store.open(bench.pair(name="shop_v1_00000002").pair.collection)
    bench.store._milvus.call("release_collection", released.name)
    assert "not loaded" in bench.look(entry, production=released).unread["coverage"]
    assert not released.is_loaded()


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


def test_prompts_are_the_pairs_the_configurations_and_the_models(embedded):
    """Side by side, for the gate to compare."""
    embedded.model = Words(prompts=("query: ", None))
    entry = embedded.pair()
    found = embedded.look(entry, configured=embedded.embedding.model_copy(update={"document_prompt": "doc "})).prompts
    assert found == Prompts(query="find ", document="", configured_query="find ", configured_document="doc ", declared_query="query: ")
