"""Promotion as a plan that is applied: what it brings in, what it refuses, what it does when production does not answer as it should."""

from __future__ import annotations

import re

import pytest
from mlflow import MlflowClient

from scripts import catalogue, config, lock
from scripts.adapters.milvus import MilvusStore
from scripts.heartbeat import new_token
from scripts.ledger import Holder
from scripts.pair import State
from scripts.wiring import Wiring
from tests.shop import Shop, products, refusal


def validated(shop: Shop, model: str = "words") -> str:
    pair = shop.build(model)
    shop.do("validate", "--pair", pair)
    return pair


def change(shop: Shop, count: int, word: str = "shiny") -> None:
    """Other texts in so many of the 150 products."""
    shop.write_products([row | ({"description": f"{word} {row['description']}"} if row["product_id"] <= count else {}) for row in products()])


def shuffle_vectors(shop: Shop, pair: str) -> None:
    """What no validation after the fact sees: every row with its own hashes and another row's vector."""
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        rows = store._milvus.call("query", pair, filter="product_id > 0", output_fields=["*"], limit=1000, consistency_level="Strong")
        vectors = [row["vector"] for row in rows]
        store._milvus.call("upsert", pair, [dict(row) | {"vector": vector} for row, vector in zip(rows, vectors[75:] + vectors[:75], strict=True)])
        store.open(pair).flush()
        store.open(pair).count()


def stamp_of(shop: Shop, pair: str):
    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        return catalogue.read(store, config.load(shop.folder / "promotion.yaml", shop.environment)).find(pair).stamp


def history(shop: Shop) -> list[dict]:
    return shop.do("history")["acts"]


def test_the_plan_that_is_printed_is_the_one_applied(shop):
    """Step by step, and each is told when it is done."""
    shop.promote("initials")
    pair = validated(shop)
    plan = shop.do("promote", "--pair", pair, "--dry-run")["steps"]
    result = shop.run("promote", "--pair", pair)
    assert result.exit_code == 0, result.output
    told = [line.strip().partition(":")[0] for line in result.stderr.splitlines() if line.startswith("  ")]
    assert told == [step.partition(":")[0] for step in plan]
    assert told == ["lock", "check", "begin", "switch", "probe", "verify", "stamp", "registry", "unlock"]
    again = shop.do("promote", "--pair", pair)["steps"]
    assert [step.partition(":")[0] for step in again] == ["lock", "registry", "unlock"]


def test_a_few_changes_of_the_source_are_brought_in(shop):
    """One row of 150 is within promotion.max_changed; the plan counts it, and the verdict holds."""
    shop.promote("initials")
    pair = validated(shop)
    change(shop, 1)
    plan = shop.do("promote", "--pair", pair, "--dry-run")["steps"]
    assert plan[1] == f"catch-up: bring 1 change (0 new, 1 changed, 0 gone) of the source into {pair}"
    shop.do("promote", "--pair", pair)
    assert shop.production() == pair
    assert stamp_of(shop, pair).changed_rows == 1
    assert shop.do("search", "shiny red sofa", "--limit", "1")["hits"][0]["key"] == 1


def test_many_changes_need_another_validation(shop):
    """Five rows of 150 are too many; nothing is written."""
    shop.promote("initials")
    pair = validated(shop)
    change(shop, 5)
    told = refusal(shop.run("promote", "--pair", pair), 4)
    assert "5 of 150 rows have changed since (3.33%; promotion.max_changed is 1.00%)" in told
    assert stamp_of(shop, pair).changed_rows == 0
    shop.do("catch-up", pair)
    assert stamp_of(shop, pair).state is State.BUILT
    shop.do("validate", "--pair", pair)
    shop.do("promote", "--pair", pair)
    assert stamp_of(shop, pair).changed_rows == 0


def test_changes_add_up(lite_shop):
    """One row now and one row then are two since the validation."""
    lite_shop.promote("initials")
    pair = validated(lite_shop)
    change(lite_shop, 1, "shiny")
    lite_shop.do("catch-up", pair)
    assert stamp_of(lite_shop, pair).state is State.VALIDATED
    change(lite_shop, 1, "dull")
    assert "2 of 150 rows have changed since" in refusal(lite_shop.run("promote", "--pair", pair), 4)


