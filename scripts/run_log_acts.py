"""What MLflow is told of a promotion, a rollback or a cleanup: a run of its own, and tags on the model version that serves since."""

from __future__ import annotations

import re

from scripts.ledger import Act
from scripts.pair import Stamp
from scripts.run_record import RunKey, RunRecord

# A detail that says in its name what it counts; any other number is a name of something, such as a model version.
_COUNTS = re.compile(r"(.+_)?(rows|seconds|bytes|dropped|released|changed)")


def of_act(act: Act) -> RunRecord:
    """Who, why, by which build, on which evidence, from where to where, and what came of it. Of the same act there is one run, however often it
    is told; the last word counts. Details that count something are metrics, the others tags."""
    numbers = {name: number for name, text in act.details.items() if _COUNTS.fullmatch(name) and (number := _number(text)) is not None}
    words = {f"promotion.{name}": text for name, text in act.details.items() if name not in numbers}
    return RunRecord(
        run=RunKey.of_act(act.id, f"{act.kind} {act.to}" if act.to else f"{act.kind} {act.at:%Y-%m-%d %H:%M}"),
        kind=act.kind.value,
        at=act.at,
        params={"alias": act.alias, "from": act.origin, "to": act.to, "evidence": act.evidence},
        metrics=numbers,
        tags=_told({"promotion.kind": act.kind.value, "promotion.outcome": act.outcome, **_who(act)} | words),
        summary=_summary(act),
    )


def tags_of(pair: str, stamp: Stamp) -> dict[str, str]:
    """For the version of the model whose pair serves now: since when, by whose hand, why, and on which evidence."""
    since = stamp.begun_at or stamp.promoted_at
    return _told(
        {
            "promotion.pair": pair,
            "promotion.promoted_at": since.isoformat(timespec="seconds") if since else "",
            "promotion.by": stamp.begun_by,
            "promotion.why": stamp.reason,
            "promotion.evidence": stamp.evidence_digest,
            "promotion.build_url": stamp.build.url,
        }
    )


def _who(act: Act) -> dict[str, str]:
    return {"promotion.by": act.by, "promotion.why": act.why, "promotion.build_url": act.url}


def _told(tags: dict[str, str]) -> dict[str, str]:
    """What nobody said is not a tag."""
    return {name: text for name, text in tags.items() if text}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _summary(act: Act) -> str:
    moved = f"`{act.alias}`: {act.origin or 'nothing'} → {act.to}" if act.to else f"`{act.alias}`"
    facts = (f"By {act.by}." if act.by else "", f"Why: {act.why}." if act.why else "", f"Evidence `{act.evidence}`." if act.evidence else "", act.url)
    return "\n\n".join(filter(None, (f"**{act.kind.upper()}** – {act.outcome}", moved, " ".join(filter(None, facts)))))
