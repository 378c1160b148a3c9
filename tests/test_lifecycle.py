"""The main job, end to end, through the command line: on milvus-lite and on the real server, with a real MLflow server."""

from __future__ import annotations

from tests.shop import refusal


def test_a_pair_lives_its_whole_life(shop):
    """build → promote → build v2 → validate → promote → rollback → promote → cleanup: after each step everyone agrees on production."""

    def production_is(pair, version):
        facts = shop.do("status")
        assert (facts["production"], facts["drift"]) == (pair, "")
        assert shop.stage_of(version) == "Production"
        assert shop.do("search", "velvet sofa", "--limit", "1")["pair"] == pair

    first = shop.promote("initials")
    production_is(first, 1)

    second = shop.build("words")
    production_is(first, 1)
    evidence = shop.do("validate", "--pair", second)
    assert (evidence["verdict"], evidence["production"]) == ("pass", first)
    assert evidence["means"]["nDCG@10"] > evidence["production_means"]["nDCG@10"]
    shop.do("promote", "--pair", second, "--evidence", evidence["digest"])
    production_is(second, 2)
    assert shop.stage_of(1) == "Archived"

    assert shop.do("rollback", "--reason", "a test")["to"] == first
    production_is(first, 1)
    assert "taken out of production: rollback to" in refusal(shop.run("promote", "--pair", second), 4)
    shop.do("validate", "--pair", second)
    shop.do("promote", "--pair", second)
    production_is(second, 2)

    rejected = shop.build("initials")
    assert shop.run("validate", "--pair", rejected).exit_code == 1
    assert "was rejected" in refusal(shop.run("promote", "--pair", rejected), 4)
    assert [gone["pair"] for gone in shop.do("cleanup", "--dry-run")["drop"]] == [rejected]
    assert [gone["pair"] for gone in shop.do("cleanup")["dropped"]] == [rejected]
    assert {pair["pair"]: pair["state"] for pair in shop.do("status")["pairs"]} == {first: "retired", second: "production"}
    assert shop.do("rollback")["to"] == first
    production_is(first, 1)


def test_the_jobs_of_a_pipeline_hand_the_pair_on_in_a_file(shop):
    """create, embed and finish as jobs of their own; each again, as a rerun does it."""
    shop.stage("words")
    file = shop.folder / "out" / "pair.json"
    for _ in range(2):
        created = shop.do("create", "--build-id", "workflow 1/a", "--out", str(file))
    assert created["found_again"]
    assert shop.do("embed", "--pair", str(file))["written"] == 150
    assert shop.do("embed", "--pair", str(file))["unchanged"] == 150
    for _ in range(2):
        assert shop.do("finish", "--pair", str(file))["rows"] == 150
    for _ in range(2):
        shop.do("validate", "--pair", str(file), "--out", str(shop.folder / "evidence.json"))
    for _ in range(2):
        shop.do("promote", "--pair", str(file))
    assert shop.production() == created["pair"]


def test_a_dry_run_prints_the_plan_and_changes_nothing(shop):
    """For promote, rollback and cleanup."""
    first = shop.promote("initials")
    second = shop.build("words")
    shop.do("validate", "--pair", second)
    assert shop.do("promote", "--pair", second, "--dry-run")["steps"][3] == (
        f"switch: move alias test_shop_prod from {first} to {second} (atomic; the old collection stays loaded)"
    )
    assert shop.production() == first
    shop.do("promote", "--pair", second)
    assert shop.do("rollback", "--dry-run")["to"] == first
    assert shop.production() == second
    assert shop.stage_of(2) == "Production"


def test_aliases_work_where_stages_are_not_used(shop):
    """`@staging` and `@production` in the configuration: the replacement for MLflow's deprecated stages."""
    from mlflow import MlflowClient

    shop.configure(model={"name": shop.model, "candidate": "@staging", "production": "@production"})
    client = MlflowClient(shop.mlflow_uri)
    version = shop.stage("words")
    client.transition_model_version_stage(shop.model, str(version), "None")
    client.set_registered_model_alias(shop.model, "staging", str(version))
    pair = shop.do("build")["pair"]
    shop.do("validate", "--pair", pair)
    shop.do("promote", "--pair", pair)
    assert client.get_model_version_by_alias(shop.model, "production").version == str(version)
    assert shop.do("status")["drift"] == ""


def test_a_version_can_be_pinned(shop):
    """Whatever stands in Staging."""
    shop.stage("initials")
    shop.stage("words")
    assert shop.do("build", "--model-version", "1")["model"]["version"] == 1


def test_a_rollback_works_without_mlflow_and_is_repaired_later(shop):
    """The switch first; what is left is said; the same command again repairs it, and does not go one pair further back."""
    first, second = shop.promote("initials"), shop.promote("words")
    dead = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    result = shop.run("rollback", **dead)
    assert result.exit_code == 0, result.output
    assert "LEFT TO DO: MLflow" in result.output
    facts = shop.do("status")
    assert facts["production"] == first
    assert "at Production, production serves version 1." in facts["drift"]
    assert shop.do("rollback")["to"] == first
    facts = shop.do("status")
    assert (facts["production"], facts["drift"], shop.stage_of(1), shop.stage_of(2)) == (first, "", "Production", "Archived")
    assert shop.do("rollback", "--to", second)["to"] == second


def test_filters_work_on_the_stored_columns(shop):
    """With the columns' own types. Searched exactly: milvus-lite 3.2.2 loses hits of an HNSW index where a filter leaves few of many rows."""
    shop.configure(index={"type": "FLAT"})
    shop.promote("words")
    hits = shop.do("search", "velvet sofa", "--where", "price_cents > 14000", "--limit", "50")["hits"]
    assert {hit["key"] for hit in hits} == set(range(141, 151))
    assert {hit["fields"]["price_cents"] for hit in hits} == {100 * key for key in range(141, 151)}


def test_string_keys_and_csv_go_the_same_way(shop):
    """A source of another format, with keys that are strings, some of them strange."""
    rows = ["sku,name,description,price_cents"] + [f'"00{i}\'\\",{"red sofa" if i == 1 else f"item {i}"},a thing,{i}' for i in range(20)]
    (shop.folder / "products.csv").write_text("\n".join(rows) + "\n")
    shop.configure(source={"uri": "*.csv", "key": "sku", "text": "{name}. {description}", "columns": ["price_cents"]})
    shop.write_suite(gates=[{"gate": "floor", "measure": "nDCG@10", "at_least": 0.5}], judgments=[("q1", "001'\\", 2)])
    pair = shop.build("words")
    assert shop.do("validate", "--pair", pair)["why"].startswith("nDCG@10 >= 0.5 (")
    shop.do("promote", "--pair", pair)
    assert shop.do("search", "item 7", "--where", "price_cents == 7")["hits"][0]["key"] == "007'\\"
