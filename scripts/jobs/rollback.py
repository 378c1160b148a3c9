"""`rollback`: point production back at the pair it replaced. Needs no source, no model and no MLflow."""

from __future__ import annotations

from scripts import catalogue, ledger, switch
from scripts.catalogue import Catalogue
from scripts.errors import Refused
from scripts.jobs.switching import Switched, Switching, Told, planned
from scripts.ledger import ActKind, Ledger
from scripts.ports import Parts


def rollback(parts: Parts, *, to: str | None, reason: str, dry_run: bool, tell: Told = lambda step, remark: None) -> Switched:
    """Safe to run again: an interrupted rollback is finished, not repeated one pair further back; and in one pipeline, so is one that is done.

    A released target is loaded first. `tell` is told of each step. Raises Refused, with the pairs one could go to, when there is no previous pair
    or it has not the rows that it should have, and while another process changes production.
    """
    found, world = ledger.read(parts.store, parts.settings.alias), catalogue.read(parts.store, parts.settings)
    pipeline = parts.settings.environment.build_id
    begun = found is not None and (_is_done_here(found, world, pipeline) or _has_not_let_go(found, world))
    plan = switch.plan_rollback(world, to=to, reason=reason, begun=begun)
    if pipeline and not plan.to.stamp.has_served and not plan.switched_before:
        raise Refused(f"{plan.to.pair} has never served, so a pipeline does not roll back to it.", hint="`promote` takes it there, after its approval.")
    return planned(plan, parts) if dry_run else Rollback(plan, parts, tell).carry_out()


def _has_not_let_go(found: Ledger, world: Catalogue) -> bool:
    """Whether the lock is still held for the rollback to what is production now, which may have done all but let go of it."""
    return found.holder is not None and found.holder.doing == f"{switch.Kind.ROLLBACK} to {world.target}"


def _is_done_here(found: Ledger, world: Catalogue, pipeline: str) -> bool:
    """Whether an earlier run of this pipeline's job has rolled back to what is production now. Raises Refused where production moved since."""
    ours = (act for act in found.acts if pipeline and act.kind is ActKind.ROLLBACK and act.details.get("pipeline") == pipeline)
    done = next((act for act in ours if act.outcome == "done"), None)
    if done is None:
        return False
    if world.target != done.to:
        raise Refused(f"This pipeline has rolled back to {done.to} already, and production has moved since, to {world.target}.", hint="Start another pipeline.")
    return True


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
