"""`promote`: point production at a validated pair, then move its model version in MLflow."""

from __future__ import annotations

from scripts import catalogue, evidence, golden, switch
from scripts.catalogue import Catalogue, Entry
from scripts.errors import Refused
from scripts.jobs.switching import Switched, carry_out
from scripts.ports import Parts


def promote(parts: Parts, pair: str, *, approved: str | None, dry_run: bool) -> Switched:
    """Safe to run again: after a crash at any point the same command finishes the job. The first promotion creates the alias.

    `approved` is the evidence digest that a person approved; without it, the one stamped on the pair is taken.
    Raises Refused for a pair that is not validated, or whose evidence the world has left behind; ProductionMoved when the alias moved.
    """
    world = catalogue.read(parts.store, parts.settings)
    entry = world.find(pair)
    plan = switch.plan_promotion(world, entry)
    if not plan.switched_before:
        _check_evidence(world, entry, approved, parts)
    return carry_out(plan, parts, dry_run=dry_run)


def _check_evidence(world: Catalogue, entry: Entry, approved: str | None, parts: Parts) -> None:
    stamped = evidence.of_stamp(entry.pair.collection, entry.stamp)
    if approved and approved != stamped.digest:
        raise Refused(f"Evidence {approved[:12]} was approved, but {entry.pair} now stands on {stamped.digest[:12]}.", hint="Approve the new evidence.")
    collection = parts.store.open(entry.pair.collection)
    if not collection.is_loaded():
        raise Refused(f"{entry.pair} is not loaded, so queries would fail after the switch.", hint=f"Run `finish --pair {entry.pair}` and try again.")
    evidence.check_current(stamped, entry.stamp, golden.load(parts.settings.golden_folder), rows=collection.count(), production=world.target)
