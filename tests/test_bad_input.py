"""Everything that a user can get wrong ends in one clear line and the right exit code, with nothing lost or half switched."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from scripts.adapters.milvus import MilvusStore
from tests.shop import Shop, products, refusal


def collections(shop: Shop) -> list[str]:
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        return store.collections()


# models


def test_no_model_in_staging(lite_shop):
    """The versions that there are, and what to do, are told."""
    lite_shop.stage("words")
    lite_shop.configure(model={"name": lite_shop.model, "candidate": "@staging"})
    line = refusal(lite_shop.run("build"), 2)
    assert "has no version at @staging" in line
    assert "1 (Staging)" in line


def test_an_unknown_model_name(lite_shop):
    """Named, with where to look."""
    line = refusal(lite_shop.run("build"), 2)
    assert lite_shop.model in line and "MLFLOW_TRACKING_URI" in line
    lite_shop.stage("words")
    assert "version 7" in refusal(lite_shop.run("build", "--model-version", "7"), 2)


@pytest.mark.parametrize(
    ("model", "exit_code", "told"),
    [
        ("wrong_shape", 1, "shape (1,) for 1 texts"),
        ("not_a_number", 1, "NaN or infinity for key 9."),
        ("fails_to_load", 2, "fails to load: RuntimeError: the weights are not there"),
    ],
)
def test_a_broken_model(lite_shop, model, exit_code, told):
    """Wrong shape and failure to load leave no collection behind; a NaN met on the way leaves an unfinished pair that cannot be promoted."""
    lite_shop.stage(model)
    assert told in refusal(lite_shop.run("build"), exit_code)
    for pair in lite_shop.do("status")["pairs"]:
        assert pair["state"] == "building"
        assert "building" in refusal(lite_shop.run("promote", "--pair", pair["pair"]), 4)


def test_a_model_that_fails_on_one_text(lite_shop):
    """Its key is named, not just the batch that it was in; the rows before it are kept for the next try."""
    lite_shop.stage("picky")
    line = refusal(lite_shop.run("build", "--build-id", "b"), 1)
    assert "ValueError: no velvet lamps: key 19." in line
    lite_shop.stage("words")


def test_a_model_changed_in_place_is_noticed(lite_shop, monkeypatch):
    """The registry's files are not those that the pair was built with."""
    pair = lite_shop.build("words")
    path = next((lite_shop.folder / ".promotion" / "models").rglob("MLmodel"))
    with MilvusStore(lite_shop.milvus_uri) as store:
        store.set_properties(pair, {"promotion.model.digest": "0" * 64})
    assert path.exists()
    result = lite_shop.run("validate", "--pair", pair)
    assert (result.exit_code, "has changed in the registry" in result.output) == (3, True)


# sources


def test_an_empty_source(lite_shop):
    """A build of nothing is refused, not called done."""
    lite_shop.write_products([])
    lite_shop.stage("words")
    assert "no rows" in refusal(lite_shop.run("build"), 2)


def test_a_missing_column(lite_shop):
    """Named, with the nearest that there is."""
    lite_shop.configure(source={"uri": "products.jsonl", "key": "product_id", "text": "{nmae}"})
    lite_shop.stage("words")
    line = refusal(lite_shop.run("build"), 2)
    assert "nmae" in line
    assert "Did you mean name?" in line


def test_a_key_that_is_not_unique(lite_shop):
    """Key and place are named."""
    lite_shop.write_products([*products(), products()[4]])
    lite_shop.stage("words")
    assert "duplicate_key in the source: key 5 again in products.jsonl, row 151" in refusal(lite_shop.run("build"), 2)


def test_skipped_rows_are_counted_and_named(lite_shop):
    """Missing text, null key and duplicate key, where the configuration says skip."""
    bad = [{"product_id": 900, "name": "", "price_cents": 1}, {"product_id": None, "name": "x", "price_cents": 1}, products()[4]]
    lite_shop.write_products([*products(), *bad])
    source = {"uri": "products.jsonl", "key": "product_id", "text": "{name}", "columns": ["price_cents"], "on_bad_row": "skip"}
    lite_shop.configure(source=source)
    lite_shop.stage("words")
    facts = lite_shop.do("build")
    assert (facts["seen"], facts["skipped"], facts["rows"]) == (153, 3, 150)
    assert facts["faults"]["missing_text"]["examples"] == ["key 900 in products.jsonl, row 151: every column of the text is empty"]


