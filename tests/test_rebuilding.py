"""Builds that do not repeat work: delta builds, catch-up, shards; and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import catalogue, config
from scripts.adapters.milvus import MilvusStore
from scripts.errors import Refused
from scripts.jobs.embed import embed, fill
from scripts.jobs.finish import finish
from scripts.layout import COLUMNS_HASH, TEXT_HASH
from scripts.sync import Pass
from scripts.wiring import Wiring
from tests.shop import Shop, products, refusal


class JournalledShop(Shop):
    """A shop whose model writes down every text that it encodes."""

    @property
    def journal(self) -> Path:
        return self.folder / "journal.txt"

    def stage_model(self) -> int:
        pointer = self.folder / "pointer.txt"
        pointer.write_text(str(self.journal))
        self.journal.write_text("")
        return self.stage("slow", journal=str(pointer))

    def encoded(self) -> list[str]:
        """The texts encoded since this was last asked, without probes."""
        lines = [line for line in self.journal.read_text().splitlines() if " " in line and "no importance" not in line]
        self.journal.write_text("")
        return lines

    def held(self, pair: str) -> dict:
        """Key → text hash, columns hash and vector, as the collection holds them."""
        with MilvusStore(self.milvus_uri, self.milvus_token) as store:
            fields = ["product_id", TEXT_HASH, COLUMNS_HASH, "vector"]
            rows = store._milvus.call("query", pair, filter="product_id >= 0", output_fields=fields, limit=10_000, consistency_level="Strong")
        return {row["product_id"]: (row[TEXT_HASH], row[COLUMNS_HASH], list(row["vector"])) for row in rows}

    def change(self) -> None:
        """Two texts swapped, one price changed, one product gone, one new."""
        rows = products()
        rows[0]["description"], rows[1]["description"] = rows[1]["description"], rows[0]["description"]
        rows[0]["name"], rows[1]["name"] = rows[1]["name"], rows[0]["name"]
        rows[2]["price_cents"] = 1
        self.write_products([row for row in rows if row["product_id"] != 4] + [rows[5] | {"product_id": 999, "name": "brand new"}])


@pytest.fixture
def shop(tmp_path, milvus, mlflow_server) -> JournalledShop:
    return JournalledShop(tmp_path / "shop", milvus.uri, milvus.token, mlflow_server.uri)


@pytest.fixture
def lite_shop(tmp_path, mlflow_server) -> JournalledShop:
    return JournalledShop(tmp_path / "shop", str(tmp_path / "milvus.db"), "", mlflow_server.uri)


def promoted(shop: JournalledShop) -> str:
    shop.stage_model()
    pair = shop.do("build", "--build-id", "first")["pair"]
    shop.do("validate", "--pair", pair)
    shop.do("promote", "--pair", pair)
    shop.encoded()
    return pair


def test_a_delta_build_encodes_exactly_what_changed(shop):
    """Vectors of production are copied into the new collection, swapped texts excepted; the result is what a full build gives."""
    promoted(shop)
    shop.change()
    delta = shop.do("build", "--model-version", "1", "--build-id", "second", "--from", "production")
    assert sorted(line.split(".")[0] for line in shop.encoded()) == ["blue sofa", "brand new", "red sofa"]
    assert (delta["copied"], delta["embedded"], delta["written"], delta["rows"]) == (147, 3, 150, 150)
    full = shop.do("build", "--model-version", "1", "--build-id", "third")
    assert (full["copied"], full["embedded"]) == (0, 150)
    assert shop.held(delta["pair"]) == shop.held(full["pair"])


def test_a_delta_build_on_another_embedding_says_so_and_encodes_everything(lite_shop):
    """Vectors of another model mean something else."""
    promoted(lite_shop)
    lite_shop.stage("words")
    done = lite_shop.do("build", "--from", "production")
    assert (done["copied"], done["embedded"]) == (0, 150)
    assert "has another embedding" in done["notes"][0]


def test_a_delta_build_without_production_is_a_full_one(lite_shop):
    """And says so."""
    lite_shop.stage_model()
    assert "no pair to copy" in lite_shop.do("build", "--from", "production")["notes"][0]


def test_catch_up_brings_changes_and_deletions_into_a_candidate(shop):
    """Then it is the source again; what was validated before has to be validated anew."""
    shop.stage_model()
    pair = shop.do("build", "--build-id", "first")["pair"]
    shop.do("validate", "--pair", pair)
    shop.change()
    shop.encoded()
    done = shop.do("catch-up", pair)
    assert (done["embedded"], done["copied"], done["unchanged"], done["deleted"], done["rows"]) == (3, 1, 146, 1, 150)
    assert len(shop.encoded()) == 3
    assert "not validated" in refusal(shop.run("promote", "--pair", pair), 4)
    shop.do("validate", "--pair", pair)
    shop.do("promote", "--pair", pair)
    full = shop.do("build", "--model-version", "1", "--build-id", "third")
    assert shop.held(pair) == shop.held(full["pair"])


def test_catch_up_of_nothing_leaves_the_verdict(shop):
    """The evidence is of this very content, so it still holds; and the model is not even loaded."""
    shop.stage_model()
    pair = shop.do("build")["pair"]
    evidence = shop.do("validate", "--pair", pair)
    shop.encoded()
    done = shop.do("catch-up", pair)
    assert (done["unchanged"], done["written"], done["deleted"]) == (150, 0, 0)
    assert shop.journal.read_text() == ""
    shop.do("promote", "--pair", pair)
    assert shop.production() == pair and evidence["verdict"] == "pass"


def test_the_previous_pair_is_kept_fresh_so_that_a_rollback_loses_nothing(lite_shop):
    """With its own text template, whatever the configuration says by now."""
    previous = promoted(lite_shop)
    lite_shop.configure(source={"uri": "products.jsonl", "key": "product_id", "text": "{name}", "columns": ["price_cents"]})
    pair = lite_shop.do("build", "--model-version", "1", "--build-id", "second")["pair"]
    lite_shop.do("validate", "--pair", pair)
    lite_shop.do("promote", "--pair", pair)
    lite_shop.change()
    lite_shop.encoded()
    lite_shop.do("catch-up", previous)
    assert any("for every home" in line for line in lite_shop.encoded())
    lite_shop.do("rollback")
    hits = lite_shop.do("search", "brand new", "--where", "product_id == 999")["hits"]
    assert hits[0]["key"] == 999
    assert set(hits[0]["fields"]) == {"name", "price_cents"}


def test_a_catch_up_that_stopped_half_way_is_no_pair_to_promote(lite_shop):
    """Neither the old content nor the new: only running it to its end helps."""
    lite_shop.stage_model()
    pair = lite_shop.do("build")["pair"]
    lite_shop.do("validate", "--pair", pair)
    lite_shop.write_products([*products(), {"product_id": 5, "name": "again", "price_cents": 1}])
    refusal(lite_shop.run("catch-up", pair), 2)
    assert "brought up to date" in refusal(lite_shop.run("promote", "--pair", pair), 4)
    assert "brought up to date" in refusal(lite_shop.run("validate", "--pair", pair), 4)
    assert "brought up to date" in refusal(lite_shop.run("rollback", "--to", pair), 4)
    lite_shop.write_products(products())
    lite_shop.do("catch-up", pair)
    lite_shop.do("promote", "--pair", pair)


def test_a_catch_up_that_was_not_finished_needs_another_verdict(lite_shop, monkeypatch):
    """Everything was written, then it crashed: the evidence is about what the pair held before, though it has as many rows."""
    lite_shop.stage_model()
    pair = lite_shop.do("build")["pair"]
    lite_shop.do("validate", "--pair", pair)
    rows = products()
    rows[0]["name"], rows[1]["name"] = rows[1]["name"], rows[0]["name"]
    lite_shop.write_products(rows)

    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as crashing:
        crashing.setattr("scripts.jobs.catch_up.finish", crash)
        assert lite_shop.run("catch-up", pair).exit_code == 130
    assert "2 of 150 rows have changed since" in refusal(lite_shop.run("promote", "--pair", pair), 4)
    assert "catch-up" in refusal(lite_shop.run("validate", "--pair", pair), 4)
    lite_shop.do("catch-up", pair)
    assert "not validated" in refusal(lite_shop.run("promote", "--pair", pair), 4)


def test_catch_up_refuses_another_source_and_an_unfinished_build(lite_shop):
    """What the other source lacks would be deleted."""
    lite_shop.stage_model()
    pair = lite_shop.do("create")["pair"]
    assert "still being built" in refusal(lite_shop.run("catch-up", pair), 4)
    pair = lite_shop.do("build", "--build-id", "b")["pair"]
    (lite_shop.folder / "other.jsonl").write_text((lite_shop.folder / "products.jsonl").read_text())
    lite_shop.configure(source={"uri": "other.jsonl", "key": "product_id", "text": "{name}. {description}", "columns": ["name", "price_cents"]})
    assert "was made of products.jsonl, not of other.jsonl" in refusal(lite_shop.run("catch-up", pair), 4)


def test_shards_give_what_one_process_gives(shop):
    """In any order, one of them twice; every shard encodes its own texts only, and `finish` waits for all."""
    shop.stage_model()
    whole = shop.do("build", "--build-id", "whole")["pair"]
    shop.encoded()
    pair = shop.do("create", "--build-id", "sharded")["pair"]
    for index in (2, 0):
        shop.do("embed", "--pair", pair, "--shard", f"{index}/3")
    assert "lacks 1 of 3 shards: 1/3" in refusal(shop.run("finish", "--pair", pair), 4)
    assert shop.do("embed", "--pair", pair, "--shard", "2/3")["written"] == 0
    last = shop.do("embed", "--pair", pair, CIRCLE_NODE_INDEX="1", CIRCLE_NODE_TOTAL="3")
    assert last["shard"] == "1/3"
    assert len(shop.encoded()) == 150
    assert shop.do("finish", "--pair", pair)["rows"] == 150
    assert shop.held(pair) == shop.held(whole)


def test_a_shard_deletes_only_its_own(lite_shop):
    """What vanished from the source leaves with the shard that it belonged to."""
    lite_shop.stage_model()
    pair = lite_shop.do("create")["pair"]
    for index in (0, 1):
        lite_shop.do("embed", "--pair", pair, "--shard", f"{index}/2")
    lite_shop.write_products(products()[:100])
    deleted = [lite_shop.do("embed", "--pair", pair, "--shard", f"{index}/2")["deleted"] for index in (0, 1)]
    assert sum(deleted) == 50 and all(deleted)
    assert lite_shop.do("finish", "--pair", pair)["rows"] == 100


def test_a_new_division_into_shards_replaces_the_old_one(lite_shop):
    """A pass over all keys makes earlier shards' word void, and the other way round."""
    lite_shop.stage_model()
    pair = lite_shop.do("create")["pair"]
    lite_shop.do("embed", "--pair", pair)
    lite_shop.do("embed", "--pair", pair, "--shard", "0/2")
    assert "lacks 1 of 2 shards: 1/2" in refusal(lite_shop.run("finish", "--pair", pair), 4)
    lite_shop.do("embed", "--pair", pair)
    assert lite_shop.do("finish", "--pair", pair)["rows"] == 150


