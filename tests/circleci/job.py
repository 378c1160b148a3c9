"""One job: its containers, and what became of its steps."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.circleci import caches, workspace
from tests.circleci.container import Container, Lost
from tests.circleci.plan import TERMINAL, JobPlan, Step
from tests.circleci.values import ConfigFault, in_environment
from tests.circleci.workspace import StepFailed

if TYPE_CHECKING:
    from tests.circleci.workflow import RunWorkflow

# Uploads happen whatever came before, or no failed test would ever be seen.
_ALWAYS = {"store_artifacts", "store_test_results"}


@dataclass
class StepRun:
    """`code` is None while it runs; a step that was skipped is not in the list at all."""

    name: str
    node: int
    code: int | None = None
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)


class RunJob:
    """`status` is one of CircleCI's: blocked, queued, running, on_hold, success, failed, canceled, unauthorized, not_run.

    `artifacts` and `test_results` are files by the name that CircleCI would show, of all containers together.
    """

    def __init__(self, plan: JobPlan, workflow: RunWorkflow) -> None:
        self.id = str(uuid.uuid4())
        self.plan = plan
        self.workflow = workflow
        self.number = workflow.pipeline.runner.next_job_number()
        self.status = "blocked"
        self.steps: list[StepRun] = []
        self.approved_by = ""
        self.folder = workflow.pipeline.runner.folder / "jobs" / self.id
        self.canceled = False
        self._containers: list[Container] = []

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def type(self) -> str:
        return self.plan.type

    @property
    def approval(self) -> str:
        """The id to approve by; empty unless it waits."""
        return self.id if self.type == "approval" and self.status == "on_hold" else ""

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL

    @property
    def artifacts(self) -> dict[str, Path]:
        return _files(self.folder / "artifacts")

    @property
    def test_results(self) -> dict[str, Path]:
        return _files(self.folder / "test_results")

    @property
    def layer(self) -> Path:
        """What it persisted; a folder per container."""
        return self.folder / "workspace"

    @property
    def environments(self) -> list[dict[str, str]]:
        """What each container's steps find in their environment."""
        return [container.environment for container in self._containers]

    def log(self, node: int | None = None) -> str:
        """All output, or that of one container."""
        steps = [step for step in list(self.steps) if node in (None, step.node)]
        return "".join(f"{line}\n" for step in steps for line in [f"== {step.name}", *step.lines])

    def cancel(self) -> None:
        """Ends it if it runs, refuses it if it waits for approval."""
        with self.workflow.pipeline.runner.changed:
            self.canceled = True
            for container in self._containers:
                container.kill()
            if self.status in ("on_hold", "queued", "blocked"):
                self.status = "canceled" if self.status != "blocked" else "not_run"
                self.workflow.advance()

    def run(self) -> str:
        """Runs every step in every container, and gives the status in which it ends."""
        codes: list[bool] = [False] * self.plan.parallelism

        def node(index: int) -> None:
            codes[index] = _Node(self, index).run()

        threads = [threading.Thread(target=node, args=(index,), name=f"{self.name}-{index}") for index in range(self.plan.parallelism)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return "canceled" if self.canceled else "success" if all(codes) else "failed"

    def container(self, index: int) -> Container:
        environment = self._environment(index)
        made = Container(self.folder / f"container{index}", environment, self.plan.working_directory)
        with self.workflow.pipeline.runner.changed:
            self._containers.append(made)
            if self.canceled:
                made.kill()
        return made

    def _environment(self, index: int) -> dict[str, str]:
        """What CircleCI documents, weakest first: contexts, its own variables, executor and job."""
        pipeline = self.workflow.pipeline
        runner = pipeline.runner
        contexts = [runner.contexts[name].environment for name in self.plan.contexts]
        provider, organisation, project = runner.slug.split("/")
        own = {
            "CI": "true",
            "CIRCLECI": "true",
            "CIRCLE_PIPELINE_ID": pipeline.id,
            "CIRCLE_PIPELINE_NUMBER": str(pipeline.number),
            "CIRCLE_WORKFLOW_ID": self.workflow.id,
            "CIRCLE_WORKFLOW_JOB_ID": self.id,
            "CIRCLE_WORKFLOW_WORKSPACE_ID": self.workflow.id,
            "CIRCLE_JOB": self.name,
            "CIRCLE_BUILD_NUM": str(self.number),
            "CIRCLE_BUILD_URL": f"https://circleci.com/{quote(runner.slug)}/{self.number}",
            "CIRCLE_NODE_INDEX": str(index),
            "CIRCLE_NODE_TOTAL": str(self.plan.parallelism),
            "CIRCLE_BRANCH": pipeline.branch,
            "CIRCLE_SHA1": pipeline.revision,
            "CIRCLE_USERNAME": pipeline.actor,
            "CIRCLE_PROJECT_USERNAME": organisation,
            "CIRCLE_PROJECT_REPONAME": project,
            "CIRCLE_REPOSITORY_URL": str(runner.repository),
            "CIRCLE_WORKING_DIRECTORY": self.plan.working_directory,
        }
        return {name: value for given in (*contexts, own, self.plan.environment) for name, value in given.items()}


class _Node:
    """The steps of one container, in order."""

    def __init__(self, job: RunJob, index: int) -> None:
        self._job, self._index = job, index
        self._runner = job.workflow.pipeline.runner
        self._container = job.container(index)

    def run(self) -> bool:
        """Whether every step that ran succeeded."""
        ok = True
        try:
            for step in self._job.plan.steps:
                if self._container.halted:
                    break
                when = "always" if step.kind in _ALWAYS else step.settings.get("when", "on_success")
                if when == "always" or (when == "on_success") is ok:
                    ok = self._step(step) and ok
        except Lost:
            return False
        finally:
            self._container.close()
        return ok

    def _step(self, step: Step) -> bool:
        for attempt in range(1 + int(step.settings.get("max_auto_reruns", 0))):
            done = StepRun(step.name if not attempt else f"{step.name} (rerun {attempt})", self._index)
            self._job.steps.append(done)
            began = time.monotonic()
            try:
                done.code = self._actions[step.kind](self, step, done) or 0
            except (StepFailed, ConfigFault, OSError) as error:
                done.lines.append(f"{type(error).__name__}: {error}")
                done.code = 1
            finally:
                done.seconds = time.monotonic() - began
            if done.code == 0:
                return True
        return False

    def _run(self, step: Step, done: StepRun) -> int:
        settings = step.settings
        shell = settings.get("shell", self._job.plan.shell)
        environment = {name: in_environment(value) for name, value in settings.get("environment", {}).items()}
        if settings.get("background"):
            self._container.begin(settings["command"], shell, environment)
            return 0
        folder = self._container.at(settings["working_directory"]) if "working_directory" in settings else None
        return self._container.run(settings["command"], shell, environment, self._told(done), folder)

    def _told(self, done: StepRun) -> Callable[[list[str]], None]:
        def tell(lines: list[str]) -> None:
            done.lines += lines
            for crash in list(self._runner.crashes):
                if (crash.job, crash.node) == (self._job.name, self._index) and crash.due(lines, self._container.work):
                    self._container.kill()
                    self._runner.crashes.remove(crash)

        return tell

    def _checkout(self, step: Step, done: StepRun) -> int:
        pipeline = self._job.workflow.pipeline
        clone = f"git clone --quiet '{self._runner.repository}' . && git checkout --quiet '{pipeline.revision}'"
        code = self._container.run(clone, JobPlan.shell, {}, self._told(done))
        if code == 0 and self._container.at("requirements.txt").exists():
            if not (self._runner.environment / ".kit").exists():
                raise StepFailed(f"{self._runner.environment} was not made by `make environment`, so a job would install everything anew")
            self._container.at(".venv").symlink_to(self._runner.environment)
        return code

    def _persist(self, step: Step, done: StepRun) -> None:
        layer = self._job.layer / str(self._index)
        count = workspace.persist(self._container, step.settings["root"], step.settings["paths"], layer)
        done.lines.append(f"{count} files")

    def _attach(self, step: Step, done: StepRun) -> None:
        if self._job.workflow.pipeline.workspace_expired:
            raise StepFailed("Workspace has expired")
        layers = [job.layer for job in self._job.workflow.before(self._job)]
        done.lines.append(f"{workspace.attach(self._container, step.settings['at'], layers)} files")

    def _store(self, what: str, source: Path, name: str, done: StepRun) -> None:
        if not source.exists():
            done.lines.append(f"No files at {source.name}")
        elif source.is_file():
            (self._job.folder / what).mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, self._job.folder / what / (name or source.name))
        else:
            shutil.copytree(source, self._job.folder / what / name, dirs_exist_ok=True)

    def _artifacts(self, step: Step, done: StepRun) -> None:
        path = step.settings["path"]
        self._store("artifacts", self._container.at(path), step.settings.get("destination", path.strip("/~.")), done)

    def _test_results(self, step: Step, done: StepRun) -> None:
        self._store("test_results", self._container.at(step.settings["path"]), "", done)

    def _restore(self, step: Step, done: StepRun) -> None:
        keys = [caches.key_of(key, self._container, self._variables) for key in step.settings.get("keys", [step.settings.get("key")])]
        done.lines.append(self._runner.caches.restore(keys, self._container) or "No cache is found")

    def _save(self, step: Step, done: StepRun) -> None:
        key = caches.key_of(step.settings["key"], self._container, self._variables)
        done.lines.append(key if self._runner.caches.save(key, step.settings["paths"], self._container) else f"There is a cache {key} already")

    @property
    def _variables(self) -> dict[str, str]:
        return self._container.environment

    _actions = {
        "run": _run,
        "checkout": _checkout,
        "persist_to_workspace": _persist,
        "attach_workspace": _attach,
        "store_artifacts": _artifacts,
        "store_test_results": _test_results,
        "restore_cache": _restore,
        "save_cache": _save,
    }


def _files(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
