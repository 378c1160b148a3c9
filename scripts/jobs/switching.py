"""What promote and rollback have in common: the switch on Milvus first, then the registry, which may be down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts import switch
from scripts.errors import KitError
from scripts.ports import ModelVersion, Parts
from scripts.switch import SwitchPlan


@dataclass(frozen=True)
class Switched:
    """`left` says what is still to do, in words; empty when everything agrees. A dry run did nothing."""

    plan: SwitchPlan
    registry_step: str
    dry_run: bool
    left: str = ""
    exit_code: int = 0

    def lines(self) -> list[str]:
        steps = [*self.plan.steps(), self.registry_step]
        if self.dry_run:
            return ["The plan (nothing was changed):", *(f"  {number}. {step}" for number, step in enumerate(steps, start=1))]
        done = f"{self.plan.alias} now points to {self.plan.to.pair} ({self.plan.kind}"
        lines = [f"{done} from {self.plan.expected})." if self.plan.expected and not self.plan.switched_before else f"{done})."]
        return [*lines, f"LEFT TO DO: {self.left}" if self.left else f"Done: {self.registry_step}."]

    def facts(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "kind": plan.kind.value,
            "alias": plan.alias,
            "from": plan.expected,
            "to": plan.to.pair.collection,
            "model": plan.to.stamp.model.model_dump(),
            "steps": [*plan.steps(), self.registry_step],
            "dry_run": self.dry_run,
            "left": self.left,
        }


def carry_out(plan: SwitchPlan, parts: Parts, *, dry_run: bool) -> Switched:
    """Applies the plan, then moves the model version in the registry.

    The switch is the commit point. A registry that is down is opened only after it, does not undo it and is no failure: what is left
    is said, stamped on the pair, and done by running the same command again.
    """
    model, where = plan.to.stamp.model, parts.settings.model.production
    step = f"MLflow: make {model.name} version {model.version} the one at {where}"
    if dry_run:
        return Switched(plan, step, dry_run=True)
    switch.apply(plan, parts.store, now=parts.now())
    try:
        parts.registry.move(ModelVersion(model.name, model.version), where)
    except KitError as error:
        return Switched(plan, step, dry_run=False, left=f"{step}. {error} The switch stands; run the same command again to repair MLflow.")
    switch.finish(plan, parts.store)
    return Switched(plan, step, dry_run=False)
