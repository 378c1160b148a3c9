"""Which pairs stay and which go: a pure plan, then its application with a second look before every drop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from scripts.catalogue import Catalogue, Entry
from scripts.errors import Refused
from scripts.pair import Stamp, State
from scripts.ports import VectorStore
from scripts.settings import RetentionSettings

# However short keep_days is, a build this young may still be running.
BUILD_MAY_RUN = timedelta(days=1)


@dataclass(frozen=True)
class Decision:
    entry: Entry
    why: str


@dataclass(frozen=True)
class RetentionPlan:
    keep: tuple[Decision, ...]
    drop: tuple[Decision, ...]


def plan(catalogue: Catalogue, policy: RetentionSettings, *, now: datetime) -> RetentionPlan:
    """Keeps production, every aliased pair, the newest `keep_previous` predecessors and all that is younger than `keep_days`."""
    predecessors = {entry.pair: number for number, entry in enumerate(_predecessors(catalogue), start=1)}
    keep: list[Decision] = []
    drop: list[Decision] = []
    for entry in catalogue.entries:
        age = now - entry.stamp.last_active
        number = predecessors.get(entry.pair)
        if entry.aliases:
            keep.append(Decision(entry, f"alias {', '.join(entry.aliases)} points to it"))
        elif number is not None and number <= policy.keep_previous:
            keep.append(Decision(entry, f"predecessor {number} of {policy.keep_previous} to keep for rollback"))
        elif entry.state is State.BUILDING and age < BUILD_MAY_RUN:
            keep.append(Decision(entry, "its build may still be running"))
        elif age < timedelta(days=policy.keep_days):
            keep.append(Decision(entry, f"younger than {policy.keep_days:g} days"))
        else:
            drop.append(Decision(entry, f"{entry.state}, last active {age.total_seconds() / 86_400:.1f} days ago"))
    return RetentionPlan(tuple(keep), tuple(drop))


def _predecessors(catalogue: Catalogue) -> list[Entry]:
    """Pairs that were production before: first where a rollback goes, and where that one would go, then the others by when they retired."""
    by_name = {entry.pair.collection: entry for entry in catalogue.entries}
    chain: list[Entry] = []
    step = catalogue.production
    while step and (step := by_name.get(step.stamp.replaces)) and step not in chain and not step.is_production:
        chain.append(step)
    served = [e for e in catalogue.entries if e.stamp.has_served and not e.is_production and e not in chain]
    return chain + sorted(served, key=lambda e: e.stamp.last_active, reverse=True)


def apply(plan: RetentionPlan, store: VectorStore) -> list[Decision]:
    """Drops what the plan says and returns what was dropped. Safe to run again: what is gone already is passed over.

    Aliases and stamp are read again directly before each drop. Raises Refused, with the remaining pairs untouched, when a pair
    has got an alias since the plan was made.
    """
    dropped = []
    for decision in plan.drop:
        name = decision.entry.pair.collection
        properties = store.properties(name)
        if properties is None:
            continue
        if aliases := [alias for alias, target in store.aliases().items() if target == name]:
            raise Refused(f"{name} has been given the alias {aliases[0]} since the plan was made; it stays.", hint="Plan again.")
        if Stamp.read(name, properties) is None:
            raise Refused(f"{name} is not stamped by the kit any more; it stays.")
        store.drop(name)
        dropped.append(decision)
    return dropped