def test_changes_that_nobody_counted_need_another_validation(lite_shop):
    """A catch-up that was killed leaves that it is not known how much changed."""
    lite_shop.promote("initials")
    pair = validated(lite_shop)
    change(lite_shop, 1)
    with MilvusStore(lite_shop.milvus_uri, "") as store:
        store.set_properties(pair, {"promotion.changed_rows": "-1"})
    lite_shop.do("catch-up", pair)
    assert stamp_of(lite_shop, pair).state is State.BUILT
    assert "not validated" in refusal(lite_shop.run("promote", "--pair", pair), 4)


def test_a_source_that_is_left_alone_is_not_read(lite_shop):
    """With promotion.catch_up off, changes wait for the next build."""
    lite_shop.configure(promotion={"catch_up": False})
    pair = validated(lite_shop)
    (lite_shop.folder / "products.jsonl").unlink()
    lite_shop.do("promote", "--pair", pair)
    assert lite_shop.production() == pair


def test_a_pair_that_finds_less_in_production_is_taken_back(shop):
    """At once, with exit code 1; both the promotion and the way back are in the history and in MLflow."""
    first = shop.promote("initials")
    second = validated(shop)
    shuffle_vectors(shop, second)
    result = shop.run("promote", "--pair", second, "--reason", "better model")
    assert result.exit_code == 1, result.output
    assert f"{second} was rolled back: Through test_shop_prod the golden queries find less than the evidence says: nDCG@10 0." in result.stdout
    assert shop.production() == first
    assert [(act["kind"], act["to"]) for act in history(shop)[:2]] == [("rollback", first), ("promotion", second)]
    assert history(shop)[0]["why"].startswith("automatic: Through")
    assert history(shop)[1]["outcome"].startswith("rolled back: Through")
    assert {act["told"] for act in history(shop)} == {True}
    assert "taken out of production" in refusal(shop.run("promote", "--pair", second), 4)
    assert (stamp_of(shop, first).unfinished, stamp_of(shop, second).rolled_back) == ("", True)


def test_a_first_pair_that_fails_leaves_no_alias(shop):
    """There is nothing to go back to, and the next pair is a first one again."""
    pair = validated(shop)
    shuffle_vectors(shop, pair)
    result = shop.run("promote", "--pair", pair)
    assert result.exit_code == 1, result.output
    assert "test_shop_prod is gone again, for it replaced nothing." in result.stdout
    assert shop.production() is None
    assert [act["outcome"].partition(":")[0] for act in history(shop)] == ["rolled back"]
    assert shop.do("promote", "--pair", validated(shop, "initials"))["failure"] == ""


def test_a_registry_that_is_down_stops_a_promotion_whose_model_is_not_at_hand(lite_shop):
    """Nobody could see whether it serves well; production goes on as it is. With the model at hand, MLflow is told later."""
    first = lite_shop.promote("initials")
    second = validated(lite_shop)
    down = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    models = lite_shop.folder / ".promotion" / "models"
    models.rename(models.with_name("elsewhere"))
    assert "Nothing answers at MLFLOW_TRACKING_URI" in refusal(lite_shop.run("promote", "--pair", second, **down), 5)
    assert lite_shop.production() == first
    models.with_name("elsewhere").rename(models)
    done = lite_shop.do("promote", "--pair", second, **down)
    assert "The switch stands. Run the same command again." in done["left"]
    assert (lite_shop.production(), stamp_of(lite_shop, second).untold) == (second, "promotion")
    assert "MLflow was not told" in lite_shop.run("status").stdout
    assert [step.partition(":")[0] for step in lite_shop.do("promote", "--pair", second)["steps"]] == ["lock", "registry", "unlock"]
    assert stamp_of(lite_shop, second).untold == ""
    assert [(act["to"], act["told"]) for act in history(lite_shop)] == [(second, True), (first, True)]


