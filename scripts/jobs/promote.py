"""`promote`: point production at a validated pair, then move its model version in MLflow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from scripts import catalogue, evidence, golden, switch
from scripts.catalogue import Catalogue, Entry
from scripts.config import Settings
from scripts.errors import Refused
from scripts.jobs.switching import Switched, carry_out
from scripts.ports import Registry, VectorStore


def promote(
    store: VectorStore,
    open_registry: Callable[[], Registry],
    settings: Settings,
    pair: str,
    *,
    approved: str | None,
    dry_run: bool,
    now: Callable[[], datetime],
) -> Switched:
    """Safe to run again: after a crash at any point the same command finishes the job. The first promotion creates the alias.

    `approved` is the evidence digest that a person approved; without it, the one stamped on the pair is taken.
    Raises Refused for a pair that is not validated, or whose evidence the world has left behind; ProductionMoved when the alias moved.
    """
    world = catalogue.read(store, settings)
    entry = world.find(pair)
    plan = switch.plan_promotion(world, entry)
    if not plan.switched_before:
        _check_evidence(world, entry, store, settings, approved)
    return carry_out(plan, store, open_registry, settings, dry_run=dry_run, now=now)


def _check_evidence(world: Catalogue, entry: Entry, store: VectorStore, settings: Settings, approved: str | None) -> None:
    stamped = evidence.of_stamp(entry.pair.collection, entry.stamp)
    if approved and approved != stamped.digest:
        raise Refused(f"Evidence {approved[:12]} was approved, but {entry.pair} now stands on {stamped.digest[:12]}.", hint="Approve the new evidence.")
    collection = store.open(entry.pair.collection)
    if not collection.is_loaded():
        raise Refused(f"{entry.pair} is not loaded, so queries would fail after the switch.", hint=f"Run `finish --pair {entry.pair}` and try again.")
    evidence.check_current(stamped, entry.stamp, golden.load(settings.golden_folder), rows=collection.count(), production=world.target)
