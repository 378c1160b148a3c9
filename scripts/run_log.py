"""What a pair's run is told of its build and of each validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from scripts.assessment import Assessment, PairFacts
from scripts.golden import Suite
from scripts.pair import Pair, Stamp, require_pair
from scripts.quality.facts import IndexFacts, Latency, Replayed
from scripts.quality.gates import Outcome
from scripts.run_record import Row, RunKey, RunRecord, Used
from scripts.sync_report import COUNTS, SyncReport


def of_build(pair: Pair, stamp: Stamp, at: datetime, report: SyncReport | None = None) -> RunRecord:
    """A pair that is ready. `report` is of the pass that filled it, where it was one pass and this process made it."""
    model, embedding, index = stamp.model, stamp.embedding, stamp.layout.index
    content = stamp.read_content
    metrics: dict[str, float] = {"rows": content.rows, "skipped": content.skipped} if content else {}
    if report:
        metrics |= {f"build/{name}": getattr(report, name) for name in (*COUNTS, "cut_off", "seconds", "rate")}
    return RunRecord(
        run=RunKey.of_pair(pair.collection),
        kind="build",
        at=at,
        params=_identity(model.name, model.version, model.digest, stamp.fingerprint)
        | {
            "text": embedding.template,
            "query_prompt": embedding.query_prompt,
            "document_prompt": embedding.document_prompt,
            "normalize": str(embedding.normalize),
            "index": " ".join((index.type, index.metric, *(f"{name}={value}" for name, value in index.build_params().items()))),
            "dimension": str(stamp.layout.dimension),
            "source": stamp.source,
        },
        metrics=metrics,
        tags=_tags(model.name, model.version, stamp.build.url) | {"promotion.build_id": stamp.build.id},
        tables={"skipped.json": _skipped(report)} if report and report.skipped else {},
        used=[_rows(pair.collection, content.fingerprint, stamp.source)] if content else [],
    )


def of_assessment(assessment: Assessment, rendered: Mapping[str, str], suite: Suite | None = None, source: str = "") -> RunRecord:
    """A validation, with its reports as they were `rendered`, by file name. With the suite, its queries and judgments are kept as well; `source`
    is where the candidate's rows came from, as its stamp has it."""
    evidence, candidate = assessment.evidence, assessment.candidate
    judged = Used(evidence.suite, evidence.suite_digest, evidence.suite, "validation", _judgments(suite) if suite else ())
    return RunRecord(
        run=RunKey.of_pair(evidence.pair),
        kind="validation",
        at=evidence.judged_at,
        params=_identity(candidate.model, candidate.version, candidate.model_digest, candidate.embedding_fingerprint),
        metrics=dict(_metrics(assessment)),
        tags=_tags(candidate.model, candidate.version, candidate.build_url)
        | {
            "promotion.verdict": evidence.verdict.value,
            "promotion.why": evidence.why,
            "promotion.evidence_digest": evidence.digest,
            "promotion.production": evidence.production,
            "promotion.suite": evidence.suite,
            "promotion.suite_digest": evidence.suite_digest,
            "promotion.kit": evidence.kit,
        },
        summary=_summary(assessment),
        tables={name: rows for name, rows in _tables(assessment).items() if rows},
        files=rendered,
        used=[judged, _rows(evidence.pair, evidence.source_fingerprint, source)] if source else [judged],
    )


def _rows(pair: str, fingerprint: str, source: str) -> Used:
    """What the pair was built from; one name for all pairs of a service, so that MLflow shows which of them share it."""
    return Used(f"{require_pair(pair).service}_rows", fingerprint, source, "build")


def _identity(model: str, version: int, digest: str, fingerprint: str) -> dict[str, str]:
    return {"model": model, "model_version": str(version), "model_digest": digest, "embedding_fingerprint": fingerprint}


def _tags(model: str, version: int, build_url: str) -> dict[str, str]:
    return {"promotion.model": model, "promotion.model_version": str(version)} | ({"promotion.build_url": build_url} if build_url else {})


def _summary(assessment: Assessment) -> str:
    evidence = assessment.evidence
    against = _named(assessment.production) if assessment.production else evidence.production or "none"
    return f"**{evidence.verdict.upper()}** – {evidence.why}\n\nProduction: {against}. Evidence `{evidence.digest}`. The report is `validation/report.html`."


def _named(pair: PairFacts) -> str:
    return f"{pair.pair} (model {pair.model} version {pair.version})"


