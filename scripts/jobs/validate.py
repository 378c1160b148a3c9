"""`validate`: golden queries against the candidate and against production, each with its own model; the index looked at; gates; a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import catalogue, golden, report, run_log
from scripts.assessment import Assessment
from scripts.catalogue import Catalogue, Entry
from scripts.errors import KitError, Refused, Unreachable
from scripts.evidence import Evidence
from scripts.golden import Suite
from scripts.golden.checking import missing_documents
from scripts.pair import State
from scripts.ports import Parts, VectorStore
from scripts.quality import assessing, gates, latency, replay
from scripts.quality.asking import Side, ask, title_column
from scripts.quality.examination import Looking, examine
from scripts.quality.facts import IndexFacts, Latency, Missing, Replayed
from scripts.quality.gates import GateResult, Outcome, Verdict
from scripts.quality.gates.index import SameVectors
from scripts.quality.measures import Measured
from scripts.quality.seen import Baseline, Seen

_EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}
_STATES = {Verdict.PASS: State.VALIDATED, Verdict.FAIL: State.REJECTED, Verdict.INCONCLUSIVE: State.BUILT}
_WHY_CHARS = 2_000  # of the 64 KB that a stamp has room for
_DECISIVE = {Verdict.PASS: Outcome.PASS, Verdict.FAIL: Outcome.FAIL, Verdict.INCONCLUSIVE: Outcome.INCONCLUSIVE}

Told = Callable[[str], None]


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
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.evidence.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def report(self, folder: Path) -> None:
        report.files.write(self.assessment, folder)


def validate(parts: Parts, pair: str, *, log: Path | None = None, tell: Told = lambda step: None) -> Validated:
    """Safe to run again; the new verdict replaces the old one, so a run that fails or cannot tell withdraws an earlier pass.

    `log` is a log of real queries to replay beside the suite's. `tell` is told of each step. Raises Refused for a pair that is not built,
    is not loaded, or is production itself; UsageError for a faulty suite or log.
    """
    store = parts.store
    world = catalogue.read(store, parts.settings)
    entry = world.find(pair)
    suite = golden.load(parts.settings.golden_folder)
    logged = replay.read_log(log or suite.replay) if log or suite.replay else None
    _refuse_unready(store, entry)
    trial = _Trial(parts, world, entry, suite, logged, tell)
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
        gates=results,
        verdict=verdict,
        why=why if len(why) <= _WHY_CHARS else f"{why[: _WHY_CHARS - 1]}…",
        judged_at=parts.now(),
    )
    assessment = trial.assessment(evidence, seen)
    _stamp(store, entry, evidence)
    return Validated(assessment, _EXIT_CODES[verdict], trial.logged(assessment))


class _Trial:
    """One candidate against one production, step by step. Whatever keeps production from being asked is said, and never counts as a pass."""

    def __init__(self, parts: Parts, world: Catalogue, entry: Entry, suite: Suite, logged: replay.Log | None, tell: Told) -> None:
        self._parts = parts
        self._world = world
        self._entry = entry
        self._suite = suite
        self._logged = logged
        self._tell = tell
        self._ours: Side | None = None
        self._theirs: Side | None = None
        self._titles: dict[str, str] = {}
        self.unasked = ""
        """Why the candidate could not be asked; empty where it was."""

    def seen(self) -> Seen:
        suite = self._suite
        slices = suite.slices
        baseline = self._ask_production()
        self._ask_candidate()
        if self._ours is None:
            return Seen(candidate=Measured(), baseline=baseline, slices=slices)
        return Seen(
            candidate=self._ours.measured(suite),
            baseline=baseline,
            slices=slices,
            missing=self._missing(self._ours),
            index=self._examined(self._ours),
            latency=self._latency(self._ours),
            replayed=self._replay(self._ours),
        )

    def assessment(self, evidence: Evidence, seen: Seen) -> Assessment:
        suite, leading, production = self._suite, self._suite.measures[0], self._world.production
        rows = assessing.query_rows(suite, seen, evidence.gates)
        found = Assessment(
            evidence=evidence,
            candidate=assessing.pair_facts(self._entry),
            production=assessing.pair_facts(production) if production else None,
            leading=leading,
            queries=rows,
            slices=assessing.slice_rows(suite, seen),
            index=seen.index,
            latency=seen.latency,
            replayed=seen.replayed,
            titles=self._titles,
        )
        if self._ours is None or self._theirs is None:
            return found
        improved, harmed = assessing.most_changed(rows, leading)
        shown = assessing.side_by_side([*improved, *harmed], suite, leading, self._ours, self._theirs)
        return found.model_copy(update={"improved": shown[: len(improved)], "harmed": shown[len(improved) :]})

    def logged(self, assessment: Assessment) -> tuple[str, ...]:
        """MLflow has the story, Milvus the truth: a verdict stands whether or not MLflow hears of it."""
        self._tell("logging to MLflow")
        record = run_log.of_assessment(assessment, report.rendered(assessment), self._suite, self._entry.stamp.source)
        try:
            self._parts.runs.log(record)
        except KitError as error:
            return (f"MLflow has no report of this: {error}",)
        return ()

    def _ask_production(self) -> Baseline:
        world, suite = self._world, self._suite
        if unknown := world.lost_production():
            return Baseline(pair=unknown, unmeasured_because=f"the alias {world.alias} points to nothing, though {unknown} has served")
        if world.target is None:
            return Baseline()
        if world.production is None:
            broken = next((each.why for each in world.unreadable if each.collection == world.target), "")
            return Baseline(pair=world.target, unmeasured_because=broken or "it is not a pair of the kit, so its model is not known", foreign=not broken)
        self._tell(f"asking production {world.target}")
        try:
            if not self._parts.store.open(world.target).is_loaded():
                return Baseline(pair=world.target, unmeasured_because="it is not loaded")
            self._theirs = ask(world.production, suite, self._parts)
        except KitError as error:
            return Baseline(pair=world.target, unmeasured_because=str(error))
        return Baseline(pair=world.target, measured=self._theirs.measured(suite))

    def _ask_candidate(self) -> None:
        self._tell(f"asking the candidate {self._entry.pair}")
        try:
            self._ours = ask(self._entry, self._suite, self._parts)
        except Unreachable:
            raise
        except KitError as error:
            self.unasked = str(error)

    def _missing(self, ours: Side) -> Missing:
        relevant = self._suite.relevant_documents()
        absent = missing_documents(self._suite, ours.collection.layout.key.type, ours.collection)
        return Missing(relevant=len(relevant), missing=len(absent), examples=tuple(f"query {query!r} names {doc}" for doc, query in list(absent.items())[:5]))

    def _examined(self, ours: Side) -> IndexFacts:
        self._tell("looking at every stored row, and at the source")
        parts, before = self._parts, self._world.production
        production = parts.store.open(before.pair.collection) if before else None
        rows = next(gate.rows for gate in gates.all_of(self._suite.gates) if isinstance(gate, SameVectors))
        return examine(self._entry, ours.collection, Looking.of(parts, ours, production, rows))

    def _latency(self, ours: Side) -> Latency | None:
        if not ours.queries:
            return None
        self._tell("measuring latency")
        return latency.interleaved((ours.collection, ours.vectors), (self._theirs.collection, self._theirs.vectors) if self._theirs else None)

    def _replay(self, ours: Side) -> Replayed | None:
        if self._logged is None or self._theirs is None:
            return None
        self._tell(f"replaying {len(self._logged.queries):,} logged queries")
        asked = [(side, replay.ask(side, self._logged.queries)) for side in (self._theirs, ours)]
        (_, before), (_, after) = asked
        found = replay.compare(self._logged.queries, after, before)
        for side, answers in asked:
            self._titles |= replay.titles(found, self._logged, answers, title_column(side.entry, self._suite.title))
        return found


def _refuse_unready(store: VectorStore, entry: Entry) -> None:
    if entry.is_production:
        raise Refused(f"{entry.pair} is production: compared with itself it would always pass.")
    if entry.stamp.state is State.BUILDING:
        raise Refused(f"{entry.pair} is still building.", hint=f"Run `embed` and `finish --pair {entry.pair}` first.")
    entry.refuse_half_caught_up()
    if not store.open(entry.pair.collection).is_loaded():
        raise Refused(f"{entry.pair} is not loaded.", hint=f"Run `finish --pair {entry.pair}`.")


def _verdict(results: tuple[GateResult, ...], suite: Suite, seen: Seen, unasked: str) -> tuple[Verdict, str]:
    """The gates' verdict, withheld where suite, candidate or baseline do not allow one; and why, in one line."""
    if unasked:
        return Verdict.INCONCLUSIVE, f"the candidate could not be asked: {unasked}"
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
        reasons.append(f"{others} other gates pass")
    return verdict, "; ".join(reasons) or "no gate on what is found could be applied: a first pair needs a floor"


def _stamp(store: VectorStore, entry: Entry, evidence: Evidence) -> None:
    stamped = entry.stamp.changes(
        state=_STATES[evidence.verdict],
        verdict=evidence.verdict.value,
        evidence=evidence.model_dump_json(),
        evidence_digest=evidence.digest,
        rolled_back=entry.stamp.rolled_back and evidence.verdict is not Verdict.PASS,
    )
    store.set_properties(entry.pair.collection, stamped)

