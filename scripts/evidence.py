"""Evidence: what validation saw, with a digest. A person approves that digest, and promotion holds to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from scripts import __version__, digests
from scripts.errors import Refused
from scripts.golden import Suite
from scripts.pair import Stamp
from scripts.quality.gates import GateResult, Verdict
from scripts.settings import PromotionSettings

# So much two machines' clocks may differ; evidence that is further ahead would take too long to become too old.
CLOCKS_DIFFER = timedelta(hours=1)


class Evidence(BaseModel):
    """Everything that the verdict rests on. If any part of it changes, the digest does, and promotion refuses."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    kit: str = __version__
    pair: str
    model_digest: str
    embedding_fingerprint: str
    source_fingerprint: str
    rows: int
    suite: str
    suite_digest: str
    queries: int
    means: dict[str, float]
    production: str
    """The pair, or foreign collection, behind the alias at the time; empty where there was none."""
    production_means: dict[str, float]
    replayed_log: str = ""
    """The digest of the logged queries that were replayed; empty where none were."""
    gates: tuple[GateResult, ...]
    verdict: Verdict
    why: str
    judged_at: AwareDatetime
    pipeline: str = ""
    """In which it was made; empty for who validated by hand."""

    @property
    def digest(self) -> str:
        return digests.of_json(self.model_dump(mode="json"))


def of_stamp(pair: str, stamp: Stamp) -> Evidence:
    """The evidence that is stamped on a pair. Raises Refused where there is none, or where it is not what its digest was made of."""
    if not stamp.evidence:
        raise Refused(f"{pair} was never validated.", hint=f"Run `validate --pair {pair}` first.")
    try:
        evidence = Evidence.model_validate_json(stamp.evidence)
    except ValidationError:
        raise Refused(f"The evidence stamped on {pair} cannot be read.", hint="Validate it again.") from None
    if evidence.pair != pair:
        raise Refused(f"The evidence stamped on {pair} is of {evidence.pair}.", hint="Validate it again.")
    if evidence.digest != stamp.evidence_digest:
        raise Refused(f"The evidence stamped on {pair} is not what its digest {stamp.evidence_digest[:12]} was made of.", hint="Validate it again.")
    return evidence


@dataclass(frozen=True)
class Moment:
    """The world that evidence is held against. `rows` is the true count, `production` what is behind the alias; `pending` source changes are
    going to be brought into the pair."""

    rows: int
    production: str | None
    now: datetime
    pending: int = 0


def check_current(evidence: Evidence, stamp: Stamp, suite: Suite, moment: Moment, policy: PromotionSettings) -> None:
    """Refuses evidence that is no pass, is too old, or that the world has left behind, and names what moved."""
    again = f"Run `validate --pair {evidence.pair}`."
    if evidence.verdict is not Verdict.PASS:
        raise Refused(f"The verdict on {evidence.pair} is {evidence.verdict}.", hint=again)
    age = (moment.now - evidence.judged_at) / timedelta(days=1)
    if evidence.judged_at > moment.now + CLOCKS_DIFFER:
        ahead = f"{evidence.judged_at:%Y-%m-%d %H:%M} UTC, which is yet to come"
        raise Refused(f"The evidence on {evidence.pair} is of {ahead}: some machine's clock is wrong.", hint=again)
    if age > policy.approval_max_age_days:
        raise Refused(f"The evidence on {evidence.pair} is {age:.1f} days old; promotion.approval_max_age_days is {policy.approval_max_age_days:g}.", hint=again)
    moved = [
        f"{what} was {then or 'nothing'}, is {now or 'nothing'}"
        for what, then, now in (
            ("the embedding", evidence.embedding_fingerprint, stamp.fingerprint),
            ("the row count", stamp.content.rows if stamp.content else 0, moment.rows),
            ("the golden suite", evidence.suite_digest, suite.digest),
            ("production", evidence.production, moment.production or ""),
        )
        if then != now
    ]
    moved += _changed_too_much(evidence, stamp, moment.pending, policy.max_changed)
    if moved:
        raise Refused(f"{evidence.pair} was validated in another world: {'; '.join(moved)}.", hint="Validate it again.")


def _changed_too_much(evidence: Evidence, stamp: Stamp, pending: int, share: float) -> list[str]:
    """Content may move a little after a validation, as sources do; how much is counted where it is brought in, see `catch-up`."""
    fingerprint = stamp.content.fingerprint if stamp.content else ""
    if evidence.source_fingerprint == fingerprint and not pending:
        return []
    if evidence.source_fingerprint != fingerprint and stamp.changed_rows <= 0:
        return [f"the content was {evidence.source_fingerprint or 'nothing'}, is {fingerprint or 'nothing'}"]
    return _more_than(share, evidence, max(stamp.changed_rows, 0) + pending)


def refuse_much_changed(evidence: Evidence, changed: int, policy: PromotionSettings) -> None:
    """Where a pair is half caught up: nothing more needs to be brought in, if it would be too much."""
    if told := _more_than(policy.max_changed, evidence, changed):
        raise Refused(f"{evidence.pair} was validated in another world: {told[0]}.", hint=f"Run `catch-up {evidence.pair}`, and validate it again.")


def _more_than(share: float, evidence: Evidence, changed: int) -> list[str]:
    rows = max(evidence.rows, 1)
    if changed <= share * rows:
        return []
    return [f"{changed:,} of {evidence.rows:,} rows have changed since ({changed / rows:.2%}; promotion.max_changed is {share:.2%})"]
