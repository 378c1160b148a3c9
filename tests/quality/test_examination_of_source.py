"""A candidate beside its source, its model and production: what is wrong with it that its collection alone does not tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scripts.errors import Unreachable
from scripts.layout import FieldType
from scripts.pair import Pair
from scripts.quality.facts import Prompts
from scripts.settings import BadRow, OnBadRow
from tests.quality.pairs import FEW, MANY, Bench, Words, products


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
    bad = [{"id": None, "name": "x", "price": 1}, {"id": 1_000, "name": "", "price": 1}, {"id": 3, "name": "again", "price": 1}]
    embedded.write([*products(FEW), *bad])
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


def test_prompts_are_the_pairs_the_configurations_and_the_models(embedded):
    """Side by side, for the gate to compare."""
    embedded.model = Words(prompts=("query: ", None))
    entry = embedded.pair()
    found = embedded.look(entry, configured=embedded.embedding.model_copy(update={"document_prompt": "doc "})).prompts
    assert found == Prompts(query="find ", document="", configured_query="find ", configured_document="doc ", declared_query="query: ")
