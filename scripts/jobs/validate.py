"""`validate`: golden queries against the candidate and against production, each with its own model; gates; a verdict."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import catalogue, gates, golden
from scripts.catalogue import Catalogue, Entry
from scripts.encoding import stamped_encoder
from scripts.errors import KitError, Refused
from scripts.evidence import Evidence
from scripts.gates import Baseline, Outcome, Verdict
from scripts.golden import Measured, Suite
from scripts.layout import FieldType
from scripts.pair import State
from scripts.ports import Collection, Parts, VectorStore

_EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}
_STATES = {Verdict.PASS: State.VALIDATED, Verdict.FAIL: State.REJECTED, Verdict.INCONCLUSIVE: State.BUILT}


@dataclass(frozen=True)
class Validated:
    evidence: Evidence
    exit_code: int

    def lines(self) -> list[str]:
        e = self.evidence
        lines = [f"{e.pair}: {e.verdict.upper()} – {e.why}", f"  {e.queries} judged queries of suite {e.suite}, {e.rows:,} rows, production {e.baseline.pair or 'none'}"]
        lines += [f"  {gate.outcome:14} {gate.gate}: {gate.why}" for gate in e.gates]
        for name, value in e.means.items():
            production = e.baseline.means.get(name)
            lines.append(f"  {name:14} candidate {value:.4f}" + (f", production {production:.4f}" if production is not None else ""))
        return [*lines, f"  evidence {e.digest}"]

    def facts(self) -> dict[str, Any]:
        return self.evidence.model_dump(mode="json") | {"digest": self.evidence.digest}

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.evidence.model_dump_json(indent=2) + "\n", encoding="utf-8")


def validate(parts: Parts, pair: str) -> Validated:
    """Safe to run again; the new verdict replaces the old one, so a run that fails or cannot tell withdraws an earlier pass.

    Raises Refused for a pair that is not built, is not loaded, does not hold its rows, or is production itself.
    """
    store = parts.store
    world = catalogue.read(store, parts.settings)
    entry = world.find(pair)
    suite = golden.load(parts.settings.golden_folder)
    collection = _ready_collection(store, entry)
    rows = collection.count()
    if entry.stamp.content is None or rows != entry.stamp.content.rows:
        raise Refused(f"{pair} holds {rows:,} rows, not what it was built with.", hint=f"Run `finish --pair {pair}` to see why, or build another.")
    measured = _measure(entry, collection, suite, parts)
    baseline = _baseline(world, suite, parts)
    results = gates.judge(suite.gates, measured.means, baseline)
    verdict, why = _verdict(results, suite, baseline, _missing_documents(suite, entry, collection))
    evidence = Evidence(
        pair=pair,
        model_digest=entry.stamp.model.digest,
        embedding_fingerprint=entry.stamp.fingerprint,
        source_fingerprint=entry.stamp.content.fingerprint,
        rows=rows,
        suite=suite.name,
        suite_digest=suite.digest,
        queries=len(suite.judged),
        means=measured.means,
        baseline=baseline,
        gates=results,
        verdict=verdict,
        why=why,
        judged_at=parts.now(),
    )
    _stamp(store, entry, evidence)
    return Validated(evidence, _EXIT_CODES[verdict])


def _ready_collection(store: VectorStore, entry: Entry) -> Collection:
    if entry.is_production:
        raise Refused(f"{entry.pair} is production: compared with itself it would always pass.")
    if entry.stamp.state is State.BUILDING:
        raise Refused(f"{entry.pair} is still building.", hint=f"Run `embed` and `finish --pair {entry.pair}` first.")
    entry.refuse_half_caught_up()
    collection = store.open(entry.pair.collection)
    if not collection.is_loaded():
        raise Refused(f"{entry.pair} is not loaded.", hint=f"Run `finish --pair {entry.pair}`.")
    return collection


def _measure(entry: Entry, collection: Collection, suite: Suite, parts: Parts) -> Measured:
    """The suite's measures of one pair, its queries encoded by its own model with its own query prompt."""
    encoder = stamped_encoder(parts.registry, entry.stamp, parts.settings.model_cache)
    ids = list(suite.judged)
    if not ids:
        return golden.measure(suite, {})
    answers = collection.search(encoder.queries([suite.queries[i] for i in ids]), suite.depth)
    run = {query: {str(hit.key): -float(rank) for rank, hit in enumerate(hits)} for query, hits in zip(ids, answers, strict=True)}
    return golden.measure(suite, run)


def _baseline(world: Catalogue, suite: Suite, parts: Parts) -> Baseline:
    """Production, measured in the same run. Whatever keeps it from being measured is said, and never counts as a pass."""
    if world.target is None:
        return Baseline()
    if world.production is None:
        return Baseline(pair=world.target, unmeasured_because="it is not a pair of the kit, so its model is not known", foreign=True)
    name = world.production.pair.collection
    try:
        return Baseline(pair=name, means=_measure(world.production, parts.store.open(name), suite, parts).means)
    except KitError as error:
        return Baseline(pair=name, unmeasured_because=str(error))


def _missing_documents(suite: Suite, entry: Entry, collection: Collection) -> dict[str, str]:
    """Relevant documents that the collection does not hold, each with a query that names it."""
    relevant = suite.relevant_documents()
    whole = entry.stamp.layout.key.type is FieldType.INT64
    keys: dict[str, Any] = {doc: int(doc) if whole else doc for doc in relevant if not whole or _is_int64(doc)}
    existing = collection.existing(list(keys.values())) if keys else set()
    return {doc: query for doc, query in relevant.items() if keys.get(doc) not in existing}


def _is_int64(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,19}", text) is not None and -(2**63) < int(text) < 2**63 - 1


def _verdict(results: tuple[gates.GateResult, ...], suite: Suite, baseline: Baseline, missing: dict[str, str]) -> tuple[Verdict, str]:
    """The gates' verdict, withheld where suite or baseline do not allow one; and why, in one line."""
    if not suite.judged:
        return Verdict.INCONCLUSIVE, "no query has a relevant document among the judgments"
    if not suite.gates:
        return Verdict.INCONCLUSIVE, "the suite has no gates"
    verdict = gates.verdict(results)
    if verdict is Verdict.PASS and baseline.unmeasured_because and not baseline.foreign:
        return Verdict.INCONCLUSIVE, f"production {baseline.pair} was not measured: {baseline.unmeasured_because}"
    if missing and not suite.allow_missing_documents and verdict is Verdict.PASS:
        doc, query = next(iter(missing.items()))
        return Verdict.INCONCLUSIVE, (
            f"{len(missing)} relevant documents are not in the collection (query {query!r} names {doc}, …); mend the judgments, "
            "or set allow_missing_documents: true in suite.yaml"
        )
    decisive = {Verdict.PASS: Outcome.PASS, Verdict.FAIL: Outcome.FAIL, Verdict.INCONCLUSIVE: Outcome.INCONCLUSIVE}[verdict]
    reasons = [f"{result.gate} ({result.why})" for result in results if result.outcome is decisive]
    return verdict, "; ".join(reasons) or "no gate could be applied: a first pair needs an absolute floor (at_least)"


def _stamp(store: VectorStore, entry: Entry, evidence: Evidence) -> None:
    stamped = entry.stamp.changes(
        state=_STATES[evidence.verdict],
        verdict=evidence.verdict.value,
        evidence=evidence.model_dump_json(),
        evidence_digest=evidence.digest,
        rolled_back=entry.stamp.rolled_back and evidence.verdict is not Verdict.PASS,
    )
    store.set_properties(entry.pair.collection, stamped)
