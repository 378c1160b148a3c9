"""`promote`: point production at a validated pair, then move its model version in MLflow."""

from __future__ import annotations

from scripts import catalogue, evidence, golden, switch
from scripts.catalogue import Catalogue, Entry
from scripts.errors import Refused, Unreachable, UsageError
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
        _refuse_without_model(entry, parts)
    return carry_out(plan, parts, dry_run=dry_run)


def _refuse_without_model(entry: Entry, parts: Parts) -> None:
    """Nobody could query a pair whose model version is gone. A registry that is down is no reason not to switch."""
    model = entry.stamp.model
    try:
        parts.registry.version(model.name, model.version)
    except UsageError as error:
        raise Refused(f"{entry.pair} has lost its model. {error.what}", hint="Build another.") from None
    except Unreachable:
        return


def _check_evidence(world: Catalogue, entry: Entry, approved: str | None, parts: Parts) -> None:
    entry.refuse_half_caught_up()
    stamped = evidence.of_stamp(entry.pair.collection, entry.stamp)
    if approved is not None and approved != stamped.digest:
        raise Refused(f"Evidence {approved[:12]} was approved, but {entry.pair} now stands on {stamped.digest[:12]}.", hint="Approve the new evidence.")
    collection = parts.store.open(entry.pair.collection)
    evidence.check_current(stamped, entry.stamp, golden.load(parts.settings.golden_folder), rows=collection.count(), production=world.target)
