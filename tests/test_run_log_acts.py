"""What MLflow is told of a promotion, a rollback or a cleanup."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient

from scripts import run_log, run_log_acts
from scripts.adapters.mlflow_runs import MlflowRuns
from scripts.ledger import Act, ActKind
from scripts.pair import Pair
from tests.test_pair import stamp

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAIR = "shop_v3_0123abcd"
ACT = Act(
    kind=ActKind.PROMOTION,
    id=Act.new_id(ActKind.PROMOTION, THEN, PAIR),
    at=THEN,
    by="ann",
    alias="shop_prod",
    origin="shop_v2_00000002",
    to=PAIR,
    why="better at ‘sofas’",
    evidence="e" * 64,
    url="https://ci.example/builds/7",
    details={"caught_up_rows": "12", "model": "m version 3"},
)


@pytest.fixture
def service() -> str:
    """An experiment that no other test knows."""
    return f"shop-{uuid.uuid4().hex[:8]}"


def runs_of(uri: str, service: str) -> dict[str, list]:
    """All runs of the experiment, by name."""
    client = MlflowClient(uri)
    found: dict[str, list] = {}
    for run in client.search_runs([client.get_experiment_by_name(service).experiment_id]):
        found.setdefault(run.info.run_name, []).append(run)
    return found


def test_a_promotion_has_a_run_that_says_who_why_and_on_what(mlflow_server, service):
    """From where to where, on which evidence, by which build, and what came of it."""
    MlflowRuns(mlflow_server.uri, service).log(run_log_acts.of_act(ACT))
    (run,) = runs_of(mlflow_server.uri, service)[f"promotion {PAIR}"]
    assert run.data.params == {"alias": "shop_prod", "from": "shop_v2_00000002", "to": PAIR, "evidence": "e" * 64}
    ours = {name: text for name, text in run.data.tags.items() if name.startswith("promotion.")}
    assert ours.pop("promotion.last_logged").startswith("promotion 2026-03-01")
    assert ours == {
        "promotion.act": ACT.id,
        "promotion.kind": "promotion",
        "promotion.by": "ann",
        "promotion.why": "better at ‘sofas’",
        "promotion.build_url": "https://ci.example/builds/7",
        "promotion.outcome": "done",
        "promotion.model": "m version 3",
    }
    assert run.data.metrics == {"caught_up_rows": 12.0}
    assert run.data.tags["mlflow.note.content"].startswith(f"**PROMOTION** – done\n\n`shop_prod`: shop_v2_00000002 → {PAIR}")
    assert (run.info.status, run.info.start_time) == ("FINISHED", int(THEN.timestamp() * 1000))


def test_an_act_that_is_told_twice_has_one_run_with_its_last_word(mlflow_server, service):
    """As after a crash, or when MLflow was away for a while."""
    runs = MlflowRuns(mlflow_server.uri, service)
    first = runs.log(run_log_acts.of_act(ACT.model_copy(update={"outcome": "not verified yet"})))
    assert MlflowRuns(mlflow_server.uri, service).log(run_log_acts.of_act(ACT)) == first
    (run,) = runs_of(mlflow_server.uri, service)[f"promotion {PAIR}"]
    assert run.data.tags["promotion.outcome"] == "done"


def test_each_act_has_a_run_of_its_own_beside_the_pairs(mlflow_server, service):
    """A pair may be promoted twice; its own run, of build and validation, is neither found nor touched."""
    runs = MlflowRuns(mlflow_server.uri, service)
    runs.log(run_log_acts.of_act(ACT))
    of_pair = runs.log(run_log.of_build(Pair.parse(PAIR), stamp(), THEN))
    runs.log(run_log_acts.of_act(ACT.model_copy(update={"id": "another"})))
    assert {name: len(found) for name, found in runs_of(mlflow_server.uri, service).items()} == {f"promotion {PAIR}": 2, PAIR: 1}
    assert runs.log(run_log.of_build(Pair.parse(PAIR), stamp(), THEN)) == of_pair


def test_a_cleanup_leads_nowhere_and_needs_no_reason(mlflow_server, service):
    """What nobody said is not a tag; the run is named by when it was."""
    act = Act(kind=ActKind.CLEANUP, id="c1", at=THEN, by="cron", alias="shop_prod", details={"dropped": "2"})
    MlflowRuns(mlflow_server.uri, service).log(run_log_acts.of_act(act))
    (run,) = runs_of(mlflow_server.uri, service)["cleanup 2026-03-01 12:00"]
    assert run.data.metrics == {"dropped": 2.0}
    assert not {"promotion.why", "promotion.build_url"} & set(run.data.tags)


def test_every_kind_of_act_can_be_told():
    """A kind that the ledger gets one day is not forgotten here."""
    for kind in ActKind:
        assert run_log_acts.of_act(ACT.model_copy(update={"kind": kind})).kind == kind


def test_a_detail_is_a_metric_only_where_it_counts_something():
    """A model version is a number, too, and its mean over time says nothing."""
    details = {"model_version": "3", "changed_rows": "12", "freed_bytes": "1e9", "rows": "many"}
    record = run_log_acts.of_act(ACT.model_copy(update={"details": details}))
    assert record.metrics == {"changed_rows": 12.0, "freed_bytes": 1e9}
    assert (record.tags["promotion.model_version"], record.tags["promotion.rows"]) == ("3", "many")


def test_the_model_version_says_what_serves_and_since_when():
    """Tags for the version in the registry; what nobody said is left out."""
    assert run_log_acts.tags_of(PAIR, stamp(begun_at=THEN, begun_by="ann", evidence_digest="e" * 64)) == {
        "promotion.pair": PAIR,
        "promotion.promoted_at": "2026-03-01T12:00:00+00:00",
        "promotion.by": "ann",
        "promotion.evidence": "e" * 64,
    }
    assert "promotion.promoted_at" not in run_log_acts.tags_of(PAIR, stamp())