# names


def test_a_collection_that_has_the_pairs_name_already(shop):
    """It is not the kit's, and is not touched."""
    shop.stage("words")
    name = shop.do("create", "--build-id", "b")["pair"]
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        store._milvus.call("drop_collection", name)
        store._milvus.call("create_collection", name, dimension=4)
    assert "exists already and is not stamped" in refusal(shop.run("build", "--build-id", "b"), 4)
    assert collections(shop) == [name]


def test_a_collection_that_has_the_aliass_name(shop):
    """The first promotion could not create the alias: said before hours of embedding."""
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        store._milvus.call("create_collection", "test_shop_prod", dimension=4)
    shop.stage("words")
    assert "a collection has that name" in refusal(shop.run("build"), 4)


def test_two_services_that_come_out_as_one_name(lite_shop):
    """`test-shop` and `test.shop` would share an alias."""
    lite_shop.promote("words")
    lite_shop.stage("words")
    lite_shop.configure(service="test.shop")
    assert "serves 'test-shop', not 'test.shop'" in refusal(lite_shop.run("build"), 4)


def test_a_build_id_used_for_something_else(lite_shop):
    """The same id finds the same pair, and only if it is made of the same things."""
    lite_shop.stage("words")
    lite_shop.do("create", "--build-id", "b")
    lite_shop.configure(source={"uri": "products.jsonl", "key": "product_id", "text": "{name}"})
    assert "was made with another text template" in refusal(lite_shop.run("create", "--build-id", "b"), 4)


def test_a_configuration_changed_between_create_and_embed(lite_shop):
    """Half a collection of one template and half of another is what the stamp is there to prevent."""
    lite_shop.stage("words")
    pair = lite_shop.do("create")["pair"]
    lite_shop.configure(source={"uri": "products.jsonl", "key": "product_id", "text": "{name}", "columns": ["name", "price_cents"]})
    assert "was made with another text template" in refusal(lite_shop.run("embed", "--pair", pair), 4)


# promotion and rollback


def test_promoting_what_may_not_be_promoted(shop):
    """Never validated, rejected, not existing, not a name: production stays where it is."""
    first = shop.promote("words")
    candidate = shop.build("initials")
    assert "is built, not validated" in refusal(shop.run("promote", "--pair", candidate), 4)
    assert shop.run("validate", "--pair", candidate).exit_code == 1
    assert "was rejected" in refusal(shop.run("promote", "--pair", candidate), 4)
    assert "There is no pair" in refusal(shop.run("promote", "--pair", "test_shop_v9_00000000"), 4)
    assert "not the name of a pair" in refusal(shop.run("promote", "--pair", "products"), 2)
    assert "not a pair file" in refusal(shop.run("promote", "--pair", "absent.json"), 2)
    assert shop.production() == first


def test_promoting_on_evidence_that_the_world_has_left_behind(lite_shop):
    """Production moved, the suite changed, another digest was approved: refused by name of what moved."""
    first = lite_shop.promote("initials")
    second, third = lite_shop.build("words"), lite_shop.build("words")
    approved = lite_shop.do("validate", "--pair", second)["digest"]
    lite_shop.do("validate", "--pair", third)
    assert "was approved, but" in refusal(lite_shop.run("promote", "--pair", third, "--evidence", approved), 4)
    lite_shop.do("promote", "--pair", second, "--evidence", approved)
    line = refusal(lite_shop.run("promote", "--pair", third), 4)
    assert f"production was {first}, is {second}" in line
    lite_shop.do("validate", "--pair", third)
    lite_shop.write_suite(gates=[{"gate": "floor", "measure": "nDCG@10", "at_least": 0.02}])
    assert "the golden suite was" in refusal(lite_shop.run("promote", "--pair", third), 4)
    assert lite_shop.production() == second


def test_rows_lost_after_validation_are_noticed(shop):
    """A collection changed by hand is not what was approved."""
    pair = shop.build("words")
    shop.do("validate", "--pair", pair)
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        store.open(pair).delete([1, 2])
    assert "the row count was 150, is 148" in refusal(shop.run("promote", "--pair", pair), 4)
    assert shop.production() is None


