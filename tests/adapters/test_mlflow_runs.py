"""The contract of ports.Runs on a real MLflow server and on the embedded database."""

from __future__ import annotations

import json
import math
import socket
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from scripts.adapters.mlflow_runs import MlflowRuns
from scripts.errors import Unreachable
from scripts.run_record import RunKey, RunRecord, Used

THEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = THEN + timedelta(hours=1)
PAIR = "shop_v3_0123abcd"
RECORD = RunRecord(
    run=RunKey.of_pair(PAIR),
    kind="validation",
    at=THEN,
    params={"model": "words", "model_version": "3"},
    metrics={"candidate/nDCG@10": 0.5, "candidate/P(rel=2)@5": 0.25, "index/recall@10": 1.0, "index/none": math.nan},
    tags={"promotion.verdict": "fail", "promotion.production": "shop_v2_00000002"},
    summary="**FAIL** – much worse",
    tables={"gates.json": [{"gate": "nDCG@10 >= 0.6", "low": None, "candidate": 0.5}, {"gate": "über <b>", "low": math.nan, "candidate": 1.0}]},
    files={"report.html": "<h1>Prüfung</h1>", "summary.txt": "fail\n"},
    used=[
        Used("products", "d" * 64, "golden_queries/products", "validation", [{"query_id": "q1", "query": "sofa", "document": "7", "grade": 2}]),
        Used("shop_rows", "0123456789abcdef", "s3://bucket/products.parquet", "build"),
    ],
)


@pytest.fixture(params=["server", "sqlite"])
def uri(request, tmp_path, monkeypatch) -> str:
    """Each in turn, from a working directory that must stay empty."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'kit' / 'mlflow.db'}"
    return request.getfixturevalue("mlflow_server").uri


@pytest.fixture
def service() -> str:
    """An experiment that no other test knows."""
    return f"shop-{uuid.uuid4().hex[:8]}"


def found(uri: str, service: str) -> list:
    client = MlflowClient(uri)
    return client.search_runs([client.get_experiment_by_name(service).experiment_id], f"tags.`promotion.pair` = '{PAIR}'")


def content(uri: str, run: str, path: str, folder: Path) -> str:
    return Path(MlflowClient(uri).download_artifacts(run, path, str(folder))).read_text("utf-8")


def test_a_run_holds_all_it_was_told(uri, service, tmp_path, capfd):
    """Params, metrics under names that MLflow takes, tags, a note, reports, tables, data sets; nothing is printed, nothing lands in the working
    directory, and the run is over."""
    run_id = MlflowRuns(uri, service).log(RECORD)
    printed = capfd.readouterr()
    (run,) = found(uri, service)
    assert (run.info.run_id, run.info.run_name, run.info.status) == (run_id, PAIR, "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (int(THEN.timestamp() * 1000),) * 2
    assert run.data.params == dict(RECORD.params)
    assert run.data.metrics == {"candidate/nDCG_at_10": 0.5, "candidate/P_rel_2__at_5": 0.25, "index/recall_at_10": 1.0}
    assert {name: run.data.tags[name] for name in RECORD.tags} == dict(RECORD.tags)
    assert run.data.tags["mlflow.note.content"] == RECORD.summary
    assert content(uri, run_id, "validation/report.html", tmp_path) == "<h1>Prüfung</h1>"
    assert (printed.out, list(Path.cwd().iterdir())) == ("", [])


def test_tables_are_what_mlflow_calls_tables(uri, service):
    """`load_table` reads them, and its pages show them."""
    MlflowRuns(uri, service).log(RECORD)
    (run,) = found(uri, service)
    mlflow.set_tracking_uri(uri)
    gates = MlflowClient(uri).load_table(run.info.experiment_id, "validation/gates.json", run_ids=[run.info.run_id])
    assert gates["gate"].tolist() == ["nDCG@10 >= 0.6", "über <b>"]
    assert gates["low"].isna().all()
    assert {table["path"] for table in json.loads(run.data.tags["mlflow.loggedArtifacts"])} == {"validation/gates.json", "validation/used_products.json"}


def test_data_sets_are_inputs_of_the_run(uri, service):
    """With what they were used for; of a small one its columns and rows."""
    MlflowRuns(uri, service).log(RECORD)
    (run,) = found(uri, service)
    by_name = {used.dataset.name: used for used in run.inputs.dataset_inputs}
    suite, source = by_name["products"], by_name["shop_rows"]
    assert [tag.value for tag in suite.tags] == ["validation"]
    assert suite.dataset.digest == "d" * 36
    assert json.loads(suite.dataset.profile) == {"num_rows": 1}
    columns = {column["name"]: column["type"] for column in json.loads(suite.dataset.schema)["mlflow_colspec"]}
    assert columns == {"query_id": "string", "query": "string", "document": "string", "grade": "long"}
    assert [tag.value for tag in source.tags] == ["build"]
    assert (source.dataset.digest, source.dataset.source_type) == ("0123456789abcdef", "s3")
    assert mlflow.data.get_source(source.dataset).uri == "s3://bucket/products.parquet"


def test_logging_again_is_safe(uri, service, tmp_path):
    """The same run, the same figures, no file or table row twice: also from another process and after a crash half way."""
    first = MlflowRuns(uri, service).log(RECORD)
    MlflowClient(uri).set_terminated(first, "FAILED")
    assert MlflowRuns(uri, service).log(RECORD) == first
    (run,) = found(uri, service)
    assert len(MlflowClient(uri).get_metric_history(first, "candidate/nDCG_at_10")) == 1
    assert len(json.loads(content(uri, first, "validation/gates.json", tmp_path))["data"]) == 2
    assert (len(run.inputs.dataset_inputs), run.info.status) == (2, "FINISHED")


def test_a_second_validation_replaces_the_first(uri, service, tmp_path):
    """Its verdict, its figures, its report; what the figures were is kept as history."""
    MlflowRuns(uri, service).log(RECORD)
    again = replace(RECORD, at=LATER, metrics={"candidate/nDCG@10": 0.4}, tags={"promotion.verdict": "pass"}, files={"report.html": "new"})
    run_id = MlflowRuns(uri, service).log(again)
    (run,) = found(uri, service)
    assert run.data.metrics["candidate/nDCG_at_10"] == 0.4
    assert run.data.tags["promotion.verdict"] == "pass"
    assert [metric.value for metric in MlflowClient(uri).get_metric_history(run_id, "candidate/nDCG_at_10")] == [0.5, 0.4]
    assert content(uri, run_id, "validation/report.html", tmp_path) == "new"


def test_build_and_validation_share_the_pairs_run(uri, service):
    """Each has its own folder; a param that would be another the second time is a tag then, because MLflow keeps the first for good."""
    runs = MlflowRuns(uri, service)
    build = RunRecord(RunKey.of_pair(PAIR), "build", THEN, params={"model": "words", "source": "a.csv"}, files={"notes.txt": "built"})
    assert runs.log(build) == runs.log(replace(RECORD, at=LATER, params={"model": "words", "source": "b.csv", "late": "x"}))
    (run,) = found(uri, service)
    assert run.data.params == {"model": "words", "source": "a.csv", "late": "x"}
    assert (run.data.tags["source"], "model" in run.data.tags) == ("b.csv", False)
    assert {file.path for file in MlflowClient(uri).list_artifacts(run.info.run_id)} == {"build", "validation"}


def test_each_pair_has_a_run_of_its_own(uri, service):
    """In the service's experiment."""
    runs = MlflowRuns(uri, service)
    assert runs.log(RECORD) != runs.log(replace(RECORD, run=RunKey.of_pair("shop_v4_0123abcd")))
    assert len(found(uri, service)) == 1