def _metrics(assessment: Assessment) -> Iterator[tuple[str, float]]:
    evidence = assessment.evidence
    yield "rows", evidence.rows
    yield "queries", evidence.queries
    for name, value in evidence.means.items():
        yield f"candidate/{name}", value
        if name in evidence.production_means:
            yield f"production/{name}", evidence.production_means[name]
            yield f"change/{name}", value - evidence.production_means[name]
    outcomes = Counter(result.outcome for result in evidence.gates)
    for outcome in Outcome:
        yield f"gates/{outcome}", outcomes[outcome]
    if assessment.latency:
        yield from _of_latency(assessment.latency)
    if assessment.index:
        yield from _of_index(assessment.index)
    if assessment.replayed:
        yield from _of_replay(assessment.replayed)


def _of_latency(latency: Latency) -> Iterator[tuple[str, float]]:
    for side, metered in (("candidate", latency.candidate), ("production", latency.production)):
        if metered:
            yield from ((f"{side}/{name}_ms", value) for name, value in metered.model_dump().items())


def _of_index(facts: IndexFacts) -> Iterator[tuple[str, float]]:
    for name in ("not_finite", "zero", "unlike_one", "parallel", "unindexed"):
        yield f"index/{name}", getattr(facts, name)
    if facts.recall:
        yield f"index/recall@{facts.recall.k}", facts.recall.mean
        yield f"index/worst_recall@{facts.recall.k}", facts.recall.worst
    if facts.reencoded:
        yield "index/reencoded_worst", facts.reencoded.worst
    if facts.source:
        yield "index/stale", facts.source.stale
    if facts.coverage:
        yield "index/missing_from_production", facts.coverage.missing


def _of_replay(replayed: Replayed) -> Iterator[tuple[str, float]]:
    yield from ((f"replay/{name}", getattr(replayed, name)) for name in ("queries", "overlap", "rbo", "top_changed", "empty", "production_empty"))


def _tables(assessment: Assessment) -> dict[str, list[Row]]:
    return {"gates.json": _gates(assessment), "queries.json": _queries(assessment), "slices.json": _slices(assessment), "replay.json": _changes(assessment)}


def _gates(assessment: Assessment) -> list[Row]:
    return [
        {
            "gate": result.gate,
            "outcome": result.outcome.value,
            "why": result.why,
            "candidate": result.candidate,
            "production": result.production,
            "low": result.interval.low if result.interval else None,
            "high": result.interval.high if result.interval else None,
            "confidence": result.interval.confidence if result.interval else None,
        }
        for result in assessment.evidence.gates
    ]


def _queries(assessment: Assessment) -> list[Row]:
    measures = list(assessment.evidence.means)
    return [
        {"id": row.id, "text": row.text, "slices": ", ".join(row.slices), "weight": row.weight}
        | _compared(measures, row.candidate, row.production)
        | {"below_floor": "; ".join(row.below_floor)}
        for row in assessment.queries
    ]


def _slices(assessment: Assessment) -> list[Row]:
    measures = list(assessment.evidence.means)
    return [{"slice": row.name, "queries": row.queries} | _compared(measures, row.candidate, row.production) for row in assessment.slices]


def _compared(measures: list[str], candidate: Mapping[str, float], production: Mapping[str, float] | None) -> dict[str, Any]:
    theirs = production or {}
    return {name: value for measure in measures for name, value in ((measure, candidate.get(measure)), (f"production {measure}", theirs.get(measure)))}


def _changes(assessment: Assessment) -> list[Row]:
    changes = assessment.replayed.most_changed if assessment.replayed else ()
    titles = assessment.titles

    def told(keys: tuple[str, ...]) -> str:
        return "\n".join(f"{key} {titles.get(key, '')}".strip() for key in keys)

    return [
        {"query": each.text, "rbo": each.rbo, "overlap": each.overlap, "candidate": told(each.candidate), "production": told(each.production)}
        for each in changes
    ]


def _judgments(suite: Suite) -> list[Row]:
    """One row per judgment; a query that has none is there once, without a document."""
    return [
        {"query_id": query.id, "query": query.text, "document": document, "grade": grade}
        for query in suite.queries.values()
        for document, grade in (suite.qrels.get(query.id) or {"": None}).items()
    ]


def _skipped(report: SyncReport) -> list[Row]:
    faults = report.faults
    return [{"fault": kind.value, "rows": count, "examples": "\n".join(faults.examples.get(kind, ()))} for kind, count in faults.counts.items()]
