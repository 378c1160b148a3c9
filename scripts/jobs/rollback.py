"""`rollback`: point production back at the pair it replaced. Needs no source, no model and no MLflow."""

from __future__ import annotations

from scripts import catalogue, ledger, switch
from scripts.errors import Refused
from scripts.jobs.switching import Switched, Switching, Told, planned
from scripts.ledger import ActKind
from scripts.ports import Parts


def rollback(parts: Parts, *, to: str | None, reason: str, dry_run: bool, tell: Told = lambda step, remark: None) -> Switched:
    """Safe to run again: an interrupted rollback is finished, not repeated one pair further back; and in one pipeline, so is one that is done.

    A released target is loaded first. `tell` is told of each step. Raises Refused, with the pairs one could go to, when there is no previous pair
    or it has not the rows that it should have, and while another process changes production.
    """
    plan = switch.plan_rollback(catalogue.read(parts.store, parts.settings), to=to, reason=reason, begun=_begun(parts))
    return planned(plan, parts) if dry_run else Rollback(plan, parts, tell).carry_out()


def _begun(parts: Parts) -> str:
    """What was begun and not let go of, or done by an earlier run of this pipeline's job; empty where it was neither."""
    found, build = ledger.read(parts.store, parts.settings.alias), parts.settings.environment.build_id
    if found is None or found.holder:
        return found.holder.doing if found else ""
    last = next((act for act in reversed(found.acts) if act.kind in (ActKind.PROMOTION, ActKind.ROLLBACK)), None)
    ours = build and last and last.details.get("pipeline") == build
    return f"{last.kind} to {last.to}" if ours else ""


class Rollback(Switching):
    """Sees before the switch that its target can answer."""

    def load(self) -> str | None:
        collection = self.parts.store.open(self.plan.to.pair.collection)
        if collection.is_loaded():
            return "it is loaded"
        collection.load()
        return None

    def check(self) -> str | None:
        """Of a pair that a catch-up left half way nobody knows how many rows it should have; one that has served is still better than what fails."""
        to = self.plan.to
        rows = self.parts.store.open(to.pair.collection).count()
        expected = to.stamp.content.rows if to.stamp.content else rows
        if rows != expected and not to.is_half_caught_up:
            hint = f"`catch-up {to.pair}` mends it. {self._world().alternatives()}"
            raise Refused(f"{to.pair} holds {rows:,} rows and is stamped with {expected:,}.", hint=hint)
        return f"{rows:,} rows"