def test_a_promotion_run_again_long_after_only_tells_mlflow(lite_shop):
    """What production holds by then is another matter: it is neither judged again nor taken back."""
    pair = validated(lite_shop)
    lite_shop.do("promote", "--pair", pair, MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    lite_shop.write_products(products()[:100])
    lite_shop.do("catch-up", pair)
    assert lite_shop.do("promote", "--pair", pair)["failure"] == ""
    assert lite_shop.production() == pair


def test_an_alias_that_was_moved_by_hand_is_adopted_where_the_pair_was_validated(lite_shop):
    """It has no way back that anybody knows, so it is not taken back either; another is refused."""
    first = lite_shop.promote("initials")
    second, third = validated(lite_shop), lite_shop.build("words")
    for pair in (second, third):
        with MilvusStore(lite_shop.milvus_uri, "") as store:
            store.point("test_shop_prod", pair)
        if pair == second:
            shuffle_vectors(lite_shop, second)
            lite_shop.do("promote", "--pair", second)
            assert (lite_shop.production(), lite_shop.stage_of(2)) == (second, "Production")
    assert "was moved to" in refusal(lite_shop.run("promote", "--pair", third), 4)
    assert lite_shop.do("rollback", "--to", first)["to"] == first


def test_somebody_elses_move_is_not_taken_back(lite_shop):
    """An alias that is moved by hand between switch and verification belongs to whoever moved it."""
    from scripts.errors import ProductionMoved
    from scripts.jobs.promote import promote

    first, second = validated(lite_shop, "initials"), validated(lite_shop)

    def moved(step, remark):
        if step.name == "switch":
            kit.store.point("test_shop_prod", second)

    lite_shop.configure(promotion={"probe_seconds": 0.5})
    with Wiring(config.load(lite_shop.folder / "promotion.yaml", lite_shop.environment)) as kit:
        with pytest.raises(ProductionMoved):
            promote(kit, first, tell=moved)
        assert kit.store.target("test_shop_prod") == second


def test_a_pair_that_is_caught_up_or_judged_between_check_and_switch_is_refused(lite_shop):
    """The last look is taken when the switch begins."""
    from scripts.errors import Refused
    from scripts.jobs.promote import promote

    pair = validated(lite_shop)

    def judged(step, remark):
        if step.name == "check":
            kit.store.set_properties(pair, {"promotion.verdict": "fail", "promotion.state": "rejected"})

    with Wiring(config.load(lite_shop.folder / "promotion.yaml", lite_shop.environment)) as kit:
        with pytest.raises(Refused, match=r"has changed since the plan was made \(state, verdict\)"):
            promote(kit, pair, tell=judged)
        assert kit.store.target("test_shop_prod") is None


def test_a_version_that_is_gone_does_not_keep_a_rollback_open(lite_shop):
    """There is nothing to tell MLflow then, and the next promotion is free to go."""
    first, second = lite_shop.promote("initials"), lite_shop.promote("words")
    client = MlflowClient(lite_shop.mlflow_uri)
    client.transition_model_version_stage(lite_shop.model, "1", "Archived")
    client.delete_model_version(lite_shop.model, "1")
    done = lite_shop.do("rollback")
    assert (done["to"], done["left"]) == (first, "")
    assert "MLflow was not told" in done["note"]
    lite_shop.do("promote", "--pair", validated(lite_shop))
    assert lite_shop.production() != second


def test_a_suite_that_changed_says_nothing_of_an_interrupted_promotion(lite_shop):
    """It ends inconclusive, and a rollback leads out."""
    from scripts.jobs.promote import promote

    class Killed(BaseException):
        pass

    def kill(step, remark):
        if step.name == "switch":
            raise Killed

    first = lite_shop.promote("initials")
    second = validated(lite_shop)
    with Wiring(config.load(lite_shop.folder / "promotion.yaml", lite_shop.environment)) as kit, pytest.raises(Killed):
        promote(kit, second, tell=kill)
    lite_shop.write_suite(gates=[{"gate": "floor", "measure": "nDCG@10", "at_least": 0.02}])
    assert "the golden suite is not the one of its evidence any more" in refusal(lite_shop.run("promote", "--pair", second), 3)
    assert [(act["to"], act["outcome"]) for act in history(lite_shop)][0] == (second, "not finished")
    assert lite_shop.do("rollback")["to"] == first


def test_history_says_who_when_and_why(lite_shop):
    """And MLflow has a run of each act, and tags on the version that serves."""
    version = lite_shop.stage("initials")
    pair = lite_shop.do("build")["pair"]
    lite_shop.do("validate", "--pair", pair)
    lite_shop.do("promote", "--pair", pair, "--reason", "the spring model", CIRCLE_USERNAME="ann", CIRCLE_BUILD_URL="https://ci.example/7")
    (act,) = history(lite_shop)
    assert (act["kind"], act["by"], act["why"], act["url"], act["origin"], act["to"]) == ("promotion", "ann", "the spring model", "https://ci.example/7", "", pair)
    assert act["evidence"] == stamp_of(lite_shop, pair).evidence_digest
    assert re.search(rf"promotion of {pair}, by ann: the spring model", lite_shop.run("history").stdout)
    client = MlflowClient(lite_shop.mlflow_uri)
    assert client.get_model_version(lite_shop.model, str(version)).tags["promotion.pair"] == pair
    experiment = client.get_experiment_by_name("test-shop").experiment_id
    runs = client.search_runs([experiment], f"params.`to` = '{pair}'")
    assert [run.info.run_name for run in runs] == [f"promotion {pair}"]


def test_status_says_whether_a_rollback_is_possible(shop):
    """To which pair, whether it is loaded and has its model, and how far it is behind."""
    first = shop.promote("initials")
    assert "rollback: NOT POSSIBLE" in shop.run("status").stdout
    shop.promote("words")
    ready = shop.do("status")["rollback"]
    assert (ready["to"], ready["loaded"], ready["model"]) == (first, True, "its model is in MLflow")
    assert "with the same rows as production" in ready["freshness"]
    change(shop, 3)
    assert shop.do("status", "--count")["rollback"]["changes_behind"] == 3
    shop.do("catch-up", shop.production())
    assert "BEHIND production" in shop.do("status")["rollback"]["freshness"]
    assert shop.do("catch-up", "previous")["pair"] == first
    assert "with the same rows as production" in shop.do("status")["rollback"]["freshness"]


def test_status_shows_a_canary(lite_shop):
    """While it runs."""
    lite_shop.promote("initials")
    pair = validated(lite_shop)
    started = lite_shop.do("canary", "start", "--pair", pair, "--share", "0.05")
    assert f"canary {started['id']}: {pair}, 5.00% of the queries (split), begun by" in lite_shop.run("status").stdout
    lite_shop.do("canary", "stop")
    assert lite_shop.do("status")["canary"] is None


def test_a_lock_is_shown_and_can_be_broken(lite_shop):
    """Who holds it is named; a living one is broken by force alone."""
    pair = validated(lite_shop)
    holder = Holder(token="elsewhere@1/17/abcdef01", doing=f"promotion of {pair}", by="bob", since="2026-11-21T03:00:00Z")
    with MilvusStore(lite_shop.milvus_uri, "") as store:
        lock.break_open(store, "test_shop_prod", holder)
    assert f"LOCKED: promotion of {pair}, begun by bob at 2026-11-21 03:00:00 UTC" in lite_shop.run("status").stdout
    assert "begun by bob" in refusal(lite_shop.run("unlock"), 4)
    assert lite_shop.do("unlock", "--force")["broken"]["by"] == "bob"
    assert lite_shop.do("unlock")["broken"] is None
    assert history(lite_shop)[0]["why"].startswith(f"broke promotion of {pair}, begun by bob")
    lite_shop.do("promote", "--pair", pair)


def test_an_unlocked_promotion_stops_before_its_next_step(lite_shop):
    """Whoever lost the lock changes nothing more."""
    from scripts.errors import Refused
    from scripts.jobs.promote import promote

    pair = validated(lite_shop)

    def broken(step, remark):
        if step.name == "check":
            lock.break_open(kit.store, "test_shop_prod", Holder(token=new_token(), doing="unlock", by="bob", since=kit.now())).release()

    with Wiring(config.load(lite_shop.folder / "promotion.yaml", lite_shop.environment)) as kit:
        with pytest.raises(Refused, match="was taken over"):
            promote(kit, pair, tell=broken)
        assert kit.store.target("test_shop_prod") is None
    assert stamp_of(lite_shop, pair).unfinished == ""


def test_a_pair_that_changed_since_the_plan_is_refused(lite_shop):
    """What moved is named."""
    from scripts.errors import Refused
    from scripts.jobs import promote as job
    from scripts.jobs.promote import Approval, Promotion

    pair = validated(lite_shop)
    with Wiring(config.load(lite_shop.folder / "promotion.yaml", lite_shop.environment)) as kit:
        world = catalogue.read(kit.store, kit.settings)
        plan = job.switch.plan_promotion(world, world.find(pair))
        kit.store.set_properties(pair, world.find(pair).stamp.changes(evidence_digest="another"))
        with pytest.raises(Refused, match=r"has changed since the plan was made \(evidence_digest\)"):
            Promotion(plan, kit, Approval(), lambda step, remark: None).carry_out()
