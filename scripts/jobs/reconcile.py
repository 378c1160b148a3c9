"""`reconcile`: start the pipeline of a candidate that nobody was told of. OSS MLflow sends no event for a stage transition, and webhooks get lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts.jobs.trigger import Triggered, trigger
from scripts.ports import Parts


@dataclass(frozen=True)
class Reconciled:
    """`found` is None where there is no candidate."""

    service: str
    where: str
    found: Triggered | None
    exit_code: int = 0

    def lines(self) -> list[str]:
        return self.found.lines() if self.found else [f"{self.service}: no version is at {self.where}."]

    def facts(self) -> dict[str, Any]:
        return self.found.facts() if self.found else {"service": self.service, "outcome": "no_candidate"}


def reconcile(parts: Parts) -> Reconciled:
    """Safe to repeat, also beside receivers: a candidate with neither pair nor pipeline gets one. Raises as `trigger`."""
    model = parts.settings.model
    version = parts.registry.at(model.name, model.candidate)
    found = trigger(parts, version, why=f"found at {model.candidate} by reconcile") if version else None
    return Reconciled(parts.settings.service, model.candidate, found)
