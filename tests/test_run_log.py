"""What a pair's run is told of its build and of a validation."""

from __future__ import annotations

from datetime import UTC, datetime

from mlflow import MlflowClient

from scripts import report, run_log
from scripts.adapters.mlflow_runs import MlflowRuns
from scripts.golden import Query, Suite
from scripts.pair import Content, Pair
from scripts.quality.gates import Outcome, Verdict
from scripts.records import Faults
from scripts.settings import BadRow, OnBadRow, SourceSettings
from scripts.sync_report import SyncReport
from tests.report.sample import first_pair, sample
from tests.test_pair import stamp

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTENT = Content(rows=90, fingerprint="0123456789abcdef", skipped=10, read_at=NOW)
BUILT = stamp(content=CONTENT, shards={"0-of-1": CONTENT})


def skipping(count: int) -> SyncReport:
    """A report with so many rows without a text."""
    settings = SourceSettings(uri="a.csv", key="id", text="{name}", on_bad_row={BadRow.MISSING_TEXT: OnBadRow.SKIP})
    faults = Faults(settings)
    for number in range(count):
        faults.add(BadRow.MISSING_TEXT, f"row {number}")
    return SyncReport(faults, seen=100, embedded=80, copied=10, written=90, seconds=2.0)


def test_a_build_tells_what_the_pair_is_made_of():
    """Its model, its embedding, its index, its source; how many rows, and what became of the others."""
    record = run_log.of_build(Pair("shop", 3, "0123abcd"), BUILT, NOW, skipping(10))
    assert (record.run.value, record.kind, record.at) == ("shop_v3_0123abcd", "build", NOW)
    assert record.params["model_version"] == "3"
    assert record.params["index"] == "HNSW COSINE M=16 efConstruction=200"
    assert record.params["source"] == "products.parquet"
    assert record.params["query_prompt"] == "query: "
    assert {name: record.metrics[name] for name in ("rows", "skipped", "build/embedded", "build/copied", "build/rate")} == {
        "rows": 90,
        "skipped": 10,
        "build/embedded": 80,
        "build/copied": 10,
        "build/rate": 50.0,
    }
    assert record.tables["skipped.json"] == [{"fault": "missing_text", "rows": 10, "examples": "\n".join(f"row {i}" for i in range(5))}]
    assert [(used.name, used.digest, used.source, used.context) for used in record.used] == [("shop_rows", CONTENT.fingerprint, "products.parquet", "build")]


def test_a_build_in_shards_tells_what_its_stamp_says():
    """No process has seen all of it."""
    record = run_log.of_build(Pair("shop", 3, "0123abcd"), BUILT, NOW)
    assert (record.metrics, record.tables) == ({"rows": 90, "skipped": 10}, {})


def test_a_validation_tells_its_verdict_and_every_figure():
    """Both sides and their difference, gates by outcome, latency, index, replay."""
    assessment = sample(Verdict.FAIL)
    evidence = assessment.evidence
    record = run_log.of_assessment(assessment, {"summary.txt": "…"}, source="products.parquet")
    assert record.tags["promotion.verdict"] == "fail"
    assert record.tags["promotion.evidence_digest"] == evidence.digest
    assert record.tags["promotion.production"] == evidence.production
    assert record.tags["promotion.model_version"] == str(assessment.candidate.version)
    assert record.summary.startswith(f"**FAIL** – {evidence.why}")
    metrics = record.metrics
    assert metrics["candidate/nDCG@10"] == evidence.means["nDCG@10"]
    assert metrics["change/nDCG@10"] == evidence.means["nDCG@10"] - evidence.production_means["nDCG@10"]
    assert sum(metrics[f"gates/{outcome}"] for outcome in Outcome) == len(evidence.gates)
    assert metrics["gates/fail"] >= 1
    assert metrics["candidate/p95_ms"] == assessment.latency.candidate.p95
    assert metrics[f"index/recall@{assessment.index.recall.k}"] == assessment.index.recall.mean
    assert metrics["replay/rbo"] == assessment.replayed.rbo
    assert [used.context for used in record.used] == ["validation", "build"]
    assert record.used[1].digest == evidence.source_fingerprint


def test_a_validations_tables_have_one_row_per_gate_query_and_slice():
    """All rows of a table have the same columns."""
    assessment = sample()
    tables = run_log.of_assessment(assessment, {}).tables
    assert [row["gate"] for row in tables["gates.json"]] == [result.gate for result in assessment.evidence.gates]
    assert [row["id"] for row in tables["queries.json"]] == [row.id for row in assessment.queries]
    assert [row["slice"] for row in tables["slices.json"]] == [row.name for row in assessment.slices]
    assert [row["query"] for row in tables["replay.json"]] == [change.text for change in assessment.replayed.most_changed]
    assert all(len({tuple(row) for row in rows}) == 1 for rows in tables.values())
    first = assessment.queries[0]
    assert (tables["queries.json"][0]["nDCG@10"], tables["queries.json"][0]["production nDCG@10"]) == (first.candidate["nDCG@10"], first.production["nDCG@10"])


def test_a_first_pair_has_no_figures_of_production():
    """Neither zeros nor columns of guesses."""
    record = run_log.of_assessment(first_pair(), {})
    assert not [name for name in record.metrics if name.startswith(("production/", "change/"))]
    assert {row["production nDCG@10"] for row in record.tables["queries.json"]} == {None}


def test_the_suites_queries_and_judgments_are_kept():
    """One row per judgment, and one for a query that nobody judged."""
    queries = {id: Query(id, f"text {id}") for id in ("a", "b")}
    suite = Suite("products", queries, {"a": {"7": 2, "8": 0}}, ("nDCG@10",))
    judged, *_ = run_log.of_assessment(sample(), {}, suite).used
    assert [tuple(row.values()) for row in judged.table] == [("a", "text a", "7", 2), ("a", "text a", "8", 0), ("b", "text b", "", None)]


def test_mlflow_takes_all_of_it(tmp_path):
    """Every name and value, with the reports as they are written."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assessment = sample()
    runs = MlflowRuns(uri, "products")
    build = run_log.of_build(Pair.parse(assessment.candidate.pair), BUILT, NOW, skipping(3))
    record = run_log.of_assessment(assessment, report.rendered(assessment), source="s3://bucket/products.parquet")
    assert runs.log(build) == (run_id := runs.log(record))
    client = MlflowClient(uri)
    run = client.get_run(run_id)
    assert len(run.data.metrics) == len(build.metrics | record.metrics)
    assert run.data.metrics["candidate/nDCG_at_10"] == assessment.evidence.means["nDCG@10"]
    assert {file.path.removeprefix("validation/") for file in client.list_artifacts(run_id, "validation")} == {*record.files, *record.tables}
