"""The contract of ports.VectorStore and ports.Collection, on milvus-lite and on the real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scripts import digests
from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.schema import batches, index_params
from scripts.errors import ProductionMoved, Refused, Unreachable, UsageError
from scripts.layout import Column, Consistency, FieldType, Index, IndexType, Layout, Metric
from scripts.records import Rows
from tests.stored import stored_vectors
from tests.test_pair import stamp

DIMENSION = 8
NAME = "shop_v1_00000001"
OTHER = "shop_v2_00000002"
STRANGE_KEYS = ["a'b", 'a"b', "a\\b", "a\\nb", "a\nb", "über", "日本", "😀", "%", "{x}", "' or 1 == 1 or '", "z" * 900]


@pytest.fixture
def store(milvus):
    with MilvusStore(milvus.uri, milvus.token) as opened:
        yield opened


def layout(key=FieldType.INT64, columns=(), index=None) -> Layout:
    fields = tuple(Column(name=name, type=kind) for name, kind in columns)
    return Layout(key=Column(name="id", type=key), columns=fields, dimension=DIMENSION, index=index or Index())


def rows(keys, columns=None) -> Rows:
    texts = [f"text {key}" for key in keys]
    return Rows(list(keys), texts, columns or {}, [""] * len(keys), digests.of_keys(keys), digests.of_texts(texts), digests.of_texts(texts))


def vectors(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)


def made(store, name=NAME, described=None):
    described = described or layout()
    store.create(name, described, stamp(layout=described).properties())
    return store.open(name)


def ready(collection):
    collection.flush()
    collection.build_index()
    collection.load()
    return collection


def test_an_empty_server_has_nothing(store):
    """No collections, no aliases, no target."""
    assert (store.collections(), store.aliases(), store.target("shop_prod"), store.properties(NAME)) == ([], {}, None, None)


def test_a_stamp_is_there_from_the_moment_of_creation(store):
    """A crash right after creation leaves a collection that says whose it is."""
    made(store)
    assert store.properties(NAME)["promotion.service"] == "shop"


def test_properties_merge(store):
    """A later write keeps what it does not name."""
    made(store)
    store.set_properties(NAME, {"promotion.state": "built"})
    properties = store.properties(NAME)
    assert (properties["promotion.state"], properties["promotion.service"]) == ("built", "shop")


def test_what_was_written_is_found(store):
    """By key, with both hashes, in pages that leave nothing out."""
    collection = made(store)
    keys = list(range(-3, 5_500)) + [2**63 - 2, -(2**63) + 1]
    collection.write(rows(keys), vectors(len(keys)))
    ready(collection)
    found = [key for page in collection.contents() for key in page.keys]
    assert sorted(found) == sorted(keys)
    assert collection.count() == len(keys)


def test_an_unfinished_collection_can_be_read(store):
    """Neither flushed, indexed nor loaded, as a crash leaves it: what was acknowledged is there."""
    collection = made(store)
    assert list(collection.contents()) == []
    collection.write(rows([1, 2, 3]), vectors(3))
    held = {key: text for page in collection.contents() for key, text in zip(page.keys, page.text_hashes.tolist(), strict=True)}
    assert held == dict(zip([1, 2, 3], digests.of_texts(["text 1", "text 2", "text 3"]).tolist(), strict=True))


def test_strange_string_keys_are_only_keys(store):
    """Quotes, backslashes, line ends and attempts at filters: written, paged, fetched, deleted one by one."""
    collection = made(store, described=layout(FieldType.STRING))
    collection.write(rows(STRANGE_KEYS), vectors(len(STRANGE_KEYS)))
    ready(collection)
    assert collection.existing([*STRANGE_KEYS, "absent"]) == set(STRANGE_KEYS)
    left = set(STRANGE_KEYS)
    for key in STRANGE_KEYS:
        collection.delete([key])
        left.remove(key)
        assert {found for page in collection.contents() for found in page.keys} == left


def test_pages_follow_strange_keys(store, monkeypatch):
    """Also where such a key ends a page."""
    monkeypatch.setattr("scripts.adapters.milvus.collection.PAGE_ROWS", 2)
    collection = ready_with(store, FieldType.STRING, STRANGE_KEYS)
    assert sorted(found for page in collection.contents() for found in page.keys) == sorted(STRANGE_KEYS)


def ready_with(store, kind, keys):
    collection = made(store, described=layout(kind))
    collection.write(rows(keys), vectors(len(keys)))
    return ready(collection)


def test_writing_again_replaces(store):
    """A repeated write, as after a lost connection, makes no second row."""
    collection = made(store)
    collection.write(rows([1, 2]), vectors(2))
    collection.write(rows([1, 2]), vectors(2, seed=1))
    ready(collection)
    assert collection.count() == 2
    assert np.allclose(stored_vectors(collection, [2, 1]), vectors(2, seed=1)[::-1])


def test_large_writes_are_cut(store, monkeypatch):
    """No call comes near the message limit, and no row is lost at a cut."""
    monkeypatch.setattr("scripts.adapters.milvus.schema.MAX_BATCH_BYTES", 2_000)
    collection = ready_with(store, FieldType.INT64, range(100))
    assert collection.count() == 100


def test_columns_of_every_type_can_be_filtered(store):
    """With proper types, and nothing that stands for a missing number matching a filter."""
    columns = (
        ("whole", FieldType.INT64, [1, 2, 3], "whole >= 3", {3}),
        ("price", FieldType.DOUBLE, [1.5, float("nan"), 3.5], "price < 100", {1, 3}),
        ("sold", FieldType.BOOL, [True, False, True], "sold == false", {2}),
        ("name", FieldType.STRING, ["ä", "b", ""], 'name == "ä"', {1}),
        ("tags", FieldType.STRINGS, [["x", "y"], [], ["y"]], 'array_contains(tags, "y")', {1, 3}),
        ("sizes", FieldType.INT64S, [[1, 2], [3], []], "array_contains(sizes, 3)", {2}),
        ("weights", FieldType.DOUBLES, [[0.5], [], [2.0]], "array_contains(weights, 2.0)", {3}),
        ("extra", FieldType.JSON, [{"a": 1}, {}, {"a": 5}], 'extra["a"] > 2', {3}),
    )
    collection = made(store, described=layout(columns=[(name, kind) for name, kind, *_ in columns]))
    collection.write(rows([1, 2, 3], {name: values for name, _, values, *_ in columns}), vectors(3))
    ready(collection)
    for name, _, _, where, expected in columns:
        (hits,) = collection.search(vectors(1), 10, where=where, fields=[name])
        assert {hit.key for hit in hits} == expected, where


def test_a_search_finds_the_nearest_and_its_fields(store):
    """Each query its own answer, in order, with the columns asked for as plain values."""
    described = layout(columns=[("name", FieldType.STRING), ("tags", FieldType.STRINGS)])
    collection = made(store, described=described)
    keys = list(range(300))
    collection.write(rows(keys, {"name": [f"n{k}" for k in keys], "tags": [[f"t{k}"] for k in keys]}), vectors(300))
    ready(collection)
    answers = collection.search(vectors(300), 3, fields=["name", "tags"])
    assert [hits[0].key for hits in answers] == keys
    assert answers[7][0].fields == {"name": "n7", "tags": ["t7"]}
    assert all(hits[0].score >= hits[1].score >= hits[2].score for hits in answers)


def test_an_answer_may_be_longer_than_ef(store):
    """R@100 needs a hundred hits, and HNSW refuses more than ef."""
    collection = made(store, described=layout(index=Index(search={"ef": 16})))
    collection.write(rows(range(200)), vectors(200))
    assert len(ready(collection).search(vectors(1), 100)[0]) == 100


@pytest.mark.parametrize("kind", [IndexType.IVF_FLAT, IndexType.IVF_SQ8, IndexType.FLAT, IndexType.AUTOINDEX])
def test_other_index_types_answer(store, kind):
    """With their own default parameters."""
    collection = made(store, described=layout(index=Index(type=kind, params={"nlist": 16} if kind.startswith("IVF") else {})))
    collection.write(rows(range(1_500)), vectors(1_500))
    hits = ready(collection).search(vectors(1_500)[7:8], 5)[0]
    assert hits[0].key == 7
    assert collection.readiness().covered


def test_product_quantisation_answers_on_a_server(store, milvus):
    """IVF_PQ; milvus-lite 3.2.2 does not have it, and says so."""
    collection = made(store, described=layout(index=Index(type=IndexType.IVF_PQ, params={"nlist": 16, "m": 4})))
    collection.write(rows(range(1_500)), vectors(1_500))
    if milvus.kind == "lite":
        with pytest.raises(Refused, match="supported: HNSW"):
            ready(collection)
        return
    assert len(ready(collection).search(vectors(1), 5)[0]) == 5


def test_a_server_refuses_wrong_index_parameters_at_creation(empty_milvus_server):
    """Not after hours of embedding; and no collection is left behind."""
    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as store:
        with pytest.raises(UsageError, match="does not take HNSW"):
            made(store, described=layout(index=Index(params={"M": 1_000_000})))
        assert store.collections() == []


def test_readiness_tells_the_truth(store):
    """Rows are counted, not estimated: also after rows were written twice and deleted."""
    collection = made(store)
    collection.write(rows(range(2_000)), vectors(2_000))
    collection.write(rows(range(500)), vectors(500, seed=1))
    collection.delete([1_999])
    ready(collection)
    readiness = collection.readiness()
    assert (readiness.rows, readiness.loaded, readiness.pending, readiness.unindexed_segments) == (1_999, True, 0, 0)
    assert readiness.covered


def test_a_released_collection_says_so(store):
    """And a search in it ends in one clear refusal."""
    collection = ready_with(store, FieldType.INT64, [1, 2])
    store._milvus.call("release_collection", NAME)
    assert not collection.is_loaded()
    with pytest.raises(Refused, match="not loaded"):
        collection.search(vectors(1), 1)


def test_an_alias_is_created_moved_and_read(store):
    """And asking for what is so already changes nothing."""
    ready_with(store, FieldType.INT64, [1])
    made(store, OTHER)
    for target in (NAME, NAME, OTHER, NAME):
        store.point("shop_prod", target)
        assert store.target("shop_prod") == target
        assert store.aliases() == {"shop_prod": target}
    assert store.target(NAME) is None


def test_the_consistency_level_is_the_configured_one(empty_milvus_server):
    """It is part of the collection. (milvus-lite has one level only.)"""
    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as store:
        for name, level in ((NAME, Consistency.STRONG), (OTHER, Consistency.EVENTUALLY)):
            made(store, name, layout().model_copy(update={"consistency": level}))
            assert store._milvus.call("describe_collection", name)["consistency_level_name"] == level


def test_only_one_first_promotion_wins(store, monkeypatch):
    """Who finds the alias absent and then created by another must not move it."""
    made(store)
    made(store, OTHER)
    store.point("shop_prod", OTHER)
    truly, looks = store.target, iter([None])
    monkeypatch.setattr(store, "target", lambda alias: next(looks, truly(alias)))
    with pytest.raises(ProductionMoved):
        store.point("shop_prod", NAME)
    assert truly("shop_prod") == OTHER


def test_an_aliased_collection_is_never_dropped(store):
    """Old servers drop it without a word, and leave the alias dangling."""
    made(store)
    store.point("shop_prod", NAME)
    for name in (NAME, "shop_prod"):
        with pytest.raises(Refused):
            store.drop(name)
    assert store.collections() == [NAME]


def test_a_dangling_alias_points_to_nothing_and_can_be_moved(store, milvus):
    """As a drop by hand leaves it."""
    made(store)
    made(store, OTHER)
    store.point("shop_prod", NAME)
    store._milvus.call("drop_collection", NAME)
    assert store.target("shop_prod") is None
    store.point("shop_prod", OTHER)  # also so that the next test finds none: a dangling alias cannot be listed (2.3.5)
    assert store.target("shop_prod") == OTHER


def test_a_dropped_collection_is_gone(store):
    """And so is everything that could be asked of it."""
    made(store)
    store.drop(NAME)
    assert store.properties(NAME) is None
    with pytest.raises(Refused, match="no collection"):
        store.open(NAME)


def test_a_broken_filter_is_the_users_to_mend(store):
    """Told as such, in one line."""
    collection = ready_with(store, FieldType.INT64, [1])
    for where in ("nope == 3", "id === 3", "id <", "(id < 3", "id < 'a'", "id == 'a", "id in 3", "id in [1, 'a']", "id", "id > 1 foo"):
        with pytest.raises(UsageError, match="^Milvus does not understand the filter: "):
            collection.search(vectors(1), 1, where=where)


def test_what_is_embedded_survives_the_process(tmp_path):
    """milvus-lite opens collections not loaded; a new process serves them all the same."""
    path = str(tmp_path / "milvus.db")
    with MilvusStore(path) as first:
        ready_with(first, FieldType.INT64, [1, 2])
        first.point("shop_prod", NAME)
    with MilvusStore(path) as second:
        assert second.open(second.target("shop_prod")).is_loaded()
        assert second.open(NAME).count() == 2


def test_a_killed_server_is_waited_for_and_keeps_the_last_stamp(empty_milvus_server):
    """A call made while the server is down succeeds when it is back. 2.3.5 loses the last change of properties at a restart (milvus #30144)
    unless it is sent twice."""
    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as store:
        made(store)
        store.set_properties(NAME, {"promotion.state": "built"})
        empty_milvus_server.kill()
        with ThreadPoolExecutor() as other:
            answer = other.submit(store.properties, NAME)
            empty_milvus_server.start()
            assert answer.result()["promotion.state"] == "built"


def test_a_dead_address_and_a_wrong_token_are_told_apart(milvus_server):
    """The server gives the same error for both (2.3.5)."""
    for uri, token, kind, told in (
        ("http://127.0.0.1:9", "root:Milvus", Unreachable, "Nothing answers"),
        (milvus_server.uri, "root:wrong", Unreachable, "does not let us in"),
        ("milvus", "", UsageError, "neither an address"),
    ):
        with MilvusStore(uri, token) as store, pytest.raises(kind, match=told):
            store.collections()


def test_reading_sees_what_was_written_a_moment_ago(store):
    """Acknowledged writes and deletions, at once: 2.3.5 reads pages of an older state unless it is made to wait."""
    collection = ready_with(store, FieldType.INT64, range(10))
    for key in range(5):
        collection.delete([key])
        collection.write(rows([100 + key]), vectors(1))
        found = [held for page in collection.contents() for held in page.keys]
        assert sorted(found) == [*range(key + 1, 10), *range(100, 101 + key)]


def pages_of(collection):
    """What `vectors` gives, joined: keys, both hashes, vectors."""
    pages = list(collection.vectors())
    keys = [key for page in pages for key in page.keys]
    return keys, *(np.concatenate([getattr(page, name) for page in pages]) for name in ("text_hashes", "column_hashes", "vectors"))


@pytest.mark.parametrize("by_column", [True, False], ids=["by column", "by row"])
def test_all_vectors_are_read_page_by_page(store, monkeypatch, by_column):
    """In order of keys, each row with its own hashes and vector, whatever the way they are read."""
    monkeypatch.setattr("scripts.adapters.milvus.collection.PAGE_ROWS", 700)
    if not by_column:
        store._milvus._wire = (None,)  # as with a pymilvus whose inner parts are others
    collection = made(store)
    order = np.random.default_rng(1).permutation(2_000)
    written = rows(order.tolist())
    collection.write(written, vectors(2_000))
    ready(collection)
    assert [len(page.keys) for page in collection.vectors()] == [700, 700, 600]
    keys, texts, columns, found = pages_of(collection)
    back = np.argsort(order)
    assert keys == list(range(2_000))
    assert np.array_equal(texts, written.text_hashes[back]) and np.array_equal(columns, written.column_hashes[back])
    assert found.dtype == np.float32 and np.array_equal(found, vectors(2_000)[back])


@pytest.mark.parametrize("by_column", [True, False], ids=["by column", "by row"])
def test_pages_of_vectors_follow_strange_keys(store, monkeypatch, by_column):
    """One key a page, so that each of them ends one."""
    monkeypatch.setattr("scripts.adapters.milvus.collection.PAGE_ROWS", 1)
    if not by_column:
        store._milvus._wire = (None,)
    collection = ready_with(store, FieldType.STRING, STRANGE_KEYS)
    keys, _, _, found = pages_of(collection)
    assert dict(zip(keys, map(bytes, found), strict=True)) == dict(zip(STRANGE_KEYS, map(bytes, vectors(len(STRANGE_KEYS))), strict=True))


def test_an_empty_collection_has_no_vectors(store):
    """No page at all."""
    assert list(made(store).vectors()) == []


def test_vectors_are_read_as_of_now(store):
    """Acknowledged writes and deletions, at once, as of `contents`."""
    collection = ready_with(store, FieldType.INT64, range(10))
    for key in range(3):
        collection.delete([key])
        collection.write(rows([100 + key]), vectors(1, key))
        keys, _, _, found = pages_of(collection)
        assert keys == [*range(key + 1, 10), *range(100, 101 + key)]
        assert np.array_equal(found[-1], vectors(1, key)[0])


def test_pages_of_long_vectors_stay_below_the_message_limit(empty_milvus_server):
    """4,096 numbers each, 74 MB in all: read in pages of at most 8 MiB."""
    wide = layout(FieldType.STRING).model_copy(update={"dimension": 4_096, "index": Index(type=IndexType.FLAT)})
    keys = [f"key {number:05}" for number in range(4_500)]
    drawn = np.random.default_rng(1).normal(size=(len(keys), 4_096)).astype(np.float32)
    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as store:
        collection = made(store, described=wide)
        collection.write(rows(keys), drawn)
        start = 0
        for page in ready(collection).vectors():
            assert page.vectors.nbytes <= 8 << 20
            assert page.keys == keys[start : start + len(page.keys)]
            assert np.array_equal(page.vectors, drawn[start : start + len(page.keys)])
            start += len(page.keys)
        assert start == len(keys)


def test_stored_vectors_are_not_those_of_the_index(store):
    """What is read is what was written, to the last bit and at its full length, whatever the index makes of it."""
    for number, index in enumerate((Index(), Index(type=IndexType.IVF_SQ8, metric="IP", params={"nlist": 16}))):
        collection = made(store, f"shop_v{number + 1}_00000001", layout(index=index))
        collection.write(rows(range(1_500)), 3 * vectors(1_500))
        assert np.array_equal(pages_of(ready(collection))[3], 3 * vectors(1_500))


def test_a_key_that_is_there_twice_is_counted_twice_and_read_once(store, milvus):
    """On a server; the count alone tells. milvus-lite keeps one row of each key, also of those that are inserted and not upserted."""
    collection = made(store)
    for keys, seed in ((range(1_200), 0), (range(200), 1), (range(5), 2)):
        for batch in batches(collection.layout, rows(keys), vectors(len(keys), seed)):
            store._milvus.call("insert", NAME, batch)
        collection.flush()
    ready(collection)
    assert collection.count() == (1_405 if milvus.kind == "server" else 1_200)
    assert collection.readiness().rows == collection.count()
    for read in (collection.vectors, collection.contents):
        assert [key for page in read() for key in page.keys] == list(range(1_200))


@pytest.mark.parametrize("metric", list(Metric))
def test_readiness_tells_the_index_metric(store, metric):
    """Of the index that is there, also where it is not the stamped one: milvus-lite searches with it and says nothing."""
    collection = made(store, described=layout(index=Index(metric=Metric.COSINE)))
    assert collection.readiness().metric == ""
    collection.write(rows(range(1_200)), vectors(1_200))
    collection.flush()
    store._milvus.call("create_index", NAME, index_params(layout(index=Index(metric=metric))), sync=False)
    assert ready(collection).readiness().metric == metric


def test_rows_that_no_index_covers_are_counted(store, milvus):
    """A server serves what was written since from a growing segment, without an index; milvus-lite keeps its index up to date."""
    collection = ready_with(store, FieldType.INT64, range(1_500))
    assert collection.readiness().unindexed_rows == 0
    collection.write(rows(range(10_000, 11_200)), vectors(1_200))
    assert collection.readiness().unindexed_rows == (1_200 if milvus.kind == "server" else 0)
