"""The alias switch, planned and then applied: promotion and rollback are the same act with different reasons to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from scripts.behind import Behind
from scripts.catalogue import Catalogue, Entry
from scripts.errors import ProductionMoved, Refused, UsageError
from scripts.ledger import Act, ActKind
from scripts.pair import Stamp, State
from scripts.ports import VectorStore
from scripts.settings import Settings

MAX_REASON_CHARS = 500


class Kind(StrEnum):
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Step:
    """One step of a plan, safe to do again."""

    name: str
    words: str

    def __str__(self) -> str:
        return f"{self.name}: {self.words}"


@dataclass(frozen=True)
class SwitchPlan:
    """Moves `alias` from `origin` to `to`. `expected` is where the plan saw the alias; it is refused if that is elsewhere by the time.

    `expected == to` means that the switch happened before and only what follows it is left.
    """

    kind: Kind
    alias: str
    expected: str | None
    origin: Entry | None
    to: Entry
    reason: str = ""
    behind: Behind = Behind()
    """What the source has and the pair does not, which is brought in first."""

    @property
    def switched_before(self) -> bool:
        return self.expected == self.to.pair.collection

    @property
    def is_settled(self) -> bool:
        """Whether the switch was made and seen to work before, so that at most the registry has to be told."""
        return self.switched_before and not self.to.stamp.unfinished and self.to.stamp.promoted_at is not None

    @property
    def was_begun(self) -> bool:
        """Whether the kit made this switch, or is about to. An alias that was moved by hand has no way back that anybody knows."""
        return not self.switched_before or bool(self.to.stamp.unfinished)

    def steps(self, settings: Settings) -> list[Step]:
        """What is done, in order. The list is the plan: what is printed is what is applied."""
        return [Step("lock", f"hold {self.alias} on Milvus, so that nobody else switches it or cleans up"), *self.inner_steps(settings), Step("unlock", "let go of it")]

    def inner_steps(self, settings: Settings) -> list[Step]:
        """Those that are done under the lock."""
        steps = [] if self.switched_before else [*self._preparations(settings), *self._switch()]
        if not self.is_settled:
            steps += self._proofs(settings)
        model, where = self.to.stamp.model, settings.model.production
        return [*steps, Step("registry", f"MLflow: make {model.name} version {model.version} the one at {where}, and write down what was done")]

    def _preparations(self, settings: Settings) -> Iterator[Step]:
        if self.kind is Kind.ROLLBACK:
            yield Step("load", f"load {self.to.pair}, if it is released")
            yield Step("check", f"{self.to.pair} has the rows that it is stamped with")
            return
        if self.behind.total or self.to.is_half_caught_up:
            yield Step("catch-up", f"bring {self.behind} of the source into {self.to.pair}")
        questions = "; load its model for the golden queries" if settings.promotion.verify else ""
        yield Step("check", f"the evidence on {self.to.pair} still holds: {self.to.stamp.evidence_digest[:12]}{questions}")

    def _switch(self) -> Iterator[Step]:
        to = self.to.pair
        yield Step("begin", f"stamp {to}: {self.kind} from {self.expected or 'nothing'} begun")
        verb = f"move alias {self.alias} from {self.expected} to {to}" if self.expected else f"create alias {self.alias} on {to}"
        yield Step("switch", f"{verb} (atomic; the old collection stays loaded)")

    def _proofs(self, settings: Settings) -> Iterator[Step]:
        to, policy = self.to.pair, settings.promotion
        yield Step("probe", f"ask {self.alias} until {to} answers again and again, for {policy.probe_seconds:g} seconds at most")
        if self.kind is Kind.PROMOTION and policy.verify and self.was_begun:
            yield Step("verify", f"ask the golden queries through {self.alias}; if they find less than the evidence says, go back to {self.came_from or 'nothing'}")
        retired = f", and {self.origin.pair} retired" if self.origin else ""
        yield Step("stamp", f"{to} in production{retired}; into the ledger")

    @property
    def came_from(self) -> str:
        return self.to.stamp.came_from if self.switched_before else self.expected or ""

    def act(self, now: datetime, url: str = "", outcome: str = "done") -> Act:
        """For the ledger. A plan that finishes what was begun gives the act that was begun."""
        stamp = self.to.stamp
        at = stamp.begun_at or now
        kind = ActKind(self.kind)
        return Act(
            kind=kind,
            id=Act.new_id(kind, at, self.to.pair.collection),
            at=at,
            by=stamp.begun_by,
            alias=self.alias,
            origin=stamp.came_from,
            to=self.to.pair.collection,
            why=stamp.reason,
            evidence=stamp.evidence_digest,
            url=url,
            outcome=outcome,
            details={"model": stamp.model.name, "model_version": str(stamp.model.version)},
        )

    def back(self, world: Catalogue, why: str) -> SwitchPlan:
        """From where this plan's switch went to where it came from, as the world is now."""
        name = self.to.pair.collection
        return SwitchPlan(Kind.ROLLBACK, self.alias, name, world.find(name), world.find(self.came_from), why)


