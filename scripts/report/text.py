"""The short text for a terminal and a CI log."""

from __future__ import annotations

from scripts.assessment import Assessment
from scripts.quality.gates import GateResult, Outcome
from scripts.report import findings
from scripts.report.words import counted, printable, shortened

MOST_LINES = 25
_WIDTH = 200
_HARMED = 3
_MEASURES = 5


def render(assessment: Assessment) -> list[str]:
    """At most 25 lines: the verdict and why, against what, every gate that does not pass and as many others as there is room for, the
    measures, the most harmed queries, and the evidence's digest."""
    evidence = assessment.evidence
    head = [
        f"{evidence.pair}: {evidence.verdict.upper()} – {shortened(evidence.why, _WIDTH)}",
        f"  model {assessment.candidate.model} version {assessment.candidate.version}, {evidence.rows:,} rows; "
        f"would replace {shortened(findings.replaced(assessment), _WIDTH)}",
        f"  {counted(evidence.queries, 'judged query', 'judged queries')} of suite {evidence.suite}{_moved(assessment)}",
    ]
    tail = [*_measures(assessment), *_harmed(assessment), f"  evidence {evidence.digest}"]
    lines = [*head, *_gates(findings.by_severity(evidence.gates), MOST_LINES - len(head) - len(tail)), *tail]
    return [printable(line) for line in lines]


def _gates(gates: list[GateResult], room: int) -> list[str]:
    lines = [f"  {gate.outcome:14} {shortened(f'{gate.gate}: {gate.why}', _WIDTH)}" for gate in gates]
    if len(lines) <= room:
        return lines
    rest = gates[room - 1 :]
    counts = [f"{count} {outcome}" for outcome in Outcome if (count := sum(gate.outcome is outcome for gate in rest))]
    return [*lines[: room - 1], f"  … and {counted(len(rest), 'gate')} more: {', '.join(counts)}"]


def _moved(assessment: Assessment) -> str:
    moved = findings.moved(assessment)
    return f": {moved.better:,} better, {moved.worse:,} worse, {moved.same:,} the same by {assessment.leading}" if moved else ""


def _measures(assessment: Assessment) -> list[str]:
    lines, production = [], assessment.evidence.production_means
    for name in findings.measures(assessment)[:_MEASURES]:
        ours = assessment.evidence.means[name]
        against = f", production {production[name]:.4f} ({ours - production[name]:+.4f})" if name in production else ""
        lines.append(f"  {name:14} candidate {ours:.4f}{against}")
    return lines


def _harmed(assessment: Assessment) -> list[str]:
    texts = {row.id: row.text for row in assessment.queries}
    return [f"  harmed {side.change:+.4f} {shortened(texts.get(side.query, side.query), 100)!r}" for side in assessment.harmed[:_HARMED]]
