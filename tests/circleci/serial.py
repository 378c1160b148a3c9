"""Serial groups: one job at a time per key, whatever pipeline it is of."""

from __future__ import annotations

from tests.circleci.job import RunJob


class SerialGroups:
    """Held by the lock of the runner. A newer pipeline goes first, and an older one that waits meanwhile is skipped (CircleCI's docs, "Pipeline number priority")."""

    def __init__(self) -> None:
        self._running: dict[str, RunJob] = {}
        self._waiting: dict[str, list[RunJob]] = {}

    def enter(self, job: RunJob) -> None:
        """Begins the job, queues it, or skips it."""
        key = job.plan.serial_group
        waiting = self._waiting.setdefault(key, [])
        others = [*waiting, *([self._running[key]] if key in self._running else [])]
        if any(_pipeline(other) > _pipeline(job) for other in others):
            job.status = "not_run"
        elif key in self._running:
            job.status = "queued"
            waiting.append(job)
        else:
            self._running[key] = job
            job.workflow.begin(job)

    def leave(self, job: RunJob) -> None:
        key = job.plan.serial_group
        if self._running.get(key) is not job:
            return
        del self._running[key]
        waiting = [other for other in self._waiting.pop(key, []) if other.status == "queued"]
        for other in sorted(waiting, key=_pipeline, reverse=True):
            self.enter(other)
            if other.status == "not_run":
                other.workflow.advance()


def _pipeline(job: RunJob) -> int:
    return job.workflow.pipeline.number
