"""The runner keeps CircleCI's rules of workflows: what requires what, approvals, workspaces, reruns, contexts, serial groups."""

from __future__ import annotations

import time

import pytest

from tests.circleci.runner import Context
from tests.circleci.tiny import PARAMETERS, TWO, ended, one_job, said


def test_jobs_that_wait_for_one_another_are_refused(begin):
    """They would wait for ever."""
    assert begin(TWO.replace("- a\n", "- a: {requires: [b]}\n") % ("true", "success")).errors == ["w: a, b wait for one another"]


@pytest.mark.parametrize(
    ("command", "statuses", "then"),
    [
        ("true", "success", "success"),
        ("false", "success", "not_run"),
        ("false", "failed", "success"),
        ("true", "failed", "not_run"),
        ("true", "terminal", "success"),
        ("false", "[failed, canceled]", "success"),
    ],
)
def test_a_job_runs_when_what_it_requires_has_ended_so(begin, command, statuses, then):
    """Otherwise never."""
    assert ended(begin(TWO % (command, statuses)))["b"] == then


APPROVED = """
    jobs:
      b: {executor: here, steps: [run: echo b]}
      c: {executor: here, steps: [run: echo c]}
    workflows:
      w:
        jobs:
          - hold: {type: approval}
          - b: {requires: [hold]}
          - c: {requires: [{hold: [canceled, not_run]}]}
"""


def test_an_approval_waits_until_it_is_given(begin):
    """Then what requires it runs, and what required its refusal does not."""
    pipeline = begin(APPROVED)
    assert ended(pipeline) == {"hold": "on_hold", "b": "blocked", "c": "blocked"}
    assert pipeline.workflow("w").status == "on_hold"
    pipeline.runner.approve(pipeline.workflow("w").job("hold").approval)
    assert ended(pipeline) == {"hold": "success", "b": "success", "c": "not_run"}
    with pytest.raises(LookupError):
        pipeline.runner.approve(pipeline.workflow("w").job("hold").approval)


def test_a_cancelled_approval_is_a_no(begin):
    """What requires that runs."""
    pipeline = begin(APPROVED)
    ended(pipeline)
    pipeline.workflow("w").job("hold").cancel()
    assert ended(pipeline) == {"hold": "canceled", "b": "not_run", "c": "success"}
    assert pipeline.workflow("w").status == "canceled"


def test_in_a_cancelled_workflow_nothing_more_runs(begin):
    """Also not what would follow a cancelled approval."""
    pipeline = begin(APPROVED)
    ended(pipeline)
    pipeline.workflow("w").cancel()
    assert ended(pipeline) == {"hold": "canceled", "b": "not_run", "c": "not_run"}


def test_a_running_job_can_be_cancelled(begin):
    """Its processes end, and it says so."""
    pipeline = begin(one_job("- run: echo begun; sleep 60"))
    job = pipeline.workflow("w").job("a")
    while "begun" not in job.log():
        time.sleep(0.01)
    job.cancel()
    assert ended(pipeline) == {"a": "canceled"}


def test_a_workspace_brings_what_earlier_jobs_persisted(begin):
    """Of all containers; two that persist the same file are refused."""
    config = """
        jobs:
          a:
            executor: here
            parallelism: 2
            steps:
              - run: mkdir out; echo $CIRCLE_NODE_INDEX > out/%s
              - persist_to_workspace: {root: ., paths: [out/*]}
          b:
            executor: here
            steps:
              - attach_workspace: {at: here}
              - run: cat here/out/*
        workflows:
          w:
            jobs: [a, {b: {requires: [a]}}]
    """
    assert said(begin(config % "$CIRCLE_NODE_INDEX"), "b") == ["2 files", "0", "1"]
    assert "Concurrent upstream jobs persisted the same file(s): out/same" in said(begin(config % "same"), "b")[0]


HANDED_ON = """
    jobs:
      a:
        executor: here
        steps:
          - run: echo $CIRCLE_WORKFLOW_ID > file
          - persist_to_workspace: {root: ., paths: [file]}
      b:
        executor: here
        steps:
          - attach_workspace: {at: .}
          - run: cat file; echo $CIRCLE_WORKFLOW_ID; [ -e %s ]
      c: {executor: here, steps: [run: echo c]}
    workflows:
      w:
        jobs: [a, {b: {requires: [a]}}, {c: {requires: [b]}}]
"""


def test_a_rerun_from_failed_keeps_what_succeeded(begin, tmp_path):
    """Another workflow of the same pipeline, with the same workspace; what failed and what follows from it runs again."""
    pipeline = begin(HANDED_ON % (tmp_path / "mended"))
    assert ended(pipeline) == {"a": "success", "b": "failed", "c": "not_run"}
    first = pipeline.workflow("w")
    (tmp_path / "mended").touch()
    again = first.rerun_from_failed()
    assert ended(pipeline) == {"a": "success", "b": "success", "c": "success"}
    assert again.id != first.id
    assert said(pipeline, "b")[1:] == [first.id, again.id]
    assert again.job("a") is first.job("a")
    assert pipeline.runner.workflows(pipeline.id) == [again, first]


