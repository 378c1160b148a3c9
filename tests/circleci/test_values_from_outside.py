"""The shell of `.circleci/config.yml`, with values that whoever starts a pipeline may choose; and the make target that asks CircleCI's own program."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / ".circleci" / "config.yml").read_text(encoding="utf-8"))
HOSTILE = ["$(touch owned)", "`touch owned`", "; touch owned", "' || touch owned #", '"; touch owned; "', "a b", "*", "--dry-run", "${HOME}", "line\ntouch owned", "\\", "é 😀"]
SHOWS_ITS_ARGUMENTS = '#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n'


def bash(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As CircleCI runs a step."""
    variables = {"PATH": os.environ["PATH"], "BASH_ENV": str(folder / "bash_env"), **environment}
    return subprocess.run(["/bin/bash", "-eo", "pipefail", "-c", command], cwd=folder, env=variables, capture_output=True, text=True)


def step(steps: list, name: str) -> dict:
    return next(each["run"] for each in steps if isinstance(each, dict) and each.get("run", {}).get("name") == name)


@pytest.fixture
def checkout(tmp_path):
    """A Python that shows its arguments instead of running the kit."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(SHOWS_ITS_ARGUMENTS)
    python.chmod(0o755)
    (tmp_path / "bash_env").touch()
    return tmp_path


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize(("job", "variable", "option"), [("create", "REQUEST", "--request"), ("create", "MODEL_VERSION", "--model-version"), ("rollback", "TARGET", "--to"), ("rollback", "REASON", "--reason")])
def test_a_value_stays_one_argument_of_its_option(checkout, job, variable, option, value):
    """No shell splits it, expands it or runs it, and it cannot become an option of its own."""
    empty = dict.fromkeys(step(CONFIG["jobs"][job]["steps"], job)["environment"], "")
    ran = bash(checkout, step(CONFIG["jobs"][job]["steps"], job)["command"], **{**empty, variable: value})
    assert f"{option}={value}" in json.loads(ran.stdout)
    assert not (checkout / "owned").exists()


@pytest.mark.parametrize(("job", "arguments"), [("create", ["create", "--out", "pair.json"]), ("rollback", ["rollback", "--reason="])])
def test_what_is_not_given_is_left_to_the_command(checkout, job, arguments):
    """Empty parameters add no option."""
    given = step(CONFIG["jobs"][job]["steps"], job)
    assert json.loads(bash(checkout, given["command"], **dict.fromkeys(given["environment"], "")).stdout) == ["-m", "scripts", *arguments]


@pytest.mark.parametrize(("service", "configuration"), [("", None), ("shop", "services/shop/promotion.yaml"), ("Shop_2-a", "services/Shop_2-a/promotion.yaml")])
def test_a_service_selects_its_configuration(checkout, service, configuration):
    """For every later step; none selects nothing."""
    ran = bash(checkout, CONFIG["commands"]["use-service"]["steps"][0]["run"]["command"], SERVICE=service)
    assert ran.returncode == 0
    assert bash(checkout, 'echo "${PROMOTION_CONFIG-}"').stdout.strip() == (configuration or "")


@pytest.mark.parametrize("service", [*HOSTILE[:5], "..", "../shop", "shop/../other", "a b", "shop\n", "shop\ntouch owned", "."], ids=range(12))
def test_a_service_of_another_name_is_refused(checkout, service):
    """Nothing is written down for later steps, nothing is run."""
    ran = bash(checkout, CONFIG["commands"]["use-service"]["steps"][0]["run"]["command"], SERVICE=service)
    assert ran.returncode == 2
    assert "may have letters, digits" in ran.stderr
    assert (checkout / "bash_env").read_text() == ""
    assert not (checkout / "owned").exists()


def test_make_circleci_validate_runs_circlecis_program(tmp_path):
    """Where it is installed."""
    program = tmp_path / "circleci"
    program.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    program.chmod(0o755)
    ran = subprocess.run(["make", "circleci-validate"], cwd=ROOT, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True)
    assert ran.stdout.strip() == "config validate"
    assert ran.returncode != 0


def test_make_circleci_validate_says_how_to_get_circlecis_program(tmp_path):
    """Where it is not, in one line; and it does not look like success."""
    (tmp_path / "make").symlink_to(shutil.which("make"))
    ran = subprocess.run(["make", "circleci-validate"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert ran.returncode != 0
    assert ran.stderr.splitlines()[0] == "circleci is not installed, see https://cli.circleci.com (the npm package circleci-cli is another program)."
