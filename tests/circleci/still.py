"""Pipelines that merely exist: for tests of who starts, finds and approves them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass
class Job:
    name: str
    type: str = "build"
    status: str = "success"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    approval: str = ""


@dataclass
class Workflow:
    name: str = "release"
    status: str = "running"
    jobs: list[Job] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Pipeline:
    number: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    workflows: list[Workflow] = field(default_factory=list)


class Still:
    """A runner whose pipelines merely exist; a test says where they stand."""

    def __init__(self) -> None:
        self.pipelines: list[Pipeline] = []

    def start(self, parameters: Mapping[str, Any]) -> Pipeline:
        self.pipelines.append(Pipeline(len(self.pipelines) + 1))
        return self.pipelines[-1]

    def hold(self, pipeline: str = "", *, job: str = "hold", workflow: str = "release") -> Job:
        """An approval that waits, in a workflow of its own. A pipeline that was never started is one of before."""
        waiting = Job(job, "approval", "on_hold")
        waiting.approval = waiting.id
        found = self._pipeline(pipeline) or self.start({})
        found.id = pipeline or found.id
        found.workflows.insert(0, Workflow(workflow, "on_hold", [Job("validate"), waiting]))
        return waiting

    def workflows(self, pipeline: str) -> Sequence[Workflow]:
        if (found := self._pipeline(pipeline)) is None:
            raise LookupError(pipeline)
        return found.workflows

    def jobs(self, workflow: str) -> Sequence[Job]:
        return next((known.jobs for known in self._workflows() if known.id == workflow), None) or _unknown(workflow)

    def approve(self, approval: str) -> None:
        for workflow in self._workflows():
            for job in workflow.jobs:
                if job.approval == approval and job.status == "on_hold":
                    job.status, workflow.status = "success", "running"
                    return
        raise LookupError(approval)

    def _pipeline(self, pipeline: str) -> Pipeline | None:
        return next((known for known in self.pipelines if known.id == pipeline), None)

    def _workflows(self) -> list[Workflow]:
        return [workflow for pipeline in self.pipelines for workflow in pipeline.workflows]


def _unknown(name: str) -> Any:
    raise LookupError(name)
