"""Gates: the closed list of conditions that a suite can set, each a value in suite.yaml under the name that its `gate` field has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from scripts.quality.gates import index, measured, replayed, speed
from scripts.quality.gates.verdict import WHY_CHARS, GateResult, Outcome, Verdict, cut
from scripts.quality.seen import Seen

__all__ = ["DECISIVE", "KINDS", "ON_MEASURES", "REPLAYED", "Gate", "GateResult", "Outcome", "Verdict", "all_of", "check_kind", "judge", "verdict"]

_MEASURED = (measured.Floor, measured.QueryFloor, measured.MaxLoss, measured.EnoughJudged)
_ALWAYS = (measured.KnownDocuments(), *index.ALWAYS)
_SPEED = (speed.LatencyCeiling, speed.LatencyRatio)
_REPLAYED = (replayed.Overlap, replayed.RankBiasedOverlap, replayed.TopChanged, replayed.EmptyResults)

KINDS: dict[str, type] = {kind.model_fields["gate"].default: kind for kind in (*_MEASURED, *map(type, _ALWAYS), *_SPEED, *_REPLAYED)}
ON_MEASURES = frozenset(kind.model_fields["gate"].default for kind in _MEASURED)
REPLAYED = frozenset(kind.model_fields["gate"].default for kind in _REPLAYED)
# A pass rests on at least one of these: that an index is sound says nothing of what it finds.
DECISIVE = frozenset({"floor", "query_floor", "max_loss"})

Gate = Annotated[
    measured.Floor
    | measured.QueryFloor
    | measured.MaxLoss
    | measured.EnoughJudged
    | measured.KnownDocuments
    | index.Contents
    | index.Vectors
    | index.Index
    | index.Norms
    | index.Collapse
    | index.AnnRecall
    | index.SameVectors
    | index.Fresh
    | index.Complete
    | index.Prompted
    | speed.LatencyCeiling
    | speed.LatencyRatio
    | replayed.Overlap
    | replayed.RankBiasedOverlap
    | replayed.TopChanged
    | replayed.EmptyResults,
    Field(discriminator="gate"),
]
# Where they cannot tell, what was found cannot be judged by its measures.
_SAY_WHETHER_JUDGED = frozenset({"judged", "judgments"})


def check_kind(value: Any) -> Any:
    """A gate as suite.yaml has it. Raises ValueError, with the nearest name, where its kind is none of the list."""
    kind = value.get("gate") if isinstance(value, dict) else None
    if kind is None:
        raise ValueError(f"a gate is a mapping with a kind, such as {{gate: floor, measure: nDCG@10, at_least: 0.3}}; kinds: {', '.join(KINDS)}")
    if not isinstance(kind, str) or kind not in KINDS:
        near = difflib.get_close_matches(str(kind).lower(), KINDS, n=1, cutoff=0.4)
        raise ValueError(f"there is no gate {kind!r}; " + (f"did you mean {near[0]}?" if near else f"kinds: {', '.join(KINDS)}"))
    return value


def all_of(named: Iterable[Gate]) -> tuple[Gate, ...]:
    """Those that the suite names, and those that always stand guard and that it does not name."""
    gates = tuple(named)
    return (*gates, *(gate for gate in _ALWAYS if not any(isinstance(own, type(gate)) for own in gates)))


def judge(named: Iterable[Gate], seen: Seen) -> tuple[GateResult, ...]:
    """One result per gate. Where too little is judged, or judgments and collection do not belong together, nothing fails by its measures: what was
    found may be good and nobody knows. Of a slice, that is said of the gates on this slice only."""
    gates = all_of(named)
    results = tuple(gate.judge(seen) for gate in gates)
    unjudged = {
        getattr(gate, "slice", ""): result.why
        for gate, result in zip(gates, results, strict=True)
        if result.kind in _SAY_WHETHER_JUDGED and result.outcome is Outcome.INCONCLUSIVE
    }
    return tuple(_withheld(gate, result, unjudged) for gate, result in zip(gates, results, strict=True))


def verdict(results: Iterable[GateResult]) -> Verdict:
    """Fail if any gate fails; pass if none is inconclusive and one that says what the pair finds passes; inconclusive otherwise, so also
    without gates."""
    seen = tuple(results)
    if any(result.outcome is Outcome.FAIL for result in seen):
        return Verdict.FAIL
    decided = any(result.outcome is Outcome.PASS and result.kind in DECISIVE for result in seen)
    return Verdict.PASS if decided and not any(result.outcome is Outcome.INCONCLUSIVE for result in seen) else Verdict.INCONCLUSIVE


def _withheld(gate: Gate, result: GateResult, unjudged: Mapping[str, str]) -> GateResult:
    if result.kind not in DECISIVE or result.outcome is not Outcome.FAIL:
        return result
    why = unjudged.get("") or unjudged.get(gate.slice)
    if not why:
        return result
    but = f", but {cut(why.partition(':')[0], WHY_CHARS // 2)}"
    return result.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "why": cut(result.why, WHY_CHARS - len(but)) + but})
