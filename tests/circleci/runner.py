"""Runs `.circleci/config.yml` on this machine: pipelines, workflows, jobs, and what a person does to them.

    with Runner(repository, tmp_path, contexts={"build": Context({"MILVUS_URI": …})}) as runner:
        pipeline = runner.start({"action": "release", "service": "shop"})
        release = pipeline.workflow("release")
        release.wait()                                   # until it ends or waits for a person
        runner.approve(release.job("hold").approval)     # or release.job("hold").cancel(), release.cancel()
        release.wait(); release.statuses(); release.job("validate").artifacts, .test_results, .log()

Real are the configuration, the checkouts, shells, files and processes. Not real: images (every job has this machine's programs), the people and their
rights, uploads, and time (a workspace expires when the test says so).
"""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml

from tests.circleci.caches import Caches
from tests.circleci.config_model import Config
from tests.circleci.job import RunJob
from tests.circleci.serial import SerialGroups
from tests.circleci.values import ConfigFault
from tests.circleci.workflow import RunWorkflow

CONFIG = ".circleci/config.yml"
INSTALLED = "kit-"
"""Caches whose key begins so hold the kit's dependencies in .venv: here a link to those that run the tests, so that nothing is installed."""


@dataclass
class Context:
    """Variables that only jobs see that name it. With `allowed`, only these people's pipelines may use it."""

    environment: Mapping[str, str] = field(default_factory=dict)
    allowed: frozenset[str] | None = None


@dataclass(frozen=True)
class Crash:
    """Container `node` of this job is killed when a line of its output matches, or as soon as this file is in its working directory."""

    job: str
    node: int = 0
    line: str = ""
    file: str = ""

    def due(self, lines: list[str], folder: Path) -> bool:
        return any(self.line and re.search(self.line, line) for line in lines) or bool(self.file and (folder / self.file).exists())


class RunPipeline:
    """`state` is `created`, or `errored` with the `errors` that CircleCI would show. `workflows` are in the order in which they began."""

    def __init__(self, runner: Runner, number: int, parameters: Mapping[str, Any], **values: str) -> None:
        self.id = str(uuid.uuid4())
        self.number = number
        self.runner = runner
        self.parameters = dict(parameters)
        self.branch, self.actor = values["branch"], values["actor"]
        self.source, self.schedule = values["source"], values["schedule"]
        self.revision = _git(runner.repository, "rev-parse", self.branch)
        self.created_at = datetime.now(UTC)
        self.state = "created"
        self.errors: list[str] = []
        self.workflows: list[RunWorkflow] = []
        self.workspace_expired = False
        """Set it, and nothing can be attached any more, as 15 days later."""

    def workflow(self, name: str) -> RunWorkflow:
        """The latest of this name, so after a rerun the rerun. Raises LookupError with the pipeline's errors."""
        found = next((workflow for workflow in reversed(self.workflows) if workflow.name == name), None)
        if found is None:
            raise LookupError(f"no workflow {name}: {[known.name for known in self.workflows]} {self.errors}")
        return found

    def begin(self) -> None:
        """Reads the configuration of its revision and begins what that selects."""
        try:
            config = Config(yaml.safe_load(_git(self.runner.repository, "show", f"{self.revision}:{CONFIG}")))
            plans = config.workflows(self.parameters, self._values())
        except ConfigFault as fault:
            self.state, self.errors = "errored", [str(fault)]
            return
        with self.runner.changed:
            self.workflows = [RunWorkflow(self, plan) for plan in plans]
            for workflow in list(self.workflows):
                workflow.advance()

    def rerun_from_failed(self, workflow: RunWorkflow, *, auto_reruns_left: int = 0) -> RunWorkflow:
        with self.runner.changed:
            again = RunWorkflow(self, workflow.plan, rerun_of=workflow)
            again.auto_reruns_left = auto_reruns_left
            self.workflows.append(again)
            again.advance()
        return again

    def wait(self, timeout: float = 240) -> dict[str, str]:
        """The statuses in which its workflows end or wait for a person."""
        for workflow in self.workflows:
            workflow.wait(timeout)
        return {workflow.name: workflow.status for workflow in self.workflows}

    def _values(self) -> dict[str, Any]:
        """What a configuration may ask by `<< pipeline.… >>` for. An empty one is None, as CircleCI has it."""
        return {
            "pipeline.id": self.id,
            "pipeline.number": self.number,
            "pipeline.project.git_url": str(self.runner.repository),
            "pipeline.project.slug": self.runner.slug,
            "pipeline.project.type": self.runner.slug.split("/")[0],
            "pipeline.git.branch": self.branch,
            "pipeline.git.branch.is_default": self.branch == "main",
            "pipeline.git.revision": self.revision,
            "pipeline.git.base_revision": None,
            "pipeline.git.tag": None,
            "pipeline.in_setup": False,
            "pipeline.trigger_source": self.source,
            "pipeline.trigger.type": self.source,
            "pipeline.schedule.name": self.schedule or None,
            "pipeline.schedule.id": str(uuid.uuid5(uuid.NAMESPACE_URL, self.schedule)) if self.schedule else None,
        }


