"""One workflow: which job may begin, given what became of the others."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.circleci.job import RunJob
from tests.circleci.plan import WorkflowPlan

if TYPE_CHECKING:
    from tests.circleci.runner import RunPipeline

_AT_WORK = {"running", "queued"}


class RunWorkflow:
    """Safe to ask from any thread. `jobs` are in the order of the configuration; `status` is CircleCI's."""

    def __init__(self, pipeline: RunPipeline, plan: WorkflowPlan, rerun_of: RunWorkflow | None = None) -> None:
        self.id = str(uuid.uuid4())
        self.pipeline = pipeline
        self.plan = plan
        self.created_at = datetime.now(UTC)
        self.rerun_of = rerun_of
        self.auto_reruns_left = plan.max_auto_reruns if rerun_of is None else 0
        self.canceled = False
        kept = rerun_of.kept() if rerun_of else {}
        self.jobs = [kept.get(job.name) or RunJob(job, self) for job in plan.jobs]

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def status(self) -> str:
        found = {job.status for job in self.jobs}
        if self.canceled:
            return "canceled"
        at_work = bool(found & (_AT_WORK | {"blocked"}))
        if "failed" in found:
            return "failing" if at_work or "on_hold" in found else "failed"
        if found & _AT_WORK:
            return "running"
        for status in ("on_hold", "unauthorized", "canceled"):
            if status in found:
                return status
        return "running" if at_work else "success" if "success" in found else "not_run"

    @property
    def ended(self) -> bool:
        """Nothing more happens by itself, and no one is waited for."""
        return all(job.ended for job in self.jobs)

    def job(self, name: str) -> RunJob:
        return next(job for job in self.jobs if job.name == name)

    def statuses(self) -> dict[str, str]:
        return {job.name: job.status for job in self.jobs}

    def before(self, job: RunJob) -> list[RunJob]:
        """Jobs that this one needs, and those that they need, in the order of the configuration."""
        names: set[str] = set()
        open_ends = [needed.job for needed in job.plan.requires]
        while open_ends:
            name = open_ends.pop()
            if name not in names:
                names.add(name)
                open_ends += [needed.job for needed in self.job(name).plan.requires]
        return [other for other in self.jobs if other.name in names]

    def kept(self) -> dict[str, RunJob]:
        """What "rerun from failed" does not run again: jobs that succeeded, and need none that runs again. A serial job group runs again as one."""
        good = {job.name for job in self.jobs if job.status == "success" and all(other.status == "success" for other in self.before(job))}
        broken = {job.plan.group for job in self.jobs if job.plan.serial_group and job.plan.group and job.name not in good}
        return {job.name: job for job in self.jobs if job.name in good and job.plan.group not in broken}

    def advance(self) -> None:
        """Begins every job that may begin, and ends those that never will. Called after each change."""
        with self.pipeline.runner.changed:
            while any([self._advanced(job) for job in self.jobs]) or self.pipeline.runner.serial.settle():  # a list: each job is looked at
                pass
            self.pipeline.runner.changed.notify_all()
        if self.status == "failed" and self.ended and self.auto_reruns_left and not self.canceled:
            left, self.auto_reruns_left = self.auto_reruns_left - 1, 0
            self.pipeline.rerun_from_failed(self, auto_reruns_left=left)

    def _advanced(self, job: RunJob) -> bool:
        if job.status != "blocked":
            return False
        needed = [(self.job(requirement.job), requirement.statuses) for requirement in job.plan.requires]
        if self.canceled or any(other.ended and other.status not in statuses for other, statuses in needed):
            job.status = "not_run"
        elif not all(other.ended for other, _ in needed):
            return False
        elif job.type == "approval":
            job.status = "on_hold"
        elif any(not self.pipeline.runner.lets(job, name) for name in job.plan.contexts):
            job.status = "unauthorized"
        elif job.plan.serial_group:
            self.pipeline.runner.serial.enter(job)
        else:
            self.begin(job)
        return True

    def begin(self, job: RunJob) -> None:
        job.status = "running"
        thread = threading.Thread(target=self._run, args=(job,), name=job.name)
        self.pipeline.runner.threads.append(thread)
        thread.start()

    def _run(self, job: RunJob) -> None:
        status = "failed"
        try:
            status = job.run()
        finally:
            with self.pipeline.runner.changed:
                job.status = status
                self.advance()

    def approve(self, approval: str) -> None:
        """Raises LookupError where nothing waits under this id."""
        with self.pipeline.runner.changed:
            job = next((job for job in self.jobs if job.approval == approval), None) if approval else None
            if job is None:
                raise LookupError(approval)
            job.approved_by, job.status = self.pipeline.actor, "success"
            self.advance()

    def cancel(self) -> None:
        """All of it: what runs is ended, what waits never runs."""
        with self.pipeline.runner.changed:
            self.canceled = True
            for job in self.jobs:
                if not job.ended:
                    job.cancel()
            self.advance()

    def rerun_from_failed(self) -> RunWorkflow:
        """Another workflow of the same pipeline, as "Rerun workflow from failed" makes it."""
        return self.pipeline.rerun_from_failed(self)

    def wait(self, timeout: float = 240) -> str:
        """The status in which it ends or waits for a person."""
        self.pipeline.runner.wait_for(lambda: self.ended or self.status == "on_hold", timeout, self.report)
        return self.status

    def wait_for(self, job: str, status: str, timeout: float = 240) -> RunJob:
        """Until this job has this status, or can never have it."""
        found = self.job(job)
        self.pipeline.runner.wait_for(lambda: found.status == status or found.ended, timeout, self.report)
        return found

    def report(self) -> str:
        """Where each job stands, and the end of what it printed; for the message of a test that fails."""
        logs = "\n".join(f"--- {job.name}: {job.status}\n{job.log()[-2000:]}" for job in self.jobs if job.steps)
        return f"workflow {self.name}: {self.statuses()}\n{logs}"
