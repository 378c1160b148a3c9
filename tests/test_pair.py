"""The pair's name and stamp."""

from datetime import UTC, datetime, timedelta

import pytest

from scripts.errors import Refused, UsageError
from scripts.layout import Column, FieldType, Index, Layout
from scripts.pair import Build, Content, Embedding, ModelIdentity, Pair, Stamp, State, identifier, production_alias, require_pair
from scripts.shards import Shard

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def stamp(**changes) -> Stamp:
    return Stamp(
        service="shop",
        model=ModelIdentity(name="m", version=3, digest="d" * 64),
        embedding=Embedding(template="{name}", query_prompt="query: "),
        layout=Layout(key=Column(name="id", type=FieldType.INT64), columns=(), dimension=8, index=Index()),
        source="products.parquet",
        build=Build(id="b", created_at=NOW),
    ).changed(**changes)


@pytest.mark.parametrize("service", ["products", "product-embeddings", "a_v1_deadbeef", "2nd.shop", "_x", "v1", "Ünïcode"])
def test_name_and_pair_are_the_same_thing(service):
    """Whatever the service is called, its pair's name reads back as that pair."""
    pair = Pair.of(service, 12, "7f3c1e9a-0a1b-4c2d-9e8f-1234567890ab")
    assert Pair.parse(pair.collection) == pair


def test_names_are_valid_on_every_server():
    """Milvus 2.3.5 takes letters, digits and underscores only, and no leading digit; a CircleCI workflow id has hyphens."""
    name = Pair.of("2nd-shop.eu", 1, "7f3c1e9a-0a1b-4c2d").collection
    assert name.startswith("_2nd_shop_eu_v1_")
    assert name.isascii() and name.isidentifier()


def test_the_same_build_id_gives_the_same_pair():
    """A rerun of a job finds what it began."""
    assert Pair.of("shop", 1, "workflow-1") == Pair.of("shop", 1, "workflow-1") != Pair.of("shop", 1, "workflow-2")


@pytest.mark.parametrize("name", ["products", "products_v1", "products_v0_deadbeef", "products_v1_DEADBEEF", "products_v1_dead", "products_prod", "x_v1_prod"])
def test_what_is_not_a_pair_is_not_read_as_one(name):
    """Above all an alias is never taken for a pair."""
    assert Pair.parse(name) is None


def test_an_alias_never_reads_as_a_pair():
    """Not even that of a service whose name ends like a pair's."""
    assert Pair.parse(production_alias("shop_v1")) is None


def test_identifier_leaves_good_names_alone():
    """What Milvus takes as it is stays as it is."""
    assert identifier("product_embeddings") == "product_embeddings"


def test_a_wrong_name_is_told_in_one_line():
    """A person who mistypes a pair learns what one looks like."""
    for name in ("products; drop", "books_v1_restored"):
        with pytest.raises(UsageError, match="not the name of a pair.* eight hexadecimal digits at its end"):
            require_pair(name)


def test_a_stamp_reads_back_as_it_was_written():
    """Nothing is lost on the way through flat string properties."""
    full = stamp(
        state=State.VALIDATED, content=Content(rows=5, fingerprint="ab", skipped=1, read_at=NOW), promoted_at=NOW, retired_because="rollback: ‘why’"
    )
    assert Stamp.read("c", full.properties()) == full


def content(rows: int, fingerprint: int = 1, days: int = 0) -> Content:
    return Content(rows=rows, fingerprint=f"{fingerprint:016x}", skipped=1, read_at=NOW + timedelta(days=days))


def test_what_shards_found_adds_up():
    """Rows, faults and fingerprints; the watermark is that of the shard that looked first. They come back from flat properties."""
    full = stamp(shards={"0-of-2": content(5, 2**64 - 1, days=1), "1-of-2": content(7, 3)})
    assert full.missing_shards == []
    assert full.read_content == Content(rows=12, fingerprint=f"{2:016x}", skipped=2, read_at=NOW)
    assert Stamp.read("c", full.properties()) == full


def test_a_shard_that_is_missing_is_named():
    """Until it is there nobody knows what the collection holds. One pass over all keys is the only shard of one."""
    assert stamp().missing_shards == [Shard()]
    half = stamp(shards={"0-of-2": content(5), "1-of-2": None})
    assert (half.missing_shards, half.read_content) == ([Shard(1, 2)], None)
    assert Stamp.read("c", half.properties()) == half


def test_passes_that_divided_the_keys_differently_do_not_mix():
    """Of two that crossed, the finer division counts, and nothing is counted twice."""
    crossed = stamp(shards={"0-of-1": content(12), "0-of-2": content(5), "1-of-2": content(7)})
    assert crossed.read_content.rows == 12
    assert stamp(shards={"0-of-1": content(12), "0-of-2": content(5)}).missing_shards == [Shard(1, 2)]


def test_a_shard_s_stamp_leaves_the_others_alone():
    """Several shards are stamped at the same time."""
    assert set(stamp().changes(shards={"1-of-2": None})) == {"promotion.shards.1-of-2"}


def test_a_field_can_be_emptied_again():
    """Milvus 2.3.5 cannot remove a property, so empty means none."""
    properties = stamp(retired_at=NOW).properties() | stamp().changes(retired_at=None)
    assert Stamp.read("c", properties).retired_at is None


def test_changes_touch_nothing_else():
    """A write of one field never puts back what another writer changed meanwhile."""
    assert set(stamp().changes(state=State.BUILT)) == {"promotion.state"}


def test_a_collection_without_stamp_is_not_ours():
    """Foreign properties are no stamp."""
    assert Stamp.read("c", {"collection.ttl.seconds": "60"}) is None


def test_a_stamp_of_a_newer_kit_is_refused():
    """Half an understanding is worse than none."""
    with pytest.raises(Refused, match="format 2"):
        Stamp.read("c", stamp().properties() | {"promotion.format": "2"})


def test_a_broken_stamp_is_refused_by_field():
    """The field that cannot be read is named."""
    with pytest.raises(Refused, match=r"build\.created_at"):
        Stamp.read("c", stamp().properties() | {"promotion.build.created_at": "yesterday"})


@pytest.mark.parametrize("name", ["1/1", "2-of-2", "-1-of-2", "a-of-b", "1"])
def test_a_stamp_with_shards_that_there_cannot_be_is_refused(name):
    """Not read well first, and found out in the middle of a job."""
    with pytest.raises(Refused, match="shards"):
        Stamp.read("c", stamp().properties() | {f"promotion.shards.{name}": ""})


def test_an_oversized_property_is_never_sent():
    """A huge property makes a collection that cannot be altered, renamed or dropped (2.3.5)."""
    with pytest.raises(Refused, match=r"promotion\.evidence"):
        stamp(evidence="x" * 70_000).properties()


def test_the_embedding_fingerprint_is_of_stored_vectors():
    """It changes with all that changes stored vectors, and not with the query prompt, which does not."""
    base = stamp()
    assert base.fingerprint == stamp(embedding=base.embedding.model_copy(update={"query_prompt": "other"})).fingerprint
    for change in ({"template": "{title}"}, {"document_prompt": "passage: "}, {"normalize": True}, {"unescape_html": True}):
        assert base.fingerprint != stamp(embedding=base.embedding.model_copy(update=change)).fingerprint
    assert base.fingerprint != stamp(model=base.model.model_copy(update={"digest": "e" * 64})).fingerprint
