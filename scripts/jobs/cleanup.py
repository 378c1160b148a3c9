"""`cleanup`: drop what retention does not keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts import catalogue, retention
from scripts.ports import Parts
from scripts.retention import Decision, RetentionPlan


@dataclass(frozen=True)
class CleanedUp:
    plan: RetentionPlan
    dropped: tuple[Decision, ...]
    dry_run: bool
    exit_code: int = 0

    def lines(self) -> list[str]:
        verb = "would drop" if self.dry_run else "dropped"
        decided = self.plan.drop if self.dry_run else self.dropped
        return [
            *(f"{verb:10} {d.entry.pair}: {d.why}" for d in decided),
            *(f"{'keep':10} {d.entry.pair}: {d.why}" for d in self.plan.keep),
            f"{len(decided)} {verb.split()[-1]}{'' if not self.dry_run else ' (nothing was changed)'}, {len(self.plan.keep)} kept.",
        ]

    def facts(self) -> dict[str, Any]:
        def told(decisions: tuple[Decision, ...]) -> list[dict[str, str]]:
            return [{"pair": d.entry.pair.collection, "why": d.why} for d in decisions]

        return {"dry_run": self.dry_run, "drop": told(self.plan.drop), "dropped": told(self.dropped), "keep": told(self.plan.keep)}


def cleanup(parts: Parts, *, dry_run: bool) -> CleanedUp:
    """Safe to run again. Never touches a collection that has an alias or that the kit did not stamp."""
    plan = retention.plan(catalogue.read(parts.store, parts.settings), parts.settings.retention, now=parts.now())
    return CleanedUp(plan, () if dry_run else tuple(retention.apply(plan, parts.store)), dry_run)
