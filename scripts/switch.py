"""The alias switch, planned and then applied: promotion and rollback are the same act with different reasons to refuse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scripts.catalogue import Catalogue, Entry
from scripts.errors import ProductionMoved, Refused, UsageError
from scripts.pair import State
from scripts.ports import VectorStore

MAX_REASON_CHARS = 500


class Kind(StrEnum):
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class SwitchPlan:
    """Moves `alias` from `origin` to `to`. `expected` is where the plan saw the alias; apply refuses if it is elsewhere.

    `expected == to` means that the switch happened before and only what follows it is left.
    """

    kind: Kind
    alias: str
    expected: str | None
    origin: Entry | None
    to: Entry
    reason: str = ""

    @property
    def switched_before(self) -> bool:
        return self.expected == self.to.pair.collection

    def steps(self) -> list[str]:
        to = self.to.pair
        steps = []
        if self.switched_before:
            steps.append(f"alias {self.alias} already points to {to}: finish the {self.kind}")
        else:
            steps.append(f"stamp {to}: {self.kind} from {self.expected or 'nothing'} begun")
            verb = f"move alias {self.alias} from {self.expected} to {to}" if self.expected else f"create alias {self.alias} on {to}"
            steps.append(f"{verb} (atomic; the old collection stays loaded)")
        if self.origin:
            steps.append(f"stamp {self.origin.pair}: retired")
        return steps


def plan_promotion(catalogue: Catalogue, entry: Entry) -> SwitchPlan:
    """A plan for a pair whose verdict is pass. Raises Refused otherwise. Its evidence is checked by `evidence.check_current`."""
    if entry.is_production:
        return _finish(catalogue, entry, Kind.PROMOTION)
    catalogue.refuse_unreadable_production()
    if entry.stamp.rolled_back:
        raise Refused(f"{entry.pair} was taken out of production: {entry.stamp.retired_because}.", hint=f"Run `validate --pair {entry.pair}` to try it again.")
    if entry.stamp.state is State.REJECTED:
        raise Refused(f"{entry.pair} was rejected by its golden queries.", hint="Build another; or, if suite or source were at fault, validate it again.")
    if entry.stamp.state is not State.VALIDATED:
        verdict = f" (its last verdict is {entry.stamp.verdict})" if entry.stamp.verdict else ""
        raise Refused(f"{entry.pair} is {entry.stamp.state}, not validated{verdict}.", hint=f"Run `validate --pair {entry.pair}`.")
    return SwitchPlan(Kind.PROMOTION, catalogue.alias, catalogue.target, catalogue.production, entry)


def plan_rollback(catalogue: Catalogue, *, to: str | None, reason: str) -> SwitchPlan:
    """A plan to the pair that production replaced, or to the one named. An unfinished rollback is finished before another begins."""
    production = catalogue.production
    if production and to in (None, production.pair.collection) and production.stamp.unfinished == Kind.ROLLBACK:
        return _finish(catalogue, production, Kind.ROLLBACK)
    catalogue.refuse_unreadable_production()
    if len(reason) > MAX_REASON_CHARS or not reason.isprintable():
        raise UsageError(f"--reason takes one line of at most {MAX_REASON_CHARS} printable characters.")
    target = catalogue.find(to) if to is not None else catalogue.rollback_target()
    if target.is_production:
        raise Refused(f"{target.pair} is production already.", hint=catalogue.alternatives())
    if not target.can_serve:
        raise Refused(f"{target.pair} is {target.state}: it was never production nor validated.", hint=catalogue.alternatives())
    if not target.stamp.has_served:
        target.refuse_half_caught_up()  # nobody has seen what it holds; a pair that has served is still better than one that fails
    return SwitchPlan(Kind.ROLLBACK, catalogue.alias, catalogue.target, production, target, reason)


def _finish(catalogue: Catalogue, production: Entry, kind: Kind) -> SwitchPlan:
    origin = next((e for e in catalogue.entries if e.pair.collection == production.stamp.came_from and not e.is_production), None)
    return SwitchPlan(kind, catalogue.alias, catalogue.target, origin, production, production.stamp.reason)


def apply(plan: SwitchPlan, store: VectorStore, *, now: datetime) -> None:
    """Does what the plan says. Safe to run again after a crash at any point; moving the alias is the commit point.

    Raises ProductionMoved, with nothing changed, when the alias is not where the plan saw it; Refused when the collection is not loaded.
    """
    name = plan.to.pair.collection
    _refuse_if_moved(plan, store)
    if not plan.switched_before:
        # Searches through an alias to a released collection fail, and the alias moves there without a word (2.3.5).
        if not store.open(name).is_loaded():
            raise Refused(f"{name} is not loaded, so queries would fail after the switch.", hint=f"Run `finish --pair {name}` and try again.")
        begun = {"unfinished": plan.kind.value, "came_from": plan.expected or "", "reason": plan.reason}
        if plan.kind is Kind.PROMOTION:
            begun["replaces"] = plan.expected or ""
        _stamp(store, plan.to, **begun)
        _refuse_if_moved(plan, store)  # as late as can be: Milvus moves aliases without asking where they were
        store.point(plan.alias, name)
        if (answer := store.target(plan.alias)) != name:
            raise ProductionMoved(plan.alias, expected=name, found=answer)
    promoted_at = plan.to.stamp.promoted_at if plan.switched_before and plan.to.stamp.promoted_at else now
    _stamp(store, plan.to, promoted_at=promoted_at, retired_at=None, retired_because="", rolled_back=False)
    if plan.origin and not (plan.switched_before and plan.origin.stamp.retired_at):
        because = f"{plan.kind} to {name}{': ' if plan.reason else ''}{plan.reason}"
        _stamp(store, plan.origin, retired_at=now, retired_because=because, rolled_back=plan.kind is Kind.ROLLBACK)


def _refuse_if_moved(plan: SwitchPlan, store: VectorStore) -> None:
    if (found := store.target(plan.alias)) != plan.expected:
        raise ProductionMoved(plan.alias, expected=plan.expected, found=found)


def finish(plan: SwitchPlan, store: VectorStore) -> None:
    """The last word, said when the registry agrees as well: nothing is left to do."""
    _stamp(store, plan.to, unfinished="")


def _stamp(store: VectorStore, entry: Entry, **values: object) -> None:
    store.set_properties(entry.pair.collection, entry.stamp.changes(**values))
