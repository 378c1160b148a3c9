"""What a pipeline is to run: workflows, jobs and steps, with nothing left to fill in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TERMINAL = frozenset({"success", "failed", "canceled", "unauthorized", "not_run"})
"""Statuses after which nothing happens to a job any more."""


@dataclass(frozen=True)
class Step:
    """`kind` is `run`, `checkout`, `persist_to_workspace` and so on; `settings` is what stands below it."""

    kind: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.settings.get("name") or self.settings.get("command", self.kind).strip().splitlines()[0])


@dataclass(frozen=True)
class Requirement:
    job: str
    statuses: frozenset[str]


@dataclass(frozen=True)
class JobPlan:
    """`type` is `build` or `approval`, as CircleCI's API has it; an approval has no steps."""

    name: str
    type: str
    requires: tuple[Requirement, ...] = ()
    contexts: tuple[str, ...] = ()
    serial_group: str = ""
    group: str = ""
    """The job group that it stands in; with a serial group, all of it runs as one."""
    steps: tuple[Step, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    working_directory: str = "~/project"
    shell: str = "/bin/bash -eo pipefail"
    parallelism: int = 1


@dataclass(frozen=True)
class WorkflowPlan:
    name: str
    jobs: tuple[JobPlan, ...]
    max_auto_reruns: int = 0
