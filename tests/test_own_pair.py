"""What a pipeline knows by itself: its pair, and the evidence that was approved in it. So no job depends on files that another one left."""

from __future__ import annotations

import json

from scripts import lock
from scripts.adapters.milvus import MilvusStore
from scripts.ledger import Act, Holder
from tests.shop import refusal

PIPELINE, OTHER = {"CIRCLE_PIPELINE_ID": "6f1ed2c4-0001"}, {"CIRCLE_PIPELINE_ID": "6f1ed2c4-0002"}


def test_every_job_finds_the_pipelines_pair_by_itself(shop):
    """From create to promote no pair is named; a job of another workflow of the same pipeline, as after "rerun from failed", finds the same."""
    shop.stage("words")
    made = shop.do("create", **PIPELINE, CIRCLE_WORKFLOW_ID="w-1")["pair"]
    again = shop.do("create", **PIPELINE, CIRCLE_WORKFLOW_ID="w-2")
    assert (again["pair"], again["found_again"]) == (made, True)
    for command in ("embed", "finish", "validate"):
        shop.do(command, **PIPELINE, CIRCLE_WORKFLOW_ID="w-2")
    assert shop.do("promote", **PIPELINE)["to"] == made
    assert shop.production() == made


def test_without_a_pair_of_its_own_a_pipeline_is_told_so(lite_shop):
    """Neither another pipeline's pair, nor one by hand, is taken for it."""
    lite_shop.build("words")
    assert "(6f1ed2c4-0002) has made no pair" in refusal(lite_shop.run("validate", **OTHER), 4)
    assert "--pair" in refusal(lite_shop.run("validate"), 2)


def test_a_pipeline_with_two_pairs_has_to_say_which(lite_shop):
    """As when its first job ran for two versions: none is chosen."""
    lite_shop.stage("words")
    lite_shop.stage("words")
    for version in ("1", "2"):
        lite_shop.do("create", "--model-version", version, **PIPELINE)
    line = refusal(lite_shop.run("embed", **PIPELINE), 4)
    assert "test_shop_v1_" in line and "test_shop_v2_" in line and "--pair" in line


def test_a_pipeline_promotes_only_on_evidence_that_it_made(lite_shop):
    """What a person approved in it is what they saw in it: evidence made by hand or elsewhere since is refused, unless its digest is given."""
    lite_shop.stage("words")
    pair = lite_shop.do("build", **PIPELINE)["pair"]
    lite_shop.do("validate", **PIPELINE)
    by_hand = lite_shop.do("validate", "--pair", pair)["digest"]
    assert "made by hand: nobody approved that in this pipeline" in refusal(lite_shop.run("promote", **PIPELINE), 4)
    lite_shop.do("validate", "--pair", pair, **OTHER)
    assert "made in pipeline 6f1ed2c4-0002" in refusal(lite_shop.run("promote", **PIPELINE), 4)
    assert "was approved, but" in refusal(lite_shop.run("promote", "--evidence", by_hand, **PIPELINE), 4)
    digest = lite_shop.do("validate", "--pair", pair)["digest"]
    assert lite_shop.do("promote", "--evidence", digest, **PIPELINE)["to"] == pair


def test_a_rollback_that_is_run_again_in_its_pipeline_goes_no_further_back(shop):
    """A rerun of a job that was done says so, also beside a lock of the dead, and where its first attempt came to nothing; another pipeline, or a
    person, means another rollback."""
    first, second, _ = (shop.promote("words") for _ in range(3))
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        dead = lock.break_open(store, "test_shop_prod", Holder(token="elsewhere@1/17/abcdef01", doing="rollback", by="ann", since="2026-11-21T03:00:00Z"))
        details = {"pipeline": PIPELINE["CIRCLE_PIPELINE_ID"]}
        dead.record(Act(kind="rollback", id="0", at="2026-11-21T03:00:00Z", by="ann", alias="test_shop_prod", outcome="not finished", told=True, details=details))
        dead.release()
    assert shop.do("rollback", **PIPELINE)["to"] == second
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        lock.break_open(store, "test_shop_prod", Holder(token="elsewhere@1/17/abcdef01", doing="cleanup", by="ann", since="2026-11-21T03:00:00Z")).release()
    again = shop.do("rollback", **PIPELINE)
    assert (again["to"], shop.production()) == (second, second)
    assert len([act for act in shop.do("history")["acts"] if (act["kind"], act["outcome"]) == ("rollback", "done")]) == 1
    assert "`rollback --to PAIR` goes further back" in shop.run("rollback", **PIPELINE).stdout
    assert shop.do("rollback", **OTHER)["to"] == first
    assert "has rolled back to" in refusal(shop.run("rollback", **PIPELINE), 4)  # production is elsewhere by now: it is not this one's any more
    assert shop.production() == first


def test_a_pipeline_does_not_roll_back_to_what_was_never_approved(lite_shop):
    """`--to` a candidate would be a promotion without approval and without a look at its evidence."""
    lite_shop.promote("words")
    candidate = lite_shop.build("words")
    lite_shop.do("validate", "--pair", candidate)
    assert "has never served" in refusal(lite_shop.run("rollback", "--to", candidate, **PIPELINE), 4)


def test_a_pipeline_that_is_run_again_from_its_start_judges_its_pair_anew(lite_shop):
    """As when another release was promoted meanwhile: nothing is embedded again, and fresh evidence is what is promoted."""
    lite_shop.stage("words")
    pair = lite_shop.do("build", **PIPELINE)["pair"]
    lite_shop.do("validate", **PIPELINE)
    lite_shop.promote("words")
    assert "validated in another world" in refusal(lite_shop.run("promote", **PIPELINE), 4)
    assert lite_shop.do("create", "--model-version", "1", **PIPELINE)["pair"] == pair
    assert lite_shop.do("embed", **PIPELINE)["complete"]
    lite_shop.do("finish", **PIPELINE)
    lite_shop.do("validate", **PIPELINE)
    assert lite_shop.do("promote", **PIPELINE)["to"] == pair


def test_a_pair_file_still_names_it(lite_shop):
    """In a pipeline whose workspace has one, and outside of any."""
    lite_shop.stage("words")
    file = lite_shop.folder / "pair.json"
    pair = lite_shop.do("create", "--out", str(file), **PIPELINE)["pair"]
    assert json.loads(file.read_text())["pair"] == pair
    lite_shop.do("embed", "--pair", str(file), **OTHER)
    assert lite_shop.do("finish", "--pair", str(file))["pair"] == pair
