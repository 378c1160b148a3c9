"""`validate` through the command line: what it cannot judge it calls inconclusive, with the reason; what it says is kept and told."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest
from mlflow import MlflowClient

from scripts.adapters.milvus import MilvusStore
from tests.shop import Shop, products, refusal

FLOOR = {"gate": "floor", "measure": "nDCG@10", "at_least": 0.01}
LOSS = {"gate": "max_loss", "measure": "nDCG@10", "at_most": 0.02}


def inconclusive(shop: Shop, pair: str, *options: str) -> str:
    """The reason why validation cannot tell. Fails itself where it can, or where the pair could be promoted all the same."""
    result = shop.run("validate", "--pair", pair, "--json", *options)
    assert result.exit_code == 3, result.output
    assert "not validated" in refusal(shop.run("promote", "--pair", pair), 4)
    return json.loads(result.stdout)["why"]


def queries(shop: Shop, *texts: str) -> None:
    """Appends queries for product 1."""
    folder = shop.folder / "golden"
    with (folder / "queries.csv").open("a") as file, (folder / "judgments.csv").open("a") as judged:
        for number, text in enumerate(texts):
            file.write(f'extra{number},"{text}"\n')
            judged.write(f"extra{number},1,2\n")


# suites


def test_a_golden_query_that_names_a_document_which_does_not_exist(shop):
    """Query and document are named; the verdict is withheld, whatever the gates say."""
    shop.write_suite(judgments=[("q1", 1, 2), ("q6", 4711, 2)])
    pair = shop.build("words")
    result = shop.run("validate", "--pair", pair)
    assert result.exit_code == 3
    assert "query 'q6' names 4711" in result.output
    assert "is built, not validated" in refusal(shop.run("promote", "--pair", pair), 4)


@pytest.mark.parametrize(("gates", "judgments"), [([], None), (None, [("q1", 1, 0)]), ([{"gate": "max_loss", "measure": "nDCG@10", "at_most": 0.1}], None)])
def test_no_gates_no_judged_query_or_no_floor_is_inconclusive(lite_shop, gates, judgments):
    """Never a pass by itself."""
    lite_shop.write_suite(gates=gates, judgments=judgments)
    pair = lite_shop.build("words")
    assert lite_shop.run("validate", "--pair", pair).exit_code == 3


def test_production_whose_model_no_longer_loads_is_inconclusive(lite_shop):
    """The reason is told, and the candidate does not pass for want of a baseline."""
    lite_shop.promote("initials")
    pair = lite_shop.build("words")
    with MilvusStore(lite_shop.milvus_uri) as store:
        store.set_properties(store.target("test_shop_prod"), {"promotion.model.digest": "0" * 64})
    result = lite_shop.run("validate", "--pair", pair)
    assert result.exit_code == 3
    assert "was not measured: Model" in result.output


def test_a_later_verdict_withdraws_an_earlier_pass(lite_shop):
    """A re-run that fails or cannot tell leaves nothing to promote."""
    pair = lite_shop.build("words")
    lite_shop.do("validate", "--pair", pair)
    lite_shop.write_suite(gates=[{"gate": "floor", "measure": "nDCG@10", "at_least": 1.5}])
    assert lite_shop.run("validate", "--pair", pair).exit_code == 1
    assert "was rejected" in refusal(lite_shop.run("promote", "--pair", pair), 4)


def test_an_empty_suite(lite_shop):
    """One line says which file has nothing in it."""
    pair = lite_shop.build("words")
    (lite_shop.folder / "golden" / "queries.csv").write_text("query_id,query\n")
    (lite_shop.folder / "golden" / "judgments.csv").write_text("query_id,product_id,grade\n")
    assert "queries.csv has no queries" in refusal(lite_shop.run("validate", "--pair", pair), 2)


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ({"gate": "flor", "measure": "nDCG@10", "at_least": 0.1}, "did you mean floor"),
        ({"gate": "floor", "measure": "R@50", "at_least": 0.1}, "R@50, which is not among the measures"),
        ({"gate": "floor", "measure": "nDCG@10", "at_least": 0.1, "slice": "brands"}, "'brands'"),
        ({"gate": "max_loss", "measure": "nDCG@10", "at_most": -1}, "at_most"),
        ({"measure": "nDCG@10", "at_least": 0.1}, "a gate is a mapping with a kind"),
    ],
)
def test_a_gate_that_cannot_be_judged(lite_shop, gate, told):
    """Misspelled, on a measure that is not computed, on a slice that nobody is in: told before anything is searched."""
    pair = lite_shop.build("words")
    lite_shop.write_suite(gates=[gate])
    assert told in refusal(lite_shop.run("validate", "--pair", pair), 2)


def test_queries_of_any_kind(shop):
    """In no language, of 10,000 characters, in another script: each is a query like others."""
    queries(shop, "?!#", "x" * 10_000, "赤いソファ", "🛋", "'; drop collection")
    pair = shop.build("words")
    assert shop.do("validate", "--pair", pair)["queries"] == 65


# production


def test_production_that_is_released_is_inconclusive(shop):
    """It cannot be searched, so nothing is known of it."""
    first = shop.promote("initials")
    pair = shop.build("words")
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        store._milvus.call("release_collection", first)
    if shop.milvus_token:  # milvus-lite is loaded again when it is opened
        assert f"production {first} was not measured: it is not loaded" in inconclusive(shop, pair)
    else:
        assert shop.do("validate", "--pair", pair)["verdict"] == "pass"


@pytest.mark.parametrize("dropped", [False, True])
def test_production_that_is_missing_is_inconclusive(shop, dropped):
    """The alias is gone, or what it pointed to: that is no first pair, for which floors would be enough."""
    first = shop.promote("initials")
    second = shop.promote("words")
    pair = shop.build("words")
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        store._milvus.call("drop_alias", "test_shop_prod")
        if dropped:
            store._milvus.call("drop_collection", second)
    assert f"production {first if dropped else second} was not measured: the alias test_shop_prod points to nothing" in inconclusive(shop, pair)


def test_production_is_not_compared_with_itself(shop):
    """It would always pass."""
    first = shop.promote("words")
    assert "compared with itself" in refusal(shop.run("validate", "--pair", first), 4)


# the candidate


def test_a_candidate_whose_model_is_not_what_it_was_is_inconclusive(lite_shop):
    """And withdraws what was said when it was."""
    pair = lite_shop.build("words")
    lite_shop.do("validate", "--pair", pair)
    with MilvusStore(lite_shop.milvus_uri) as store:
        store.set_properties(pair, {"promotion.model.digest": "0" * 64})
    assert "the candidate could not be asked: Model" in inconclusive(lite_shop, pair)


def test_a_source_that_cannot_be_read_is_inconclusive(lite_shop):
    """Whether the pair is what its source says is then not known; the reason names the file."""
    pair = lite_shop.build("words")
    (lite_shop.folder / "products.jsonl").unlink()
    assert "products.jsonl" in inconclusive(lite_shop, pair)


def test_a_source_that_went_on_is_told_and_mended_by_catching_up(lite_shop):
    """A pair older than its source by more than the tolerated share does not pass, and does after `catch-up`."""
    pair = lite_shop.build("words")
    lite_shop.write_products([row | {"price_cents": 7} if row["product_id"] <= 15 else row for row in products()])
    result = lite_shop.run("validate", "--pair", pair)
    assert result.exit_code == 1
    assert "10.00% differ (0 new, 15 changed, 0 vanished); run `catch-up`" in result.output
    lite_shop.do("catch-up", pair)
    assert lite_shop.do("validate", "--pair", pair)["verdict"] == "pass"


# replay


def test_gates_on_replayed_queries_need_a_log(lite_shop):
    """Without one they are inconclusive; with one they are judged, by `validate` and by `replay` alike."""
    lite_shop.promote("initials")
    pair = lite_shop.build("words")
    lite_shop.write_suite(gates=[FLOOR, LOSS, {"gate": "overlap", "at_least": 0.99}])
    assert "no queries were replayed" in inconclusive(lite_shop, pair)
    log = lite_shop.folder / "log.csv"
    log.write_text("query\n" + "".join(f"{row['name']}\n" for row in products()[:40]))
    result = lite_shop.run("validate", "--pair", pair, "--replay", str(log))
    assert result.exit_code == 1
    assert "overlap with production >= 0.99" in result.output
    assert lite_shop.run("replay", "--pair", pair, "--queries", str(log)).exit_code == 1


def test_a_log_that_is_not_there(lite_shop):
    """Told before the long work."""
    pair = lite_shop.build("words")
    assert "absent.csv" in refusal(lite_shop.run("validate", "--pair", pair, "--replay", "absent.csv"), 2)


# what is left behind


def test_reports_and_run_tell_the_same(shop):
    """HTML, JUnit, text and JSON in the folder and in the pair's MLflow run, all of one digest; the run has metrics and inputs."""
    first = shop.promote("initials")
    pair = shop.build("words")
    folder = shop.folder / "reports"
    shop.write_suite(gates=[FLOOR, LOSS, {"gate": "query_floor", "measure": "nDCG@10", "at_least": 0.0001}])
    evidence = shop.do("validate", "--pair", pair, "--report", str(folder), "--out", str(shop.folder / "evidence.json"))
    assert evidence["notes"] == []
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(written) == {"report.html", "junit.xml", "summary.txt", "validation.json", "evidence.json"}
    assert (shop.folder / "evidence.json").read_text() == written["evidence.json"]
    assert all(evidence["digest"] in written[name] for name in ("report.html", "summary.txt", "validation.json"))
    cases = ElementTree.fromstring(written["junit.xml"]).findall(".//testcase")
    assert len(cases) == 1 + len(evidence["gates"]) + evidence["queries"]
    assert not ElementTree.fromstring(written["junit.xml"]).findall(".//failure")

    client = MlflowClient(shop.mlflow_uri)
    experiment = client.get_experiment_by_name("test-shop")
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`promotion.pair` = '{pair}'")
    assert run.data.tags["promotion.verdict"] == "pass"
    assert run.data.tags["promotion.evidence_digest"] == evidence["digest"]
    assert run.data.tags["promotion.production"] == first
    assert run.data.params["model"] == shop.model
    assert any(abs(value - evidence["means"]["nDCG@10"]) < 1e-9 for value in run.data.metrics.values())
    assert {item.dataset.name for item in run.inputs.dataset_inputs} >= {"golden"}
    assert "validation/report.html" in {file.path for file in client.list_artifacts(run.info.run_id, "validation")}