def test_a_workspace_may_have_expired(begin, tmp_path):
    """Then a job that attaches it fails."""
    pipeline = begin(HANDED_ON % (tmp_path / "mended"))
    ended(pipeline)
    pipeline.workspace_expired = True
    pipeline.workflow("w").rerun_from_failed()
    assert said(pipeline, "b") == ["StepFailed: Workspace has expired"]


def test_a_workflow_is_rerun_by_itself_as_often_as_it_asks(begin):
    """From failed, and no oftener; a rerun by hand is not rerun by itself."""
    pipeline = begin(one_job("- run: exit 1").replace("    jobs: [a]", "    max_auto_reruns: 2\n    jobs: [a]"))
    pipeline.runner.wait_for(lambda: len(pipeline.workflows) == 3 and pipeline.workflows[-1].ended, 30, str)
    assert [workflow.status for workflow in pipeline.workflows] == ["failed"] * 3
    pipeline.workflows[-1].rerun_from_failed()
    ended(pipeline)
    assert len(pipeline.workflows) == 4


def test_a_restricted_context_is_for_those_who_may(begin):
    """For others the job is unauthorized, and what requires it does not run."""
    config = TWO.replace("- a\n", "- a: {context: secrets}\n") % ("echo a $SECRET", "success")
    pipeline = begin(config, contexts={"secrets": Context({"SECRET": "fake"}, allowed=frozenset({"kim"}))})
    assert ended(pipeline) == {"a": "unauthorized", "b": "not_run"}
    assert pipeline.workflow("w").status == "unauthorized"
    by_kim = pipeline.runner.start({}, actor="kim")
    assert said(by_kim) == ["a fake"]


SERIAL = """
    jobs:
      a: {executor: here, steps: [run: "echo $CIRCLE_PIPELINE_NUMBER >> %(log)s; until [ -e %(go)s ]; do sleep 0.02; done"]}
    workflows:
      w:
        jobs:
          - a: {serial-group: << pipeline.project.slug >>/production}
"""


def test_a_serial_group_runs_one_job_at_a_time_and_the_newest_pipeline_first(begin, tmp_path):
    """An older one that still waits then is skipped."""
    first = begin(SERIAL % {"log": tmp_path / "log", "go": tmp_path / "go"})
    second, third = first.runner.start({}), first.runner.start({})
    assert [p.workflow("w").job("a").status for p in (first, second, third)] == ["running", "queued", "queued"]
    (tmp_path / "go").touch()
    assert [ended(p)["a"] for p in (first, second, third)] == ["success", "not_run", "success"]
    assert (tmp_path / "log").read_text().split() == ["1", "3"]


def test_a_serial_job_group_is_one_unit(begin, tmp_path):
    """Nobody else begins between its jobs."""
    config = """
        jobs:
          a: {executor: here, steps: [run: "echo a$CIRCLE_PIPELINE_NUMBER >> %(log)s; until [ -e %(go)s ]; do sleep 0.02; done"]}
          b: {executor: here, steps: [run: "echo b$CIRCLE_PIPELINE_NUMBER >> %(log)s"]}
        job-groups:
          both:
            jobs: [a, {b: {requires: [a]}}]
        workflows:
          w:
            jobs:
              - hold: {type: approval}
              - both: {requires: [hold], serial-group: production}
    """
    first = begin(config % {"log": tmp_path / "log", "go": tmp_path / "go"})
    second = first.runner.start({})
    for pipeline in (first, second):
        assert ended(pipeline) == {"hold": "on_hold", "a": "blocked", "b": "blocked"}
        pipeline.runner.approve(pipeline.workflow("w").job("hold").approval)
    (tmp_path / "go").touch()
    assert [ended(p)["b"] for p in (first, second)] == ["success", "success"]
    assert (tmp_path / "log").read_text().split() == ["a1", "b1", "a2", "b2"]


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("when: {equal: [x, << pipeline.parameters.kind >>]}", True),
        ("when: {equal: [y, << pipeline.parameters.kind >>]}", False),
        ("unless: << pipeline.parameters.loud >>", True),
        ("when: {and: [{not: << pipeline.parameters.loud >>}, {or: [false, {equal: [1, << pipeline.number >>]}]}]}", True),
        ("when: {matches: {pattern: '^f', value: << pipeline.parameters.word >>}}", True),
        ("when: {equal: [scheduled_pipeline, << pipeline.trigger_source >>]}", False),
    ],
)
def test_a_workflow_runs_when_its_condition_holds(begin, condition, runs):
    """Otherwise there is none."""
    pipeline = begin(one_job("- run: echo", PARAMETERS).replace("    jobs: [a]", f"    {condition}\n    jobs: [a]"))
    assert (pipeline.state, [workflow.name for workflow in pipeline.workflows]) == ("created", ["w"] if runs else [])