def plan_promotion(catalogue: Catalogue, entry: Entry, reason: str = "") -> SwitchPlan:
    """A plan for a pair whose verdict is pass. Raises Refused otherwise. Its evidence is checked by `evidence.check_current`."""
    if entry.is_production:
        plan = _finish(catalogue, entry, Kind(entry.stamp.unfinished or entry.stamp.untold or Kind.PROMOTION))
        if not plan.was_begun and not plan.is_settled and entry.stamp.state is not State.VALIDATED:
            raise Refused(f"The alias was moved to {entry.pair} by hand, which is {entry.stamp.state}.", hint=f"`rollback --to PAIR` moves it. {catalogue.alternatives()}")
        return plan
    if (production := catalogue.production) and production.stamp.came_from == entry.pair.collection:
        if production.stamp.unfinished == Kind.ROLLBACK or (production.stamp.untold == Kind.ROLLBACK and entry.stamp.rolled_back):
            return _finish(catalogue, production, Kind.ROLLBACK)  # the pair failed after its switch, and the way back was interrupted
    if production and production.stamp.unfinished:
        what = production.stamp.unfinished
        raise Refused(f"The {what} to {production.pair} is not finished.", hint=f"Run the same {what} again; or, if it is no good, `rollback`.")
    catalogue.refuse_unreadable_production()
    if entry.stamp.rolled_back:
        raise Refused(f"{entry.pair} was taken out of production: {entry.stamp.retired_because}.", hint=f"Run `validate --pair {entry.pair}` to try it again.")
    if entry.stamp.state is State.REJECTED:
        raise Refused(f"{entry.pair} was rejected by its golden queries.", hint="Build another; or, if suite or source were at fault, validate it again.")
    if entry.stamp.state is not State.VALIDATED:
        verdict = f" (its last verdict is {entry.stamp.verdict})" if entry.stamp.verdict else ""
        raise Refused(f"{entry.pair} is {entry.stamp.state}, not validated{verdict}.", hint=f"Run `validate --pair {entry.pair}`.")
    return SwitchPlan(Kind.PROMOTION, catalogue.alias, catalogue.target, catalogue.production, entry, fit_reason(reason))


def plan_rollback(catalogue: Catalogue, *, to: str | None = None, reason: str = "", begun: bool = False) -> SwitchPlan:
    """A plan to the pair that production replaced, or to the one named. An unfinished rollback is finished before another begins; `begun` says that
    the one to what is production now is unfinished though its stamps do not show it."""
    production = catalogue.production
    if production and to in (None, production.pair.collection):
        if Kind.ROLLBACK in (production.stamp.unfinished, production.stamp.untold) or begun:
            return _finish(catalogue, production, Kind.ROLLBACK)
    if to is None:
        catalogue.refuse_unreadable_production()
    reason = fit_reason(reason)
    target = catalogue.find(to) if to is not None else catalogue.rollback_target()
    if target.is_production:
        raise Refused(f"{target.pair} is production already.", hint=catalogue.alternatives())
    if not target.can_serve:
        raise Refused(f"{target.pair} is {target.state}: it was never production nor validated.", hint=catalogue.alternatives())
    if not target.stamp.has_served:
        target.refuse_half_caught_up()  # nobody has seen what it holds; a pair that has served is still better than one that fails
    return SwitchPlan(Kind.ROLLBACK, catalogue.alias, catalogue.target, production, target, reason)


def fit_reason(reason: str) -> str:
    """Raises UsageError where it is not one printable line."""
    if len(reason) > MAX_REASON_CHARS or not reason.isprintable():
        raise UsageError(f"--reason takes one line of at most {MAX_REASON_CHARS} printable characters.")
    return reason


def _finish(catalogue: Catalogue, production: Entry, kind: Kind) -> SwitchPlan:
    origin = next((e for e in catalogue.entries if e.pair.collection == production.stamp.came_from and not e.is_production), None)
    return SwitchPlan(kind, catalogue.alias, catalogue.target, origin, production, production.stamp.reason)