def test_rollback_with_nowhere_to_go(shop):
    """No production at all; then a first pair, which has no predecessor."""
    assert "no pair to roll back from" in refusal(shop.run("rollback"), 4)
    first = shop.promote("words")
    assert "has no predecessor" in refusal(shop.run("rollback"), 4)
    candidate = shop.build("words")
    assert "never production nor validated" in refusal(shop.run("rollback", "--to", candidate), 4)
    assert "production already" in refusal(shop.run("rollback", "--to", first), 4)
    assert shop.production() == first


def test_rollback_to_a_pair_that_was_dropped(shop):
    """Said honestly, and production stays."""
    first, second = shop.promote("initials"), shop.promote("words")
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        store.drop(first)
    assert "is not a pair on this server any more" in refusal(shop.run("rollback"), 4)
    assert shop.production() == second


def test_cleanup_never_touches_what_is_not_the_kits(shop):
    """Neither a collection without stamp, nor one of another service, nor an aliased pair, though all are old enough."""
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        store._milvus.call("create_collection", "test_shop_v1_00000000", dimension=4)
    other = shop.build("words")
    shop.configure(service="another", retention={"keep_days": 0, "keep_previous": 0})
    assert shop.do("cleanup")["dropped"] == []
    assert [name for name in collections(shop) if "_ledger_" not in name] == sorted(["test_shop_v1_00000000", other])
    shop.configure(retention={"keep_days": 0, "keep_previous": 0})
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        store.point("somebody_elses", other)
    assert shop.do("cleanup")["dropped"] == []


def test_a_pass_that_stopped_early_is_never_finished(lite_shop):
    """Half the rows are of the new source and half of the old, though their number is right."""
    rows = [row | {"product_id": i} for i, row in enumerate(products() * 30)]
    lite_shop.write_products(rows)
    lite_shop.stage("words")
    pair = lite_shop.do("create")["pair"]
    lite_shop.do("embed", "--pair", pair)
    lite_shop.write_products([row | {"name": "changed"} for row in rows[:-1]] + [rows[-1] | {"name": "", "description": ""}])
    refusal(lite_shop.run("embed", "--pair", pair), 2)
    assert "has not been filled" in refusal(lite_shop.run("finish", "--pair", pair), 4)


def test_empty_options_are_not_taken_for_none(lite_shop):
    """An unset variable in a pipeline must not bypass an approval, nor choose another pair."""
    first = lite_shop.promote("initials")
    pair = lite_shop.build("words")
    lite_shop.do("validate", "--pair", pair)
    assert "was approved, but" in refusal(lite_shop.run("promote", "--pair", pair, "--evidence", ""), 4)
    lite_shop.do("promote", "--pair", pair)
    assert "not the name of a pair" in refusal(lite_shop.run("rollback", "--to", ""), 2)
    assert lite_shop.production() == pair != first


def test_a_pair_whose_model_is_gone_is_not_promoted(lite_shop):
    """Nobody could query it."""
    pair = lite_shop.build("words")
    lite_shop.do("validate", "--pair", pair)
    client = MlflowClient(lite_shop.mlflow_uri)
    client.delete_model_version(lite_shop.model, "1")
    assert "has lost its model" in refusal(lite_shop.run("promote", "--pair", pair), 4)


def test_a_build_with_the_same_id_after_success_finds_it_done(lite_shop):
    """As a rerun of the whole job does."""
    lite_shop.stage("words")
    first = lite_shop.do("build", "--build-id", "b")
    again = lite_shop.do("build", "--build-id", "b")
    assert (again["pair"], again["rows"], again["found_again"]) == (first["pair"], 150, True)


def test_the_alias_of_another_service_is_never_taken(lite_shop):
    """`test-shop` and `test.shop` are one name in Milvus; who came second gets no alias."""
    pair = lite_shop.build("words")
    lite_shop.do("validate", "--pair", pair)
    lite_shop.configure(service="test.shop")
    other = lite_shop.promote("words")
    lite_shop.configure()
    for command in (["promote", "--pair", pair], ["status"], ["rollback"]):
        assert "serves 'test.shop', not 'test-shop'" in refusal(lite_shop.run(*command), 4)
    lite_shop.configure(service="test.shop")
    assert lite_shop.production() == other


