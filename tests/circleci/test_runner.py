"""The runner keeps CircleCI's rules, each shown on a configuration of a few lines."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator

import pytest

from tests.circleci.repository import made
from tests.circleci.runner import Context, Crash, Runner, RunPipeline

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


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"wrod": "x"}, "Unexpected argument(s): wrod"),
        ({"count": "1"}, "Type error for argument count: expected type: integer, actual value: '1' (type str)"),
        ({"count": True}, "Type error for argument count: expected type: integer, actual value: True (type bool)"),
        ({"loud": "yes"}, "Type error for argument loud: expected type: boolean, actual value: 'yes' (type str)"),
        ({"kind": "z"}, "Type error for argument kind: expected one of x, y, actual value: 'z'"),
    ],
)
def test_a_wrong_parameter_starts_nothing(begin, given, error):
    """The pipeline is errored, and says which."""
    pipeline = begin(one_job("- run: echo", PARAMETERS), **given)
    assert (pipeline.state, pipeline.errors, pipeline.workflows) == ("errored", [error], [])


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ("- run: echo << parameters.nobody >>", "Arguments referenced without declared parameters: parameters.nobody"),
        ("- run: echo << pipeline.nothing >>", "Arguments referenced without declared parameters: pipeline.nothing"),
        ("- run: cat <<EOF", "Unclosed '<<' tag in string: 'cat <<EOF'"),
        ("- nowhere", "Cannot find a definition for command named nowhere"),
    ],
)
def test_a_faulty_configuration_starts_nothing(begin, steps, error):
    """As CircleCI would say it."""
    assert begin(one_job(steps)).errors == [error]


def test_jobs_that_wait_for_one_another_are_refused(begin):
    """They would wait for ever."""
    assert begin(TWO.replace("- a\n", "- a: {requires: [b]}\n") % ("true", "success")).errors == ["w: a, b wait for one another"]


def test_values_are_put_in_as_text(begin):
    """Pipeline values, parameters with their defaults and given ones; an escaped tag stays, and a value that looks like a tag is no tag."""
    steps = """
        - run: echo "<< pipeline.parameters.word >> <<pipeline.parameters.count>> << pipeline.parameters.loud >> << pipeline.number >>"
        - run: echo "\\\\<< pipeline.id >>" | tr -d '\\\\'
    """
    assert said(begin(one_job(steps, PARAMETERS), word="<< pipeline.number >>")) == [
        "<< pipeline.number >> 1 false 1",
        "<< pipeline.id >>",
    ]


def test_a_value_pasted_into_a_command_is_a_command(begin):
    """The runner does not make safe what CircleCI does not."""
    assert said(begin(one_job('- run: echo "<< pipeline.parameters.word >>"', PARAMETERS), word='"; echo pwned #')) == ["", "pwned"]


def test_a_value_in_the_environment_stays_a_value(begin):
    """Whatever it holds."""
    hostile = "'\"; echo $(id)\nsecond line"
    steps = """
        - run: {command: 'printf "%s\\n" "$WORD"', environment: {WORD: << pipeline.parameters.word >>}}
    """
    assert said(begin(one_job(steps, PARAMETERS), word=hostile)) == hostile.split("\n")


def test_a_value_that_is_not_there_is_nil_in_the_environment(begin):
    """The tag of a branch, say."""
    assert said(begin(one_job('- run: {command: echo "$TAG", environment: {TAG: << pipeline.git.tag >>}}'))) == ["<nil>"]


def test_commands_and_executors_have_parameters_of_their_own(begin):
    """Which the caller fills, and which nobody else sees."""
    config = """
          there:
            parameters:
              where: {type: string}
            docker: [{image: any, environment: {WHERE: << parameters.where >>}}]
        commands:
          greet:
            parameters:
              whom: {type: string}
              often: {type: integer, default: 2}
            steps:
              - when:
                  condition: {equal: [2, << parameters.often >>]}
                  steps: [run: echo "<< parameters.whom >> $WHERE"]
              - unless:
                  condition: {equal: [2, << parameters.often >>]}
                  steps: [run: echo not twice]
        jobs:
          a:
            parameters:
              guest: {type: string}
            executor: {name: there, where: hall}
            steps:
              - greet: {whom: Dear << parameters.guest >>}
              - greet: {whom: nobody, often: 3}
        workflows:
          w:
            jobs:
              - a: {guest: Ann}
    """
    assert said(begin(config)) == ["Dear Ann hall", "not twice"]


def test_the_nearest_environment_wins(begin):
    """Step over job over context; and nothing of this machine is in it but PATH."""
    config = """
        jobs:
          a:
            executor: here
            environment: {ONE: job, TWO: job}
            steps:
              - run: {command: 'echo $ONE $TWO $THREE "$HOME_OF_TESTS" ${PYTEST_CURRENT_TEST-none}', environment: {ONE: step}}
        workflows:
          w:
            jobs:
              - a: {context: secrets}
    """
    contexts = {"secrets": Context({"ONE": "context", "TWO": "context", "THREE": "context"}), "others": Context({"HOME_OF_TESTS": "x"})}
    assert said(begin(config, contexts=contexts)) == ["step job context  none"]


def test_what_a_step_writes_to_bash_env_later_steps_have(begin):
    """And nothing else of its shell."""
    steps = """
        - run: echo 'export KEPT=yes' >> "$BASH_ENV"; export LOST=no
        - run: echo "$KEPT ${LOST-gone}"
    """
    assert said(begin(one_job(steps))) == ["yes gone"]


def test_a_step_fails_at_its_first_failing_command_and_in_a_pipe(begin):
    """bash -eo pipefail; later steps do not run, but for those that ask."""
    steps = """
        - run: "false | cat\\necho never"
        - run: echo never
        - run: {command: echo failed, when: on_fail}
        - run: {command: echo always, when: always}
        - store_artifacts: {path: there.txt}
    """
    pipeline = begin(one_job(steps))
    assert said(pipeline) == ["failed", "always", "No files at there.txt"]
    assert ended(pipeline) == {"a": "failed"}


def test_a_step_is_run_again_as_often_as_it_asks(begin):
    """And the job is fine if one of them is."""
    steps = """
        - run: {command: "echo try >> tries; cat tries; [ $(wc -l < tries) = 3 ]", max_auto_reruns: 2}
    """
    pipeline = begin(one_job(steps))
    assert ended(pipeline) == {"a": "success"}
    assert [step.code for step in pipeline.workflow("w").job("a").steps] == [1, 1, 0]


def test_a_job_may_stop_early_and_succeed(begin):
    """circleci-agent step halt."""
    pipeline = begin(one_job("- run: circleci-agent step halt\n- run: echo never"))
    assert said(pipeline) == []
    assert ended(pipeline) == {"a": "success"}


def test_a_checkout_is_what_is_committed(begin):
    """In the working directory of the job, on its own."""
    steps = """
        - checkout
        - run: cat file.txt; echo more >> file.txt; git status --short; basename "$PWD"
    """
    assert said(begin(one_job(steps), files={"file.txt": "text\n"})) == ["text", " M file.txt", "project"]


def test_containers_of_one_job_know_which_they_are(begin):
    """And the job fails with any of them."""
    config = one_job("- run: echo $CIRCLE_NODE_INDEX of $CIRCLE_NODE_TOTAL; [ $CIRCLE_NODE_INDEX = 0 ]", PARAMETERS)
    pipeline = begin(config.replace("executor: here", "executor: here\n    parallelism: << pipeline.parameters.count >>"), count=2)
    assert ended(pipeline) == {"a": "failed"}
    assert sorted(said(pipeline)) == ["0 of 2", "1 of 2"]


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


def test_a_killed_container_runs_no_further_step(begin):
    """Not even one that always runs; the others go on."""
    config = one_job(
        """
        - run: echo line 1; echo line 2; [ $CIRCLE_NODE_INDEX = 0 ] || sleep 60; echo line 3
        - run: {command: echo end, when: always}
        """
    ).replace("executor: here", "executor: here\n    parallelism: 2")
    config = config.replace("jobs: [a]", "jobs: [{hold: {type: approval}}, {a: {requires: [hold]}}]")
    pipeline = begin(config)
    ended(pipeline)
    pipeline.runner.crashes.append(Crash("a", node=1, line="line 2"))
    pipeline.runner.approve(pipeline.workflow("w").job("hold").approval)
    assert ended(pipeline)["a"] == "failed"
    job = pipeline.workflow("w").job("a")
    printed = {node: [line for step in job.steps if step.node == node for line in step.lines] for node in (0, 1)}
    assert printed == {0: ["line 1", "line 2", "line 3", "end"], 1: ["line 1", "line 2"]}


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


def test_what_is_stored_can_be_read_afterwards(begin):
    """Artifacts and test results, of a job that failed too."""
    steps = """
        - run: mkdir out; echo '<testsuites/>' > out/junit.xml; exit 3
        - store_artifacts: {path: out, destination: reports}
        - store_test_results: {path: out}
    """
    pipeline = begin(one_job(steps))
    ended(pipeline)
    job = pipeline.workflow("w").job("a")
    assert (list(job.artifacts), list(job.test_results)) == (["reports/junit.xml"], ["junit.xml"])
    assert job.test_results["junit.xml"].read_text() == "<testsuites/>\n"


def test_a_cache_is_saved_once_and_found_by_the_beginning_of_its_key(begin):
    """By the checksum of a file, in whatever container."""
    cached = """
        - checkout
        - restore_cache: {keys: ['deps-{{ arch }}-{{ checksum "lock" }}', 'deps-{{ arch }}-']}
        - run: mkdir -p deps; cat deps/* || echo none; echo $CIRCLE_JOB > deps/by
        - save_cache: {key: 'deps-{{ arch }}-{{ checksum "lock" }}', paths: [deps]}
    """
    other = "  b:\n    executor: here\n    steps: [checkout, restore_cache: {key: deps-}, run: cat deps/by]\n"
    config = one_job(cached).replace("workflows:", f"{other}workflows:")
    pipeline = begin(config.replace("jobs: [a]", "jobs: [a, {b: {requires: [a]}}]"), files={"lock": "1"})
    assert "none" in said(pipeline)
    assert said(pipeline, "b")[-1] == "a"
    (key,) = pipeline.runner.caches.keys
    assert key.startswith("deps-linux-")


def test_a_seeded_cache_links_to_a_folder_of_this_machine(begin, tmp_path):
    """So that nothing is installed, and nothing is saved over it."""
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "program").touch()
    config = one_job("- restore_cache: {key: venv-1}\n- run: ls .venv\n- save_cache: {key: venv-1, paths: [.venv]}")
    pipeline = begin(config.replace("jobs: [a]", "jobs: [{hold: {type: approval}}, {a: {requires: [hold]}}]"))
    pipeline.runner.caches.seed("venv-", ".venv", tmp_path / "installed")
    ended(pipeline)
    pipeline.runner.approve(pipeline.workflow("w").job("hold").approval)
    assert said(pipeline)[:2] == ["venv-1", "program"]
    assert pipeline.runner.caches.keys == []


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