def refuse_if_moved(plan: SwitchPlan, world: Catalogue) -> None:
    """Raises ProductionMoved where the alias is not where the plan saw it, Refused where a pair is not as the plan saw it."""
    if world.target != plan.expected:
        raise ProductionMoved(plan.alias, expected=plan.expected, found=world.target)
    for entry in filter(None, (plan.to, plan.origin)):
        _refuse_changed(entry, world.find(entry.pair.collection).stamp)


def _refuse_changed(entry: Entry, now: Stamp | None) -> None:
    moved = [name for name in Stamp.model_fields if getattr(now, name) != getattr(entry.stamp, name)] if now else ["it has no stamp any more"]
    if moved:
        raise Refused(f"{entry.pair} has changed since the plan was made ({', '.join(moved)}).", hint="Look at `status`, then plan again.")


def begin(plan: SwitchPlan, store: VectorStore, *, now: datetime, by: str = "") -> SwitchPlan:
    """Stamps what is about to be done, so that whoever finds it half done can finish it. Gives the plan with the pair as it is stamped now.

    Raises ProductionMoved, with nothing changed, when the alias is not where the plan saw it.
    """
    _refuse_moved_alias(plan, store)
    _refuse_changed(plan.to, Stamp.read(plan.to.pair.collection, store.properties(plan.to.pair.collection) or {}))
    begun = {"unfinished": plan.kind.value, "untold": "", "came_from": plan.expected or "", "reason": plan.reason, "begun_at": now, "begun_by": by}
    if plan.kind is Kind.PROMOTION or not plan.to.stamp.has_served:
        begun["replaces"] = plan.expected or ""
    _stamp(store, plan.to, **begun)
    return replace(plan, to=replace(plan.to, stamp=plan.to.stamp.changed(**begun)))


def move(plan: SwitchPlan, store: VectorStore, check: Callable[[], None] = lambda: None) -> None:
    """Moves the alias: the commit point. Raises ProductionMoved, with nothing changed, when the alias is not where the plan saw it; Refused
    when the collection is not loaded, and what `check` raises, which is asked each time that the move is sent."""
    name = plan.to.pair.collection
    # Searches through an alias to a released collection fail, and the alias moves there without a word (2.3.5).
    if not store.open(name).is_loaded():
        raise Refused(f"{name} is not loaded, so queries would fail after the switch.", hint=f"Run `finish --pair {name}` and try again.")
    _refuse_moved_alias(plan, store)  # as late as can be: Milvus moves aliases without asking where they were
    store.point(plan.alias, name, check)
    if (answer := store.target(plan.alias)) != name:
        raise ProductionMoved(plan.alias, expected=name, found=answer)


def _refuse_moved_alias(plan: SwitchPlan, store: VectorStore) -> None:
    if (found := store.target(plan.alias)) != plan.expected:
        raise ProductionMoved(plan.alias, expected=plan.expected, found=found)


def settle(plan: SwitchPlan, store: VectorStore, *, now: datetime) -> None:
    """Stamps the pair as production and the other one as retired; of this switch, whatever they are stamped with from earlier ones. What is left is
    to tell the registry."""

    def done(moment: datetime | None) -> bool:
        begun = plan.to.stamp.begun_at
        return plan.switched_before and moment is not None and (begun is None or moment >= begun)

    stamp = plan.to.stamp
    promoted_at = stamp.promoted_at if done(stamp.promoted_at) else now
    if plan.origin and not done(plan.origin.stamp.retired_at):
        because = f"{plan.kind} to {plan.to.pair}{': ' if plan.reason else ''}{plan.reason}"
        _stamp(store, plan.origin, retired_at=now, retired_because=because, rolled_back=plan.kind is Kind.ROLLBACK, unfinished="", untold="")
    _stamp(store, plan.to, promoted_at=promoted_at, retired_at=None, retired_because="", rolled_back=False, unfinished="", untold=plan.kind.value)


def finish(plan: SwitchPlan, store: VectorStore) -> None:
    """The last word, said when the registry agrees as well: nothing is left to do."""
    _stamp(store, plan.to, untold="")


def withdraw(plan: SwitchPlan, store: VectorStore, why: str, check: Callable[[], None] = lambda: None) -> None:
    """The way back of a promotion that replaced no pair: the alias is again where it was, at a foreign collection or nowhere. Safe to run again.
    `check` as of `move`."""
    if plan.came_from:
        store.point(plan.alias, plan.came_from, check)
    else:
        store.withdraw(plan.alias, check)
    _stamp(store, plan.to, state=State.REJECTED, verdict="", rolled_back=True, retired_because=why, unfinished="")


def _stamp(store: VectorStore, entry: Entry, **values: object) -> None:
    store.set_properties(entry.pair.collection, entry.stamp.changes(**values))
