"""The runner keeps CircleCI's rules of values, steps and containers, each shown on a configuration of a few lines."""

from __future__ import annotations

import pytest

from tests.circleci.runner import Context, Crash
from tests.circleci.tiny import PARAMETERS, ended, one_job, said


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
