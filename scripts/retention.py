"""Which pairs stay, which leave memory and which go: a pure plan, then its application with a second look before every step.

What keeps production and the way back does not depend on any clock: aliases, the chain of what replaced what, and heartbeats. Clocks decide only
how long the others stay, and two machines' clocks may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from scripts import filling, footprint
from scripts.catalogue import Catalogue, Entry, Unreadable
from scripts.errors import ProductionMoved, Refused
from scripts.footprint import Footprint
from scripts.pair import Stamp, State
from scripts.ports import VectorStore
from scripts.predecessors import after, judged_at
from scripts.settings import Settings
from scripts.switch import Step

# However short keep_days is, what began so lately may still go on: jobs of a pipeline wait for each other, and nothing beats meanwhile.
MAY_GO_ON = timedelta(days=1)
# So much the clocks of two machines may differ; but what is to be kept for no time at all is not kept for their sake.
CLOCKS_DIFFER = timedelta(hours=1)
# Clients that follow the alias may for a while still ask the pair that they had.
CLIENTS_FOLLOW = timedelta(hours=1)


@dataclass(frozen=True)
class Policy:
    """The configuration, as far as it decides what stays."""

    keep_days: float = 7
    keep_previous: int = 1
    keep_loaded: int = 1
    approval_days: float = 14

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        kept = settings.retention
        return cls(kept.keep_days, kept.keep_previous, kept.keep_loaded, settings.promotion.approval_max_age_days)


@dataclass(frozen=True)
class Seen:
    """What the stamps do not say."""

    being_filled: frozenset[str] = frozenset()
    """Pairs at which somebody is at work, by their heartbeat."""
    silent: frozenset[str] = frozenset()
    """Heartbeats that were watched and have stopped."""
    loaded: frozenset[str] = frozenset()
    needed: Mapping[str, str] = field(default_factory=dict)
    """Pairs that something else uses, and what."""


class Fate(StrEnum):
    KEEP = "keep"
    RELEASE = "release"
    DROP = "drop"


@dataclass(frozen=True)
class Decision:
    entry: Entry
    fate: Fate
    why: str
    frees: Footprint | None = Footprint()
    """None where it is not known how many rows it has."""

    @property
    def step(self) -> Step:
        told = f"frees {self.frees}" if self.frees else "how much it frees is not known"
        return Step(f"{self.fate} {self.entry.pair}", f"{self.why}; {told}")


@dataclass(frozen=True)
class RetentionPlan:
    """`target` is where the plan saw the alias. Nobody acts on what is `untouched`, because its stamp cannot be read."""

    alias: str
    target: str | None
    decisions: tuple[Decision, ...]
    untouched: tuple[Unreadable, ...] = ()
    silent: frozenset[str] = frozenset()

    def to(self, fate: Fate) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if decision.fate is fate)

    @property
    def acts(self) -> tuple[Decision, ...]:
        """Drops first: they free the most."""
        return self.to(Fate.DROP) + self.to(Fate.RELEASE)

    def steps(self) -> tuple[Step, ...]:
        """What is done, in order. Each step is safe to do again."""
        return tuple(decision.step for decision in self.acts)

    @property
    def frees(self) -> Footprint:
        return Footprint.total(decision.frees for decision in self.acts if decision.frees)


def plan(catalogue: Catalogue, policy: Policy, *, now: datetime, seen: Seen | None = None) -> RetentionPlan:
    """Keeps production, every aliased pair, what is in use, the newest `keep_previous` sound predecessors and all that is younger than `keep_days`;
    of predecessors, only the newest `keep_loaded` stay in memory. The rest goes. Nothing goes while nobody knows what production is."""
    seen = seen or Seen()
    rules = _Rules(catalogue, policy, now, seen)
    return RetentionPlan(catalogue.alias, catalogue.target, tuple(map(rules.decide, catalogue.entries)), catalogue.unreadable, seen.silent)


def in_use(catalogue: Catalogue, entry: Entry, *, now: datetime, seen: Seen) -> str:
    """Why a pair can neither go nor leave memory, whoever wants it to; empty where it can."""
    return _Rules(catalogue, Policy(), now, seen).in_use(entry)


class _Rules:
    def __init__(self, catalogue: Catalogue, policy: Policy, now: datetime, seen: Seen) -> None:
        self._catalogue, self._policy, self._now, self._seen = catalogue, policy, now, seen
        self._standstill = _standstill(catalogue)
        self._places = after(catalogue, now)

    def decide(self, entry: Entry) -> Decision:
        if why := self.in_use(entry) or self._approval(entry.stamp):
            return Decision(entry, Fate.KEEP, why)
        size = footprint.of_stamp(entry.stamp)
        loaded = entry.pair.collection in self._seen.loaded
        if not (why := self._kept(entry)):
            frees = Footprint(size.memory if loaded else 0, size.disk) if size else None
            return Decision(entry, Fate.DROP, self._given_up(entry), frees)
        if loaded and self._is_spare(entry):
            why = f"{why}; retention.keep_loaded is {self._policy.keep_loaded}"
            return Decision(entry, Fate.RELEASE, why, Footprint(size.memory) if size else None)
        return Decision(entry, Fate.KEEP, why)

    def in_use(self, entry: Entry) -> str:
        name, stamp, production = entry.pair.collection, entry.stamp, self._catalogue.production
        if self._standstill:
            return self._standstill
        if entry.aliases:
            return f"{'aliases' if len(entry.aliases) > 1 else 'alias'} {', '.join(entry.aliases)} point{'' if len(entry.aliases) > 1 else 's'} to it"
        if self._was_left(entry):
            return f"its stamp calls it production, though {self._catalogue.alias} points to {self._catalogue.target}"
        if name in self._seen.needed:
            return self._seen.needed[name]
        if name in self._seen.being_filled:
            return "somebody is filling it"
        if production and production.stamp.unfinished and production.stamp.came_from == name:
            return f"the {production.stamp.unfinished} from it is not finished"
        if stamp.unfinished and stamp.begun_at and self._now - stamp.begun_at < MAY_GO_ON:
            return f"a {stamp.unfinished} to it is not finished"
        return ""

    def _approval(self, stamp: Stamp) -> str:
        """Whether somebody may still approve it. Evidence that it was promoted on is used up."""
        if stamp.state is not State.VALIDATED or stamp.rolled_back or not stamp.evidence:
            return ""
        judged, served = judged_at(stamp), max(filter(None, (stamp.promoted_at, stamp.retired_at)), default=None)
        if judged is None:
            return "" if served else "when it was validated cannot be read"
        if (served and judged <= served) or not self._is_younger(judged, self._policy.approval_days):
            return ""
        return f"it was validated {self._ago(judged)}, and may be approved until that is {self._policy.approval_days:g} days ago"

    def _kept(self, entry: Entry) -> str:
        """Why it does not go; empty where it does."""
        place, moment = self._places.get(entry.pair.collection), _last_act(entry)
        if place and place.number <= self._policy.keep_previous:
            return f"predecessor {place} of {self._policy.keep_previous} to keep for rollback"
        if entry.state in (State.BUILDING, State.BUILT) and not entry.stamp.verdict and self._now - moment < MAY_GO_ON:
            return "its build may still go on"
        if moment > self._now:
            return f"its stamp is from the future, {moment:%Y-%m-%d %H:%M} UTC: some machine's clock is wrong"
        return f"younger than {self._policy.keep_days:g} days" if self._is_younger(moment, self._policy.keep_days) else ""

    def _is_spare(self, entry: Entry) -> bool:
        place = self._places.get(entry.pair.collection)
        if not (place or entry.stamp.has_served) or (place and place.number <= self._policy.keep_loaded):
            return False
        return self._now - _last_act(entry) >= min(CLIENTS_FOLLOW, timedelta(days=self._policy.keep_days))

    def _given_up(self, entry: Entry) -> str:
        """Why it goes."""
        stamp, ago = entry.stamp, self._ago(_last_act(entry))
        if stamp.rolled_back:
            return f"taken out of production {ago}"
        if stamp.has_served:
            return f"retired {ago}, and not among the {self._policy.keep_previous} predecessors to keep"
        if stamp.state is State.BUILDING:
            return f"abandoned: its build began {ago}, and nobody is at work on it"
        if stamp.state is State.REJECTED:
            return f"rejected {ago}"
        if stamp.state is State.VALIDATED:
            return f"expired: validated {ago}, and nobody promoted it"
        return f"its last verdict, {stamp.verdict}, is of {ago}" if stamp.verdict else f"built {ago}, and never validated"

    def _was_left(self, entry: Entry) -> bool:
        """It is stamped as production, and whatever the alias points to now has not been since: the alias was moved by hand, or a promotion from it
        stopped right after the switch."""
        stamp, production = entry.stamp, self._catalogue.production
        if stamp.promoted_at is None or stamp.retired_at is not None:
            return False
        since = production.stamp.promoted_at if production else None
        return since is None or since <= stamp.promoted_at

    def _is_younger(self, moment: datetime, days: float) -> bool:
        limit = timedelta(days=days)
        return self._now - moment < limit + min(limit, CLOCKS_DIFFER)

    def _ago(self, moment: datetime) -> str:
        return f"{max(self._now - moment, timedelta()) / timedelta(days=1):.1f} days ago"


def _standstill(catalogue: Catalogue) -> str:
    """Why nobody can say which pairs are needed; empty where one can."""
    if lost := catalogue.lost_production():
        return f"{lost.why}, so nothing goes until it is known what production is"
    if any(broken.collection == catalogue.target for broken in catalogue.unreadable):
        return f"production {catalogue.target} cannot be read, so nobody knows what a rollback needs"
    return ""


def _last_act(entry: Entry) -> datetime:
    """When the pair was last built, filled, judged, promoted or retired."""
    stamp = entry.stamp
    filled = [content.read_at for content in stamp.shards.values() if content] if stamp.state is State.BUILDING else []
    return max(filter(None, (stamp.last_active, stamp.begun_at, judged_at(stamp), *filled)))


def apply(
    plan: RetentionPlan,
    store: VectorStore,
    *,
    check: Callable[[], None] = lambda: None,
    tell: Callable[[Step, str], None] = lambda step, remark: None,
) -> tuple[Decision, ...]:
    """Does what the plan says, step by step, and returns what was done. Safe to run again: what is gone already is passed over.

    Before each step `check` is called, and alias, aliases, stamp and heartbeats are read again; after it `tell`, with a remark. Raises
    Refused, with the remaining pairs untouched, when the world is not what the plan saw.
    """
    done = []
    for decision in plan.acts:
        check()
        remark = _carry_out(decision, plan, store)
        if not remark:
            done.append(decision)
        tell(decision.step, remark)
    return tuple(done)


def _carry_out(decision: Decision, plan: RetentionPlan, store: VectorStore) -> str:
    name = decision.entry.pair.collection
    properties = store.properties(name)
    if properties is None:
        return "is gone already"
    _refuse_changed(decision.entry, Stamp.read(name, properties))
    if filling.beats(properties) - plan.silent:
        raise Refused(f"Somebody has begun to fill {name} since the plan was made; it stays.", hint="Plan again.")
    collection = store.open(name) if decision.fate is Fate.RELEASE else None
    aliases = store.aliases()  # as late as can be
    if (found := aliases.get(plan.alias)) != plan.target:
        raise ProductionMoved(plan.alias, expected=plan.target, found=found)
    if given := [alias for alias, target in aliases.items() if target == name]:
        raise Refused(f"{name} has been given the alias {given[0]} since the plan was made; it stays.", hint="Plan again.")
    if collection:
        collection.release()
    else:
        store.drop(name)
    return ""


def _refuse_changed(entry: Entry, stamp: Stamp | None) -> None:
    if stamp is None:
        raise Refused(f"{entry.pair} is not stamped by the kit any more; it stays.")
    if moved := [name for name in type(stamp).model_fields if getattr(stamp, name) != getattr(entry.stamp, name)]:
        raise Refused(f"{entry.pair} has changed since the plan was made ({', '.join(moved)}); it stays.", hint="Plan again.")