@pytest.mark.parametrize("uri", ["foo://bar", "postgresql://u:hidden-secret@127.0.0.1:1/db", "http://[bad", "file:///dev/null/x", "sqlite:////dev/null/x/m.db"])
def test_an_mlflow_address_that_is_no_use_does_not_stop_a_rollback(lite_shop, uri):
    """The switch is made, what is left is said, and nothing but that."""
    first, _ = lite_shop.promote("initials"), lite_shop.promote("words")
    result = lite_shop.run("rollback", MLFLOW_TRACKING_URI=uri)
    assert result.exit_code == 0, result.output
    assert "LEFT TO DO" in result.output
    assert "hidden-secret" not in result.output
    assert lite_shop.run("status", MLFLOW_TRACKING_URI=uri).exit_code == 0
    assert lite_shop.production() == first


def test_answers_for_machines_are_json(lite_shop):
    """Also where a number is missing."""
    lite_shop.write_products([row | {"price_cents": None if row["product_id"] % 2 else 5} for row in products()])
    lite_shop.promote("words")
    hits = lite_shop.do("search", "sofa", "--limit", "20")["hits"]
    assert {hit["fields"]["price_cents"] for hit in hits} == {None, 5.0}


# services


def test_a_released_collection(empty_milvus_server, tmp_path, mlflow_server):
    """Searching, validating and promoting say so; `finish` mends it. (milvus-lite loads everything when it is opened.)"""
    shop = Shop(tmp_path / "shop", empty_milvus_server.uri, empty_milvus_server.token, mlflow_server.uri)
    first, second = shop.promote("initials"), shop.build("words")
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        for name in (first, second):
            store._milvus.call("release_collection", name)
    assert "not loaded" in refusal(shop.run("search", "sofa"), 4)
    assert "is not loaded" in refusal(shop.run("validate", "--pair", second), 4)
    shop.do("finish", "--pair", second)
    result = shop.run("validate", "--pair", second)
    assert result.exit_code == 3
    assert "was not measured: it is not loaded" in result.output
    shop.do("finish", "--pair", first)
    shop.do("validate", "--pair", second)
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        store._milvus.call("release_collection", second)
    assert "is not loaded" in refusal(shop.run("promote", "--pair", second), 4)
    assert shop.production() == first


def test_a_rollback_loads_a_released_target(empty_milvus_server, tmp_path, mlflow_server):
    """At three in the morning nobody should have to."""
    shop = Shop(tmp_path / "shop", empty_milvus_server.uri, empty_milvus_server.token, mlflow_server.uri)
    first, _ = shop.promote("initials"), shop.promote("words")
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        store._milvus.call("release_collection", first)
    shop.do("rollback")
    assert shop.do("search", "sofa")["pair"] == first


@pytest.mark.parametrize("command", [["status"], ["rollback"], ["cleanup"], ["search", "sofa"], ["build"]])
def test_milvus_that_is_down_or_says_no(lite_shop, milvus_server, command):
    """At once and in one line, for every command; and the token is never shown."""
    lite_shop.stage("words")
    down = lite_shop.run(*command, MILVUS_URI="http://127.0.0.1:9", MILVUS_TOKEN="root:hidden-secret")
    assert "Nothing answers at MILVUS_URI" in refusal(down, 5)
    wrong = lite_shop.run(*command, MILVUS_URI=milvus_server.uri, MILVUS_TOKEN="root:hidden-secret")
    assert "does not let us in" in refusal(wrong, 5)
    assert "hidden-secret" not in down.output + wrong.output


def test_mlflow_that_is_down(lite_shop):
    """Building needs it and says so; status does without."""
    dead = {"MLFLOW_TRACKING_URI": "http://someone:hidden-secret@127.0.0.1:9"}
    result = lite_shop.run("build", **dead)
    assert "Nothing answers at MLFLOW_TRACKING_URI" in refusal(result, 5)
    assert "hidden-secret" not in result.output
    status = lite_shop.run("status", **dead)
    assert status.exit_code == 0
    assert "MLflow was not asked" in status.output


def test_a_milvus_lite_file_that_another_process_holds(lite_shop, tmp_path):
    """Said to be so, with what to do."""
    import subprocess
    import sys

    holder = "import sys; from scripts.adapters.milvus import MilvusStore\nwith MilvusStore(sys.argv[1]) as s: s.connect(); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", holder, lite_shop.milvus_uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"open\n"
        assert f"process {process.pid} (" in (line := refusal(lite_shop.run("status"), 5)) and "holds it" in line
        process.stdin.close()


def test_no_production_to_search(lite_shop):
    """What to do first is told."""
    assert "does not point to a pair" in refusal(lite_shop.run("search", "sofa"), 4)