def test_values_longer_than_mlflow_takes_are_cut(uri, service):
    """A verdict of many reasons, a query that is a book."""
    long = "x" * 20_000
    MlflowRuns(uri, service).log(replace(RECORD, params={"text": long}, tags={"promotion.why": long}, summary=long))
    (run,) = found(uri, service)
    assert set(run.data.params["text"]) == set(run.data.tags["promotion.why"]) == {"x"}


def test_the_runs_of_others_are_left_alone(uri, service):
    """A run that is open in this process is neither used nor closed."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(service)
    with mlflow.start_run() as theirs:
        ours = MlflowRuns(uri, service).log(RECORD)
        assert mlflow.active_run().info.run_id == theirs.info.run_id != ours
    assert MlflowClient(uri).get_run(theirs.info.run_id).data.metrics == {}


def test_a_deleted_experiment_cannot_be_told(uri, service):
    """And the way to get it back is named. A run that somebody deleted is made again."""
    runs = MlflowRuns(uri, service)
    first = runs.log(RECORD)
    MlflowClient(uri).delete_run(first)
    assert runs.log(RECORD) != first
    experiment = MlflowClient(uri).get_experiment_by_name(service).experiment_id
    MlflowClient(uri).delete_experiment(experiment)
    with pytest.raises(Unreachable, match=f"experiment {service} is deleted. Restore it: mlflow experiments restore --experiment-id {experiment}"):
        runs.log(RECORD)
    assert MlflowClient(uri).search_runs([experiment], run_view_type=ViewType.ACTIVE_ONLY) == []


def test_artifacts_lie_beside_the_embedded_database(tmp_path, monkeypatch, service):
    """Not in the working directory, where MLflow would put them."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    MlflowRuns(f"sqlite:///{tmp_path / 'kit' / 'mlflow.db'}", service).log(RECORD)
    assert [path.parent.name for path in (tmp_path / "kit" / "artifacts").rglob("report.html")] == ["validation"]


def test_a_dead_address_fails_at_once_and_hides_its_password():
    """Not after minutes of retries."""
    with pytest.raises(Unreachable, match="Nothing answers at MLFLOW_TRACKING_URI") as error:
        MlflowRuns("http://somebody:hidden-secret@127.0.0.1:9", "shop")
    assert "hidden-secret" not in str(error.value)


def test_a_server_that_answers_nobody_is_given_up_soon(monkeypatch):
    """It takes the connection and then hangs; MLflow itself would try for three minutes."""
    monkeypatch.setattr("scripts.adapters.mlflow_connection.ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        runs = MlflowRuns(f"http://127.0.0.1:{silent.getsockname()[1]}", "shop")
        with pytest.raises(Unreachable, match="did not answer for its health"):
            runs.log(RECORD)


def test_files_that_cannot_be_stored_are_unreachable(tmp_path, service):
    """The database answers, the place for artifacts does not let us in: one line, no traceback."""
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / "artifacts").write_text("a file where a folder should be")
    with pytest.raises(Unreachable, match=f"cannot be used for the run of {PAIR}"):
        MlflowRuns(f"sqlite:///{folder / 'mlflow.db'}", service).log(RECORD)


def test_a_database_of_somebody_else_is_unreachable(tmp_path):
    """It is told in one line."""
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to be looked at as one" * 50)
    with pytest.raises(Unreachable, match="cannot be used"):
        MlflowRuns(f"sqlite:///{tmp_path / 'mlflow.db'}", "shop").log(RECORD)
