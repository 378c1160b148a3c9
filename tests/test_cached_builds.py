"""Builds with a cache: the same content, and no text encoded twice."""

from __future__ import annotations

import shutil

import pytest

from tests.shop import products, refusal
from tests.test_rebuilding import JournalledShop


@pytest.fixture
def shop(tmp_path, mlflow_server) -> JournalledShop:
    shop = JournalledShop(tmp_path / "shop", str(tmp_path / "milvus.db"), "", mlflow_server.uri)
    shop.configure(cache={"uri": "kept"})
    shop.stage_model()
    return shop


def test_a_rebuild_with_another_index_and_other_columns_encodes_nothing(shop):
    """The vectors are those of the first build, bit for bit."""
    first = shop.do("build")
    assert first["embedded"] == len(products()) == len(shop.encoded())
    shop.configure(cache={"uri": "kept"}, index={"type": "FLAT"}, source={**SOURCE, "columns": ["name"]})
    second = shop.do("build")
    assert (second["embedded"], second["copied"], second["notes"]) == (0, len(products()), [])
    assert shop.encoded() == []
    assert {key: row[2] for key, row in shop.held(first["pair"]).items()} == {key: row[2] for key, row in shop.held(second["pair"]).items()}


def test_another_machine_encodes_nothing(shop, tmp_path, mlflow_server):
    """It has the cache and nothing else of the first."""
    shop.do("build")
    shop.encoded()
    other = JournalledShop(tmp_path / "other", str(tmp_path / "other.db"), "", mlflow_server.uri, model=shop.model)
    other.configure(cache={"uri": str(shop.folder / "kept")})
    assert other.do("build")["copied"] == len(products())
    assert shop.encoded() == []


def test_another_text_template_is_another_embedding(shop):
    """Nothing of the first build is taken."""
    shop.do("build")
    shop.encoded()
    shop.configure(cache={"uri": "kept"}, source={**SOURCE, "text": "{name}! {description}"})
    assert shop.do("build")["copied"] == 0
    assert len(shop.encoded()) == len(products())


def test_a_cache_that_cannot_keep_does_not_stop_a_build(shop):
    """The result says so, in one line."""
    shop.configure(cache={"uri": "kept", "max_gib": 1e-9})
    built = shop.do("build")
    assert built["embedded"] == len(products())
    (note,) = built["notes"]
    assert f"{len(products())} vectors were not kept" in note and "max_gib" in note


def test_a_cache_that_cannot_be_opened_is_told_before_the_work(shop):
    """It is a mistake in the configuration."""
    pair = shop.do("create")["pair"]
    shutil.rmtree(shop.folder / "kept", ignore_errors=True)
    (shop.folder / "kept").write_text("a file")
    shop.encoded()
    assert "kept" in refusal(shop.run("embed", "--pair", pair), 2)
    assert shop.encoded() == []


def test_a_cache_that_cannot_be_reached_costs_time_and_nothing_else(shop):
    """Nobody waits for it with a promotion or a catch-up. The result says so; a pass that changes nothing does not even look."""
    pair = shop.do("build")["pair"]
    shop.configure(cache={"uri": "s3://vectors/kept"})
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    quiet = shop.do("catch-up", pair, **away)
    assert (quiet["unchanged"], quiet["notes"]) == (len(products()), [])
    shop.write_products([{**products()[0], "name": "something new"}, *products()[1:]])
    changed = shop.do("catch-up", pair, **away)
    assert (changed["embedded"], changed["copied"]) == (1, 0)
    assert changed["notes"] == [
        "The cache was not used: s3://vectors/kept: nothing answers. Check AWS_ENDPOINT_URL and AWS_REGION, or run the same command again."
    ]


SOURCE = {"uri": "products.jsonl", "key": "product_id", "text": "{name}. {description}", "columns": ["name", "price_cents"]}
