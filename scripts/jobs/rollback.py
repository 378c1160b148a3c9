"""`rollback`: point production back at the pair it replaced. Needs no source, no model and no MLflow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from scripts import catalogue, switch
from scripts.config import Settings
from scripts.jobs.switching import Switched, carry_out
from scripts.ports import Registry, VectorStore


def rollback(
    store: VectorStore,
    open_registry: Callable[[], Registry],
    settings: Settings,
    *,
    to: str | None,
    reason: str,
    dry_run: bool,
    now: Callable[[], datetime],
) -> Switched:
    """Safe to run again: an interrupted rollback is finished, not repeated one pair further back.

    A released target is loaded first. Raises Refused, with the pairs one could go to, when there is no previous pair.
    """
    plan = switch.plan_rollback(catalogue.read(store, settings), to=to, reason=reason)
    if not dry_run and not plan.switched_before:
        collection = store.open(plan.to.pair.collection)
        if not collection.is_loaded():
            collection.load()
    return carry_out(plan, store, open_registry, settings, dry_run=dry_run, now=now)
