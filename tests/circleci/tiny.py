"""Configurations of a few lines, and what their pipelines came to."""

from __future__ import annotations

import textwrap

from tests.circleci.runner import RunPipeline


def ended(pipeline: RunPipeline) -> dict[str, str]:
    """Of workflow `w`, when it is through or waits."""
    assert not pipeline.errors
    workflow = pipeline.workflow("w")
    workflow.wait(30)
    return workflow.statuses()


def said(pipeline: RunPipeline, job: str = "a") -> list[str]:
    """The output of one job, without the names of its steps."""
    ended(pipeline)
    return [line for step in pipeline.workflow("w").job(job).steps for line in step.lines]


def one_job(steps: str, head: str = "") -> str:
    """A configuration with one job `a`."""
    indented = textwrap.indent(textwrap.dedent(steps), "      ")
    return f"{textwrap.dedent(head)}\njobs:\n  a:\n    executor: here\n    steps:\n{indented}\nworkflows:\n  w:\n    jobs: [a]\n"


TWO = """
    jobs:
      a: {executor: here, steps: [run: "%s"]}
      b: {executor: here, steps: [run: echo b]}
    workflows:
      w:
        jobs:
          - a
          - b: {requires: [{a: %s}]}
"""

PARAMETERS = """
    parameters:
      word: {type: string, default: fine}
      count: {type: integer, default: 1}
      loud: {type: boolean, default: false}
      kind: {type: enum, enum: [x, y], default: x}
"""