def test_a_source_that_shrinks_to_nothing_needs_a_word(lite_shop):
    """Deleting everything is a fault far more often than a wish."""
    lite_shop.stage_model()
    pair = lite_shop.do("build")["pair"]
    lite_shop.write_products([])
    assert "nothing was deleted" in refusal(lite_shop.run("catch-up", pair), 2)
    done = lite_shop.do("catch-up", pair, "--allow-empty")
    assert (done["deleted"], done["rows"]) == (150, 0)


def test_who_waited_for_another_looks_again(lite_shop):
    """The other one may have finished the pair, and what was validated is not touched any more."""
    lite_shop.stage_model()
    pair = lite_shop.do("create")["pair"]
    with Wiring(config.load(lite_shop.folder / "promotion.yaml", lite_shop.environment)) as kit:
        entry = catalogue.read(kit.store, kit.settings).find(pair)
        embed(kit, pair)
        finish(kit, pair)
        with pytest.raises(Refused, match="was building a moment ago and is built now"):
            fill(kit, entry, Pass())
    lite_shop.do("validate", "--pair", pair)


def test_an_empty_source_needs_a_word_in_shards_too(lite_shop):
    """A shard may have no rows, but then the others have some."""
    lite_shop.stage_model()
    pair = lite_shop.do("create")["pair"]
    lite_shop.write_products([])
    for index in (0, 1):
        told = refusal(lite_shop.run("embed", "--pair", pair, "--shard", f"{index}/2"), 2)
        assert f"no usable rows in shard {index}/2" in told
    lite_shop.write_products(products()[:1])
    assert sum(lite_shop.do("embed", "--pair", pair, "--shard", f"{index}/2")["written"] for index in (0, 1)) == 1
    assert lite_shop.do("finish", "--pair", pair)["rows"] == 1


