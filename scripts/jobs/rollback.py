"""`rollback`: point production back at the pair it replaced. Needs no source, no model and no MLflow."""

from __future__ import annotations

from scripts import catalogue, switch
from scripts.jobs.switching import Switched, carry_out
from scripts.ports import Parts


def rollback(parts: Parts, *, to: str | None, reason: str, dry_run: bool) -> Switched:
    """Safe to run again: an interrupted rollback is finished, not repeated one pair further back.

    A released target is loaded first. Raises Refused, with the pairs one could go to, when there is no previous pair.
    """
    plan = switch.plan_rollback(catalogue.read(parts.store, parts.settings), to=to, reason=reason)
    if not dry_run and not plan.switched_before:
        collection = parts.store.open(plan.to.pair.collection)
        if not collection.is_loaded():
            collection.load()
    return carry_out(plan, parts, dry_run=dry_run)
