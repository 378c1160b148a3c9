"""Pipelines: what the core asks of the CI system that runs the kit's jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

Parameters = Mapping[str, str | int | bool]
"""Pipeline parameters, by name; each declared in `.circleci/config.yml`."""


@dataclass(frozen=True)
class Pipeline:
    """One that was started. `number` counts within the project; `url` is the page that shows it to a person."""

    id: str
    number: int
    url: str


@dataclass(frozen=True)
class Waiting:
    """An approval that somebody has yet to give, in a workflow of `pipeline`."""

    pipeline: str
    workflow: str
    workflow_name: str
    job: str
    approval: str
    """The id of the approval, which is what is approved."""
    url: str


class Pipelines(Protocol):
    """The CI system. Each call ends within a minute.

    Raises Unreachable where it does not answer, is out of order or does not let us in; Refused where it understood and said no, a pipeline that was
    skipped among them; UsageError where the project or its definition does not exist.
    """

    def start(self, parameters: Parameters) -> Pipeline: ...

    def waiting(self, pipeline: str) -> tuple[Waiting, ...]:
        """What waits for approval in this pipeline; empty where the CI system does not know the pipeline."""
        ...

    def approve(self, waiting: Waiting) -> None: ...
