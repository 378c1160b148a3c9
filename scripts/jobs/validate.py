"""`validate`: golden queries against the candidate and against production, each with its own model; the index looked at; gates; a verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts import catalogue, golden, outputs, report, run_log
from scripts.assessment import Assessment
from scripts.catalogue import Entry
from scripts.errors import AnswerIsNo, KitError, Refused
from scripts.evidence import Evidence
from scripts.golden import Suite
from scripts.jobs.trial import Told, Trial
from scripts.pair import State
from scripts.ports import Parts, VectorStore
from scripts.quality import gates, replay
from scripts.quality.gates import GateResult, Outcome, Verdict
from scripts.quality.gates.verdict import cut
from scripts.quality.seen import Seen

_EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}
_STATES = {Verdict.PASS: State.VALIDATED, Verdict.FAIL: State.REJECTED, Verdict.INCONCLUSIVE: State.BUILT}
_WHY_CHARS = 2_000  # of the 64 KB that a stamp has room for
_DECISIVE = {Verdict.PASS: Outcome.PASS, Verdict.FAIL: Outcome.FAIL, Verdict.INCONCLUSIVE: Outcome.INCONCLUSIVE}


@dataclass(frozen=True)
class Validated:
    assessment: Assessment
    exit_code: int
    notes: tuple[str, ...] = ()

    @property
    def evidence(self) -> Evidence:
        return self.assessment.evidence

    def lines(self) -> list[str]:
        return [*report.text.render(self.assessment), *(f"  {note}" for note in self.notes)]

    def facts(self) -> dict[str, Any]:
        return self.evidence.model_dump(mode="json") | {"digest": self.evidence.digest, "notes": list(self.notes)}

    def write(self, path: Path) -> None:
        outputs.write(path, self.evidence.model_dump_json(indent=2) + "\n")

    def report(self, folder: Path) -> None:
        report.files.write(self.assessment, folder)


def validate(parts: Parts, pair: str, *, log: Path | None = None, tell: Told = lambda step: None) -> Validated:
    """Safe to run again. It begins by withdrawing an earlier pass, so however it ends, nothing is promoted on what was seen before.

    `log` is a log of real queries to replay beside the suite's. `tell` is told of each step. Raises Refused for a pair that is not built,
    is not loaded, or is production itself; UsageError for a faulty suite or log.
    """
    store = parts.store
    world = catalogue.read(store, parts.settings)
    entry = world.find(pair)
    suite = golden.load(parts.settings.golden_folder)
    logged = replay.read_log(log or suite.replay) if log or suite.replay else None
    _refuse_unready(store, entry)
    entry = _withdrawn(store, entry)
    trial = Trial(parts, world, entry, suite, logged, tell)
    seen = trial.seen()
    results = gates.judge(suite.gates, seen)
    verdict, why = _verdict(results, suite, seen, trial.unasked)
    evidence = Evidence(
        pair=pair,
        model_digest=entry.stamp.model.digest,
        embedding_fingerprint=entry.stamp.fingerprint,
        source_fingerprint=entry.stamp.content.fingerprint if entry.stamp.content else "",
        rows=seen.index.rows if seen.index else 0,
        suite=suite.name,
        suite_digest=suite.digest,
        queries=len(suite.judged),
        means=seen.candidate.means,
        production=world.target or "",
        production_means=seen.baseline.measured.means if seen.baseline.measured else {},
        replayed_log=seen.replayed.log_digest if seen.replayed else "",
        gates=results,
        verdict=verdict,
        why=cut(why, _WHY_CHARS),
        judged_at=parts.now(),
        pipeline=parts.settings.environment.build_id,
    )
    if store.target(world.alias) == pair:
        raise Refused(f"{pair} has become production meanwhile: what was seen is of no use to it.")
    _stamp(store, entry, evidence)
    assessment = trial.assessment(evidence, seen)
    return Validated(assessment, _EXIT_CODES[verdict], _logged(parts, assessment, suite, entry))


def _refuse_unready(store: VectorStore, entry: Entry) -> None:
    if entry.is_production:
        raise Refused(f"{entry.pair} is production: compared with itself it would always pass.")
    if entry.stamp.state is State.BUILDING:
        raise Refused(f"{entry.pair} is still building.", hint=f"Run `embed` and `finish --pair {entry.pair}` first.")
    entry.refuse_half_caught_up()
    if not store.open(entry.pair.collection).is_loaded():
        raise Refused(f"{entry.pair} is not loaded.", hint=f"Run `finish --pair {entry.pair}`.")


def _withdrawn(store: VectorStore, entry: Entry) -> Entry:
    """The pair without its earlier pass: however this validation ends, also by Ctrl-C, nothing is promoted on what was seen before."""
    if entry.stamp.state is not State.VALIDATED:
        return entry
    earlier = {"state": State.BUILT, "verdict": "", "evidence": "", "evidence_digest": ""}
    store.set_properties(entry.pair.collection, entry.stamp.changes(**earlier))
    return replace(entry, stamp=entry.stamp.changed(**earlier))


def _verdict(results: tuple[GateResult, ...], suite: Suite, seen: Seen, unasked: KitError | None) -> tuple[Verdict, str]:
    """The gates' verdict, withheld where suite, candidate or baseline do not allow one; and why, in one line."""
    if unasked:
        unfit = isinstance(unasked, AnswerIsNo)
        return Verdict.FAIL if unfit else Verdict.INCONCLUSIVE, f"the candidate could not be asked: {unasked}"
    verdict = gates.verdict(results)
    if verdict is not Verdict.FAIL:
        if not suite.judged:
            return Verdict.INCONCLUSIVE, "no query has a relevant document among the judgments"
        if not suite.gates:
            return Verdict.INCONCLUSIVE, "the suite has no gates"
        if not seen.baseline.absent and seen.baseline.measured is None:
            return Verdict.INCONCLUSIVE, f"production {seen.baseline.pair} was not measured: {seen.baseline.unmeasured_because}"
    decisive = [result for result in results if result.outcome is _DECISIVE[verdict]]
    told = [result for result in decisive if result.kind in gates.DECISIVE or verdict is not Verdict.PASS]
    reasons = [f"{result.gate} ({result.why})" for result in told]
    if others := len(decisive) - len(told):
        reasons.append(f"{others} other gate{'s' if others > 1 else ''} pass{'' if others > 1 else 'es'}")
    return verdict, "; ".join(reasons) or "no gate on what is found could be applied: a first pair needs a floor"


def _stamp(store: VectorStore, entry: Entry, evidence: Evidence) -> None:
    stamped = entry.stamp.changes(
        state=_STATES[evidence.verdict],
        verdict=evidence.verdict.value,
        evidence=evidence.model_dump_json(),
        evidence_digest=evidence.digest,
        changed_rows=0,
        rolled_back=entry.stamp.rolled_back and evidence.verdict is not Verdict.PASS,
    )
    store.set_properties(entry.pair.collection, stamped)


def _logged(parts: Parts, assessment: Assessment, suite: Suite, entry: Entry) -> tuple[str, ...]:
    """MLflow has the story, Milvus the truth: a verdict stands whether or not MLflow hears of it."""
    record = run_log.of_assessment(assessment, report.rendered(assessment), suite, entry.stamp.source)
    try:
        parts.runs.log(record)
    except KitError as error:
        return (f"MLflow has no report of this: {error}",)
    return ()
