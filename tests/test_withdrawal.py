"""An earlier pass does not outlive a validation that was begun, nor a verdict that says otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scripts import config
from scripts.adapters.milvus import MilvusStore
from scripts.errors import Refused, UnfitModel, Unreachable
from scripts.evidence import of_stamp
from scripts.jobs import trial
from scripts.jobs.validate import validate
from scripts.pair import Stamp
from scripts.wiring import Wiring
from tests.conftest import ROOT
from tests.shop import Shop, products, refusal


@pytest.fixture
def shop(tmp_path, mlflow_server) -> Shop:
    return Shop(tmp_path / "shop", str(tmp_path / "milvus.db"), "", mlflow_server.uri)


def parts(shop: Shop) -> Wiring:
    return Wiring(config.load(shop.folder / "promotion.yaml", environ=shop.environment))


def stamp(shop: Shop, pair: str, **properties: str) -> None:
    with MilvusStore(shop.milvus_uri) as store:
        store.set_properties(pair, {f"promotion.{name}": value for name, value in properties.items()})


def test_a_validation_that_ends_early_leaves_no_pass(shop, monkeypatch):
    """Milvus gone in the middle, say: what was seen until then may be bad, so nothing of before can be promoted."""
    pair = shop.build("words")
    shop.do("validate", "--pair", pair)

    def gone(*_: object) -> None:
        raise Unreachable("Milvus does not answer.")

    monkeypatch.setattr(trial.latency, "interleaved", gone)
    assert "does not answer" in refusal(shop.run("validate", "--pair", pair), 5)
    assert "not validated" in refusal(shop.run("promote", "--pair", pair), 4)


def test_what_goes_wrong_in_one_part_leaves_the_others(shop, monkeypatch):
    """A replay that fails is inconclusive by itself; a floor that fails beside it still fails the pair."""
    pair = shop.build("words")
    shop.write_suite(gates=[{"gate": "floor", "measure": "nDCG@10", "at_least": 1.5}])

    def unfit(*_: object) -> None:
        raise UnfitModel("a vector is not a number")

    monkeypatch.setattr(trial, "examine", unfit)
    with parts(shop) as kit:
        found = validate(kit, pair)
    assert found.exit_code == 1
    assert {gate.why for gate in found.evidence.gates if gate.kind == "contents"} == {"a vector is not a number"}
    assert any(gate.kind == "floor" and gate.outcome == "fail" for gate in found.evidence.gates)


def test_a_model_that_is_unfit_for_a_golden_query_fails(shop):
    """Its vectors were looked at: the answer is no."""
    shop.write_products([row for row in products() if row["name"] != "velvet lamp"])
    shop.write_suite(judgments=[("q1", 1, 2)])
    shop.stage("picky")
    pair = shop.do("build")["pair"]
    folder = shop.folder / "golden"
    with (folder / "queries.csv").open("a") as queries, (folder / "judgments.csv").open("a") as judgments:
        queries.write("bad,velvet lamp\n")
        judgments.write("bad,1,2\n")
    result = shop.run("validate", "--pair", pair)
    assert result.exit_code == 1, result.output
    assert "could not be asked" in result.output


def test_catching_up_on_nothing_brings_no_pass_back(shop, monkeypatch):
    """`finish` writes what it knows, not the state that it read before a validation said no."""
    from scripts.jobs import finish

    pair = shop.build("words")
    shop.do("validate", "--pair", pair)
    waited = finish._wait_until_covered

    def meanwhile(collection):
        collection._milvus.call("alter_collection_properties", pair, {"promotion.state": "rejected", "promotion.verdict": "fail"})
        return waited(collection)

    monkeypatch.setattr(finish, "_wait_until_covered", meanwhile)
    shop.do("catch-up", pair)
    assert "was rejected" in refusal(shop.run("promote", "--pair", pair), 4)


def test_evidence_that_is_no_pass_promotes_nothing(shop):
    """Whatever the state says; and evidence of another pair is none."""
    pair = shop.build("words")
    shop.write_suite(gates=[{"gate": "floor", "measure": "nDCG@10", "at_least": 1.5}])
    assert shop.run("validate", "--pair", pair).exit_code == 1
    stamp(shop, pair, state="validated")
    assert "verdict on" in refusal(shop.run("promote", "--pair", pair), 4)
    with MilvusStore(shop.milvus_uri) as store:
        found = Stamp.read(pair, store.properties(pair) or {})
    with pytest.raises(Refused, match="is of"):
        of_stamp("test_shop_v9_00000000", found)


def test_production_without_its_stamp_is_not_taken_for_foreign(shop):
    """A collection with a pair's name was a pair: floors alone do not decide beside it."""
    first = shop.promote("initials")
    pair = shop.build("words")
    with MilvusStore(shop.milvus_uri) as store:
        held = store.properties(first) or {}
        store._milvus.call("drop_collection_properties", first, [name for name in held if name.startswith("promotion.")])
    result = shop.run("validate", "--pair", pair)
    assert (result.exit_code, "no stamp" in result.output) == (3, True), result.output


def test_a_lost_alias_beside_an_unreadable_pair_is_no_first_promotion(shop):
    """Whether that pair served cannot be known."""
    first = shop.promote("initials")
    pair = shop.build("words")
    stamp(shop, first, layout="{")
    with MilvusStore(shop.milvus_uri) as store:
        store._milvus.call("drop_alias", "test_shop_prod")
    result = shop.run("validate", "--pair", pair)
    assert (result.exit_code, "points to nothing" in result.output) == (3, True), result.output


def test_evidence_binds_the_replayed_log(shop):
    """Another log is another evidence."""
    shop.promote("initials")
    pair = shop.build("words")
    digests = set()
    for count in (20, 40):
        log = shop.folder / "log.txt"
        log.write_text("".join(f"{row['name']}\n" for row in products()[:count]))
        digests.add(shop.do("validate", "--pair", pair, "--replay", str(log))["replayed_log"])
    assert len(digests - {""}) == 2


def test_an_output_that_cannot_be_written_is_told(shop):
    """In one line, after the verdict, which stands."""
    pair = shop.build("words")
    result = shop.run("validate", "--pair", pair, "--out", "/proc/evidence.json")
    assert "cannot be written" in refusal(result, 2)
    assert "PASS" in result.stdout


def test_reports_are_written_though_nobody_reads_the_verdict(shop):
    """`validate … | head -1` closes the pipe; the files are there all the same."""
    pair = shop.build("words")
    command = f"{sys.executable} -m scripts validate --pair {pair} --config {shop.folder / 'promotion.yaml'} --report {shop.folder / 'reports'} | true"
    subprocess.run(command, shell=True, cwd=ROOT, env=os.environ | shop.environment, capture_output=True, check=False, timeout=120)
    assert (shop.folder / "reports" / "report.html").exists()
