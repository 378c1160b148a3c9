"""`cleanup`: drop what retention does not keep, and take out of memory what is kept only for a rollback far back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from scripts import footprint, ledger, lock, releases, retention
from scripts.errors import Refused
from scripts.footprint import Footprint
from scripts.jobs import dropping
from scripts.jobs.acts import holder, locked
from scripts.jobs.switching import Told
from scripts.ledger import ActKind
from scripts.ports import Parts
from scripts.retention import Decision, Fate, Policy, RetentionPlan
from scripts.switch import Step


@dataclass(frozen=True)
class CleanedUp:
    plan: RetentionPlan
    done: tuple[Decision, ...] = ()
    dry_run: bool = False
    left: str = ""
    exit_code: int = 0

    @property
    def decided(self) -> tuple[Decision, ...]:
        return self.plan.acts if self.dry_run else self.done

    def lines(self) -> list[str]:
        will = "would " if self.dry_run else ""
        lines = [f"{will}{each.step.name}: {each.step.words}" for each in self.decided]
        lines += [f"keep {each.entry.pair}: {each.why}" for each in self.plan.to(Fate.KEEP)]
        lines += [f"never touched: {broken.why}" for broken in self.plan.untouched]
        drops, releases = (sum(each.fate is fate for each in self.decided) for fate in (Fate.DROP, Fate.RELEASE))
        kept = len(self.plan.to(Fate.KEEP))
        if self.dry_run:
            lines.append(f"{drops} to drop, {releases} to release, {kept} to keep; nothing was changed.")
        else:
            lines.append(f"{drops} dropped, {releases} released, {kept} kept.")
        if self.decided:
            lines.append(f"{'It would free' if self.dry_run else 'Freed'} {self._frees}: {footprint.FORMULA}.")
        return [*lines, *([self.left] if self.left else [])]

    @property
    def _frees(self) -> Footprint:
        return Footprint.total(each.frees for each in self.decided if each.frees)

    def facts(self) -> dict[str, Any]:
        def told(decisions: tuple[Decision, ...]) -> list[dict[str, Any]]:
            return [{"pair": each.entry.pair.collection, "why": each.why} | _bytes(each.frees) for each in decisions]

        return {
            "dry_run": self.dry_run,
            "steps": [str(step) for step in self.plan.steps()],
            "drop": told(self.plan.to(Fate.DROP)),
            "release": told(self.plan.to(Fate.RELEASE)),
            "keep": [{"pair": each.entry.pair.collection, "why": each.why} for each in self.plan.to(Fate.KEEP)],
            "untouched": [{"collection": broken.collection, "why": broken.why} for broken in self.plan.untouched],
            "dropped": told(tuple(each for each in self.done if each.fate is Fate.DROP)),
            "released": told(tuple(each for each in self.done if each.fate is Fate.RELEASE)),
            "frees": _bytes(self._frees) | {"how": footprint.FORMULA},
            "left": self.left,
        }


def cleanup(parts: Parts, *, dry_run: bool, tell: Told = lambda step, remark: None) -> CleanedUp:
    """Safe to run again. Never touches a collection that has an alias, that the kit did not stamp, or that somebody is filling.

    `tell` is told of each step. Raises Refused, with the remaining pairs untouched, when the world moved meanwhile, and while another process changes
    production.
    """
    if dry_run:
        return CleanedUp(planned(parts), dry_run=True)
    with locked(parts, "cleanup") as held:  # whoever takes a lock drops the older ledgers
        tell(Step("lock", ""), "")
        dropping.close_interrupted(held)
        plan = planned(parts)
        done = dropping.carried_out(plan, parts, held, dropping.blank_act(parts, ActKind.CLEANUP, parts.now()), tell)
        _drop_old_requests(parts)
        left = dropping.told_runs(parts, held)
        tell(Step("registry", ""), left)
    tell(Step("unlock", ""), "")
    return CleanedUp(plan, done, left=left)


def planned(parts: Parts) -> RetentionPlan:
    """What is to be done now."""
    policy = Policy.of(parts.settings)
    return dropping.planned(parts, lambda world, seen: retention.plan(world, policy, now=parts.now(), seen=seen))


def _drop_old_requests(parts: Parts) -> None:
    """Older ledgers of requests than the newest, which receivers without the right to drop leave behind. Under their lock, because what is written
    late into the last one is still carried over; where somebody has that, it can wait until the next cleanup."""
    requests = releases.ledger_of(parts.settings.alias)
    if len(ledger.numbers(parts.store, requests)) > 1:
        with suppress(Refused), lock.held(parts.store, requests, holder(parts, "cleanup")):
            pass


def _bytes(size: Footprint | None) -> dict[str, int | None]:
    return {"memory_bytes": size.memory if size else None, "disk_bytes": size.disk if size else None}