def test_a_rate_is_no_reason_for_other_content(lite_shop):
    """Throttled builds write in smaller portions, and all of it."""
    lite_shop.stage_model()
    done = lite_shop.do("build", "--max-rows-per-second", "400")
    assert (done["written"], done["rows"]) == (150, 150)


def test_a_bulk_build_holds_what_a_written_one_holds(tmp_path, empty_milvus_server, mlflow_server, monkeypatch):
    """New rows go in as files that Milvus reads by itself; changed ones, and too few for a file, are written; a rerun has nothing to do."""
    monkeypatch.setattr("scripts.adapters.milvus.bulk.SMALLEST_FILE_ROWS", 100)
    shop = JournalledShop(tmp_path / "shop", empty_milvus_server.uri, empty_milvus_server.token, mlflow_server.uri)
    folder = str(tmp_path / "shop" / "bulk")
    shop.configure(bulk={"uri": "bulk", "prefix": folder})
    shop.stage_model()
    written = shop.do("build", "--build-id", "rows")["pair"]
    pair = shop.do("create", "--build-id", "bulk")["pair"]
    done = shop.do("embed", "--pair", pair, "--writer", "bulk")
    assert (done["embedded"], done["written"]) == (150, 150)
    assert shop.do("embed", "--pair", pair, "--writer", "bulk")["unchanged"] == 150
    assert shop.do("finish", "--pair", pair)["rows"] == 150
    assert shop.held(pair) == shop.held(written)
    shop.change()
    done = shop.do("catch-up", pair, "--writer", "bulk")
    assert (done["written"], done["deleted"], done["rows"]) == (4, 1, 150)


def test_bulk_import_is_refused_where_there_is_none(lite_shop):
    """Before anything is encoded: without the folder, for which nothing is made either, and on milvus-lite."""
    lite_shop.stage_model()
    assert "bulk: {uri: …, prefix: …}" in refusal(lite_shop.run("build", "--writer", "bulk"), 2)
    assert not lite_shop.do("status")["pairs"]
    pair = lite_shop.do("create")["pair"]
    assert "bulk: {uri: …, prefix: …}" in refusal(lite_shop.run("embed", "--pair", pair, "--writer", "bulk"), 2)
    lite_shop.configure(bulk={"uri": "bulk", "prefix": "/bulk"})
    assert "milvus-lite has no bulk import" in refusal(lite_shop.run("embed", "--pair", pair, "--writer", "bulk"), 2)
