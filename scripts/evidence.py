"""Evidence: what validation saw, with a digest. A person approves that digest, and promotion holds to it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from scripts import __version__, digests
from scripts.errors import Refused
from scripts.golden import Suite
from scripts.pair import Stamp
from scripts.quality.gates import GateResult, Verdict


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
    judged_at: datetime

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


def check_current(evidence: Evidence, stamp: Stamp, suite: Suite, *, rows: int, production: str | None) -> None:
    """Refuses evidence that is no pass, or that the world has left behind, and names what moved."""
    if evidence.verdict is not Verdict.PASS:
        raise Refused(f"The verdict on {evidence.pair} is {evidence.verdict}.", hint=f"Run `validate --pair {evidence.pair}`.")
    moved = [
        f"{what} was {then or 'nothing'}, is {now or 'nothing'}"
        for what, then, now in (
            ("the embedding", evidence.embedding_fingerprint, stamp.fingerprint),
            ("the content", evidence.source_fingerprint, stamp.content.fingerprint if stamp.content else ""),
            ("the row count", evidence.rows, rows),
            ("the golden suite", evidence.suite_digest, suite.digest),
            ("production", evidence.production, production or ""),
        )
        if then != now
    ]
    if moved:
        raise Refused(f"{evidence.pair} was validated in another world: {'; '.join(moved)}.", hint="Validate it again.")
