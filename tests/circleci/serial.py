"""Serial groups: one at a time per key, whatever pipeline it is of – a job, or a job group as one."""

from __future__ import annotations

from tests.circleci.job import RunJob


class SerialGroups:
    """Held by the lock of the runner. A newer pipeline goes first, and an older one that waits meanwhile is skipped (CircleCI's docs,
    "Pipeline number priority")."""

    def __init__(self) -> None:
        self._running: dict[str, RunJob] = {}
        self._waiting: dict[str, list[RunJob]] = {}

    def enter(self, job: RunJob) -> None:
        """Begins the job, queues it, or skips it."""
        key = job.plan.serial_group
        holder, waiting = self._running.get(key), self._waiting.setdefault(key, [])
        if holder is None or _together(holder, job):
            self._running.setdefault(key, job)
            job.workflow.begin(job)
        elif any(_pipeline(other) > _pipeline(job) for other in (holder, *waiting)):
            job.status = "not_run"
        else:
            job.status = "queued"
            waiting.append(job)

    def settle(self) -> bool:
        """Lets the next in where one is through; whether anything changed."""
        changed = False
        for key, holder in list(self._running.items()):
            if all(job.ended for job in holder.workflow.jobs if _together(holder, job)):
                del self._running[key]
                waiting = [job for job in self._waiting.pop(key, []) if job.status == "queued"]
                for job in sorted(waiting, key=_pipeline, reverse=True):
                    self.enter(job)
                    job.workflow.advance()
                changed = True
        return changed


def _together(one: RunJob, other: RunJob) -> bool:
    return one is other or bool(one.plan.group and one.workflow is other.workflow and one.plan.group == other.plan.group)


def _pipeline(job: RunJob) -> int:
    return job.workflow.pipeline.number