class Runner:
    """One project at CircleCI. Every call returns at once; what runs, runs beside it, and ends with the `with` block.

    `repository` is a git repository with a branch `main`; `folder` has room for everything that runs.
    """

    def __init__(self, repository: Path, folder: Path, contexts: Mapping[str, Context] | None = None, slug: str = "gh/acme/promotion") -> None:
        self.repository, self.folder, self.slug = repository, folder, slug
        self.contexts = dict(contexts or {})
        self.caches = Caches(folder / "caches")
        self.caches.seed(INSTALLED, ".venv", Path(sys.prefix))
        self.environment = Path(sys.prefix)
        """What every checkout with a requirements.txt has as .venv from the beginning, complete, so that nothing is installed."""
        self.serial = SerialGroups()
        self.crashes: list[Crash] = []
        self.changed = threading.Condition(threading.RLock())
        self.threads: list[threading.Thread] = []
        self.pipelines: list[RunPipeline] = []
        self._job_numbers = itertools.count(1)

    def start(
        self, parameters: Mapping[str, Any], *, source: str = "api", schedule: str = "", branch: str = "main", actor: str = "robin"
    ) -> RunPipeline:
        """`source` is CircleCI's `pipeline.trigger_source`: api, webhook (a push), scheduled_pipeline."""
        with self.changed:
            values = {"source": source, "schedule": schedule, "branch": branch, "actor": actor}
            pipeline = RunPipeline(self, len(self.pipelines) + 1, parameters, **values)
            self.pipelines.append(pipeline)
        pipeline.begin()
        return pipeline

    def pipeline(self, id: str) -> RunPipeline:
        """Raises LookupError, as the next three do."""
        return _found(id, self.pipelines)

    def workflows(self, pipeline: str) -> list[RunWorkflow]:
        """Of this pipeline, the newest first, as the API lists them."""
        return self.pipeline(pipeline).workflows[::-1]

    def jobs(self, workflow: str) -> list[RunJob]:
        return _found(workflow, self._workflows()).jobs

    def approve(self, approval: str) -> None:
        """Says yes to the job that waits under this id."""
        waiting = next((workflow for workflow in self._workflows() for job in workflow.jobs if approval and job.approval == approval), None)
        if waiting is None:
            raise LookupError(approval)
        waiting.approve(approval)

    def lets(self, job: RunJob, context: str) -> bool:
        """Whether this job may use this context, which must exist."""
        known = self.contexts.get(context)
        return known is not None and (known.allowed is None or job.workflow.pipeline.actor in known.allowed)

    def next_job_number(self) -> int:
        return next(self._job_numbers)

    def wait_for(self, condition: Callable[[], bool], timeout: float, described: Callable[[], str]) -> None:
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise TimeoutError(described())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what still runs."""
        for workflow in self._workflows():
            if not workflow.ended:
                workflow.cancel()
        for thread in self.threads:
            thread.join()

    def _workflows(self) -> list[RunWorkflow]:
        with self.changed:
            return [workflow for pipeline in self.pipelines for workflow in pipeline.workflows]


def _found(id: str, among: list[Any]) -> Any:
    for known in list(among):
        if known.id == id:
            return known
    raise LookupError(id)


def _git(repository: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(repository), *words], check=True, capture_output=True, text=True).stdout.strip()
