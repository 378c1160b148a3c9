"""What promote and rollback have in common: one plan, applied step by step under the service's lock, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts import catalogue, probe, run_log_acts, switch
from scripts.catalogue import Catalogue
from scripts.errors import AnswerIsNo, Inconclusive, KitError, ProductionMoved, UsageError
from scripts.jobs.acts import NOT_FINISHED, locked, tell_runs
from scripts.ledger import Act
from scripts.lock import Lock
from scripts.ports import ModelVersion, Parts
from scripts.switch import Kind, Step, SwitchPlan

ROLLED_BACK = "rolled back: "
"""Begins the outcome of a promotion that did not do in production what it should, and why."""

Told = Callable[[Step, str], None]
"""Told of each step when it is done, with a remark."""


class NotAsPromised(AnswerIsNo):
    """Production does not answer as the promoted pair should."""


@dataclass(frozen=True)
class Switched:
    """`left` says what is still to do, in words; empty when everything agrees. A dry run did nothing. `failure` says why a promotion was taken back."""

    plan: SwitchPlan
    steps: tuple[Step, ...]
    dry_run: bool = False
    left: str = ""
    note: str = ""
    failure: str = ""

    @property
    def exit_code(self) -> int:
        return AnswerIsNo.exit_code if self.failure else 0

    def lines(self) -> list[str]:
        if self.dry_run:
            return ["The plan (nothing was changed):", *(f"  {number}. {step}" for number, step in enumerate(self.steps, start=1))]
        plan = self.plan
        if self.failure:
            where = f"back at {plan.came_from}" if plan.came_from else "gone again, for it replaced nothing"
            lines = [f"{plan.to.pair} was rolled back: {self.failure}", f"{plan.alias} is {where}."]
        elif plan.is_settled:
            further = " An earlier rollback has gone there already; `rollback --to PAIR` goes further back." if plan.kind is Kind.ROLLBACK else ""
            lines = [f"{plan.alias} points to {plan.to.pair}, as before.{further}"]
        elif plan.expected and not plan.switched_before:
            lines = [f"{plan.alias} now points to {plan.to.pair} ({plan.kind} from {plan.expected})."]
        else:
            lines = [f"{plan.alias} now points to {plan.to.pair} ({plan.kind})."]
        return [*lines, f"LEFT TO DO: {self.left}" if self.left else self.note or "Done. MLflow agrees."]

    def facts(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "kind": plan.kind.value,
            "alias": plan.alias,
            "from": plan.expected,
            "to": plan.to.pair.collection,
            "model": plan.to.stamp.model.model_dump(),
            "steps": [str(step) for step in self.steps],
            "dry_run": self.dry_run,
            "left": self.left,
            "note": self.note,
            "failure": self.failure,
        }


def planned(plan: SwitchPlan, parts: Parts) -> Switched:
    """A dry run: the plan that would be applied."""
    return Switched(plan, tuple(plan.steps(parts.settings)), dry_run=True)


class Switching:
    """Applies a plan. Each step is a method of the step's name. A subclass has what only its kind of switch does."""

    def __init__(self, plan: SwitchPlan, parts: Parts, tell: Told) -> None:
        self.plan = plan
        self.parts = parts
        self._tell = tell
        self._open = ExitStack()
        self._lock: Lock | None = None
        self._probe: probe.Probe | None = None
        self._left = self._note = ""

    def carry_out(self) -> Switched:
        """The switch is the commit point. What fails before it changes nothing; what is left after it is done by the same command."""
        steps = tuple(self.plan.steps(self.parts.settings))
        with self._open:
            try:
                self._do(steps)
            except NotAsPromised as failure:
                return self._go_back(steps, failure.what)
        return Switched(self.plan, steps, left=self._left, note=self._note)

    def _do(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if self._lock and step.name != "unlock":
                self._lock.check()
            remark = getattr(self, step.name.replace("-", "_"))()
            self._tell(step, remark or "")

    def lock(self) -> str | None:
        """Whatever moved between plan and lock makes the plan stale."""
        plan = self.plan
        self._lock = self._open.enter_context(locked(self.parts, f"{plan.kind} {'of' if plan.kind is Kind.PROMOTION else 'to'} {plan.to.pair}"))
        switch.refuse_if_moved(plan, self._world())
        return None

    def unlock(self) -> str | None:
        self._open.close()
        return None

    def begin(self) -> str | None:
        self._probe = probe.prepared(self.parts.store, self.plan.to)
        self.plan = switch.begin(self.plan, self.parts.store, now=self._begun_at(), by=self.parts.settings.environment.actor)
        self._record(NOT_FINISHED)
        return None

    def switch(self) -> str | None:
        switch.move(self.plan, self.parts.store, self._lock.check)
        return None

    def probe(self) -> str | None:
        plan, seconds = self.plan, self.parts.settings.promotion.probe_seconds
        asked = self._probe or probe.prepared(self.parts.store, plan.to)
        if not asked.answered(self.parts.store, plan.alias, seconds):
            why = f"{plan.alias} was moved to {plan.to.pair}, but does not answer with it after {seconds:g} seconds"
            if plan.kind is Kind.PROMOTION and plan.was_begun:
                raise NotAsPromised(f"{why}.")
            raise Inconclusive(f"{why}.", hint="Run the same command again; some of the server's proxies may not know yet.")
        return None

    def stamp(self) -> str | None:
        self._record()
        switch.settle(self.plan, self.parts.store, now=self.parts.now())
        return None

    def registry(self) -> str | None:
        """MLflow has the story, Milvus the truth: a switch stands whether or not MLflow hears of it, and what it did not hear is told it later."""
        plan, parts = self.plan, self.parts
        model = plan.to.stamp.model
        version = ModelVersion(model.name, model.version)
        try:
            try:
                parts.registry.move(version, parts.settings.model.production)
                parts.registry.tag(version, run_log_acts.tags_of(plan.to.pair.collection, plan.to.stamp))
            except UsageError as error:  # it is not there, and will not be: nothing is left to do about it
                self._note = f"Done, but MLflow was not told: {error}"
            tell_runs(parts, self._lock)
        except KitError as error:
            again = "Run the same command again." if plan.kind is Kind.PROMOTION else "Run the same command again; `rollback --to PAIR` goes further back."
            self._left = f"{_words(plan, parts)}. {error} The switch stands. {again}"
            return "not done"
        switch.finish(plan, parts.store)
        return None

    def _begun_at(self) -> datetime:
        """When the very same act began before, and was killed before its switch: then this one goes on with it."""
        last = self._last()
        return last.at if last and last.outcome == NOT_FINISHED else self.parts.now()

    def _last(self) -> Act | None:
        """The last act on this service, where it is the very same as this one."""
        plan, acts = self.plan, self._lock.acts()
        same = acts and (acts[-1].kind, acts[-1].origin, acts[-1].to) == (plan.kind, plan.expected or "", plan.to.pair.collection)
        return acts[-1] if same else None

    def _record(self, outcome: str = "done") -> None:
        act = self._act(outcome)
        if not any((known.id, known.outcome) == (act.id, act.outcome) for known in self._lock.acts()):
            self._lock.record(act)

    def _act(self, outcome: str = "done") -> Act:
        environment = self.parts.settings.environment
        act = self.plan.act(self.parts.now(), environment.build_url, outcome)
        return act.model_copy(update={"details": act.details | {"pipeline": environment.build_id}}) if environment.build_id else act

    def _go_back(self, steps: tuple[Step, ...], why: str) -> Switched:
        """The promotion failed after its switch: both it and the way back are recorded. What is left of that, if this is interrupted, the same
        command does."""
        self._lock.check()
        forth, world = self.plan, self._world()
        if world.target != forth.to.pair.collection:  # somebody has moved it already: it is theirs
            raise ProductionMoved(forth.alias, expected=forth.to.pair.collection, found=world.target)
        self._record(f"{ROLLED_BACK}{why}")
        if any(entry.pair.collection == forth.came_from for entry in world.entries):
            self.plan = forth.back(world, f"automatic: {why}"[: switch.MAX_REASON_CHARS])
            self._probe = None
            self._do([step for step in self.plan.inner_steps(self.parts.settings) if step.name not in ("load", "check")])
        else:
            switch.withdraw(forth, self.parts.store, why, self._lock.check)
        self.unlock()
        return Switched(forth, steps, left=self._left, note=self._note, failure=why)

    def _world(self) -> Catalogue:
        return catalogue.read(self.parts.store, self.parts.settings)


def _words(plan: SwitchPlan, parts: Parts) -> str:
    return next(step.words for step in plan.inner_steps(parts.settings) if step.name == "registry")
