"""`discard`: drop the pair of this pipeline, after its gate refused it or its approval was cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts import discarding
from scripts.catalogue import Catalogue
from scripts.errors import Refused, UsageError
from scripts.jobs import dropping
from scripts.jobs.acts import locked
from scripts.jobs.switching import Told
from scripts.ledger import ActKind
from scripts.pair import Pair
from scripts.ports import Parts
from scripts.retention import Decision, Fate, RetentionPlan, Seen
from scripts.switch import Step


@dataclass(frozen=True)
class Discarded:
    asked: str
    """Whose pair it was to be, in words."""
    plan: RetentionPlan
    done: tuple[Decision, ...] = ()
    dry_run: bool = False
    left: str = ""
    exit_code: int = 0

    def lines(self) -> list[str]:
        plan, will = self.plan, "would " if self.dry_run else ""
        lines = [f"{will}{each.step.name}: {each.step.words}" for each in (plan.acts if self.dry_run else self.done)]
        lines += [f"keep {each.entry.pair}: {each.why}" for each in plan.to(Fate.KEEP)]
        lines += [f"never touched: {broken.why}" for broken in plan.untouched]
        lines = lines or [f"There is no {self.asked}: nothing is left to discard."]
        return [*lines, *([self.left] if self.left else [])]

    def facts(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "drop": [{"pair": each.entry.pair.collection, "why": each.why} for each in self.plan.to(Fate.DROP)],
            "keep": [{"pair": each.entry.pair.collection, "why": each.why} for each in self.plan.to(Fate.KEEP)],
            "untouched": [{"collection": broken.collection, "why": broken.why} for broken in self.plan.untouched],
            "dropped": [each.entry.pair.collection for each in self.done],
            "left": self.left,
        }


def discard(
    parts: Parts, pair: str | None, *, cancelled: bool, reason: str, dry_run: bool, tell: Told = lambda step, remark: None
) -> Discarded:
    """Safe to run again. Without a name, the pair that this pipeline made: where its gates rejected it or, `cancelled`, somebody said no at its approval.
    Whoever names a pair means that. What a rerun may go on with stays, and says so.

    `tell` is told of each step. Raises Refused for a named pair that is production, has served or is in use, when the world moved meanwhile, and
    while another process changes production; UsageError without a name outside a pipeline.
    """
    build_id = parts.settings.environment.build_id
    if pair is None and not build_id:
        raise UsageError("This is no pipeline, so nobody knows which pair to discard.", hint="Name it with --pair.")
    asked = f"pair {pair}" if pair else f"pair of build {build_id}"

    def decide(world: Catalogue, seen: Seen) -> RetentionPlan:
        names = (pair,) if pair else discarding.of_build(world, build_id)
        if pair:
            _refuse_protected(world, pair, parts, seen)
        return discarding.plan(world, names, cancelled=cancelled or pair is not None, now=parts.now(), seen=seen)

    plan = dropping.planned(parts, decide)
    if dry_run or not plan.acts:  # where nothing goes, nobody has to be kept waiting
        return Discarded(asked, plan, dry_run=dry_run)
    with locked(parts, "discard") as held:
        tell(Step("lock", ""), "")
        dropping.close_interrupted(held)
        plan = dropping.planned(parts, decide)
        done = dropping.carried_out(plan, parts, held, dropping.blank_act(parts, ActKind.DISCARD, parts.now(), reason), tell)
        left = dropping.told_runs(parts, held)
        tell(Step("registry", ""), left)
    tell(Step("unlock", ""), "")
    return Discarded(asked, plan, done, left=left)


def _refuse_protected(world: Catalogue, name: str, parts: Parts, seen: Seen) -> None:
    named = Pair.parse(name)
    if named is None or named.service != parts.settings.collection_prefix:
        raise Refused(f"{name} is no pair of {parts.settings.service}.", hint="`status` lists them.")
    if any(broken.collection == name for broken in world.unreadable):
        world.find(name)  # says why it cannot be read
    entry = next((entry for entry in world.entries if entry.pair.collection == name), None)
    if entry and (why := discarding.protection(world, entry, now=parts.now(), seen=seen)):
        raise Refused(f"{name} is not discarded: {why}.")
