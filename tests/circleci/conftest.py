"""What the runner's own tests ask for."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator

import pytest

from tests.circleci.repository import made
from tests.circleci.runner import Context, Runner, RunPipeline

Started = Callable[..., RunPipeline]


@pytest.fixture
def begin(tmp_path) -> Iterator[Started]:
    """Makes a project of jobs and a workflow `w`, and starts a pipeline with these parameters."""
    runners: list[Runner] = []

    def start(config: str, files: dict[str, str] | None = None, contexts: dict[str, Context] | None = None, **parameters: object) -> RunPipeline:
        text = f"version: 2.1\nexecutors:\n  here:\n    docker: [{{image: any}}]\n{textwrap.dedent(config)}"
        repository = made(tmp_path / f"repository{len(runners)}", {".circleci/config.yml": text, **(files or {})})
        runners.append(Runner(repository, tmp_path / f"runs{len(runners)}", contexts))
        return runners[-1].start(parameters)

    yield start
    for runner in runners:
        runner.close()
