"""What every report says of an assessment, whatever it looks like: what would be replaced, which gates matter first, who gains and loses."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scripts.assessment import Assessment, QueryRow
from scripts.evidence import Evidence
from scripts.quality.gates import GateResult, Outcome
from scripts.report.words import counted

_SEVERITY = {Outcome.FAIL: 0, Outcome.INCONCLUSIVE: 1, Outcome.PASS: 2, Outcome.NOT_APPLICABLE: 3}
_ON_FINDING = ("max_loss", "floor", "query_floor", "judged")
_DIGITS = 6


@dataclass(frozen=True)
class Moved:
    """How many queries changed by the leading measure."""

    better: int
    worse: int
    same: int


def by_severity(gates: tuple[GateResult, ...]) -> list[GateResult]:
    """What fails first, then what is inconclusive; among equals in the suite's order."""
    return sorted(gates, key=lambda gate: _SEVERITY[gate.outcome])


def reasons(evidence: Evidence) -> list[GateResult]:
    """The gates that say why: those that keep the pair from passing; where none does, those that looked at what it finds."""
    against = [gate for gate in by_severity(evidence.gates) if gate.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)]
    return against or [gate for gate in evidence.gates if gate.outcome is Outcome.PASS and gate.kind in _ON_FINDING]


def replaced(assessment: Assessment) -> str:
    """What a promotion would replace, in words."""
    name, facts = assessment.production_name or assessment.evidence.production, assessment.production
    if not name:
        return "nothing: this is the first pair"
    told = f"{name} ({facts.model} version {facts.version})" if facts else name
    if assessment.production_unmeasured:
        return f"{told}, which could not be compared with: {assessment.production_unmeasured}"
    return told if assessment.evidence.production_means else f"{told}, which was not measured"


def uncompared(assessment: Assessment) -> str:
    """What stands where production's figures would."""
    return "production was not measured" if assessment.production_unmeasured else "there is no production to compare with"


def tally(assessment: Assessment) -> str:
    """What the gates say together, in one sentence."""
    outcomes = [gate.outcome for gate in assessment.evidence.gates]
    applying = [outcome for outcome in outcomes if outcome is not Outcome.NOT_APPLICABLE]
    failed, unsettled = outcomes.count(Outcome.FAIL), outcomes.count(Outcome.INCONCLUSIVE)
    if not applying:
        return "No gate could be applied"
    if not failed and not unsettled:
        return f"All {counted(len(applying), 'gate')} that apply pass" if len(applying) > 1 else "The one gate that applies passes"
    said = ((failed, "fails", "fail"), (unsettled, "is inconclusive", "are inconclusive"))
    parts = [f"{count} {one if count == 1 else many}" for count, one, many in said if count]
    return f"Of {counted(len(applying), 'gate')}, {' and '.join(parts)}"


def further_reason(assessment: Assessment) -> str:
    """Why, where the gates' own reasons do not say it; empty where they do."""
    why = assessment.evidence.why
    # Its beginning is enough: a stamp has no room for the reasons of many gates, so `validate` may have cut the rest.
    said = any(why == gate.why or why.startswith(f"{gate.gate} ({gate.why})") for gate in reasons(assessment.evidence))
    return "" if said else why


def value(figures: dict[str, float] | None, name: str) -> float | None:
    """None where it was not measured. Rounded to what is ever shown or compared, so that every part of a report agrees."""
    found = (figures or {}).get(name)
    return round(found, _DIGITS) if found is not None and math.isfinite(found) else None


def change(row: QueryRow, name: str) -> float | None:
    """The candidate's gain over production by a measure."""
    ours, theirs = value(row.candidate, name), value(row.production, name)
    return None if ours is None or theirs is None else round(ours - theirs, _DIGITS)


def moved(assessment: Assessment) -> Moved | None:
    """None where there is nothing to compare with."""
    changes = [c for row in assessment.queries if (c := change(row, assessment.leading)) is not None]
    if not changes:
        return None
    return Moved(better=sum(c > 0 for c in changes), worse=sum(c < 0 for c in changes), same=sum(c == 0 for c in changes))


def measures(assessment: Assessment) -> list[str]:
    """The suite's measures, the leading one first."""
    return sorted(assessment.evidence.means, key=lambda name: name != assessment.leading)
