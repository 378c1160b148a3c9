"""`.circleci/config.yml`, checked without the cloud: by CircleCI's schema, and for what that lets pass."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts.cli import main
from tests.circleci import semantics, shell

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".circleci" / "config.yml"
TEXT = CONFIG.read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "circleci.md").read_text(encoding="utf-8")
PAGES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))
MILVUS_AS_SERVICE = "KIT_TEST_MILVUS_URI"


def findings(text: str) -> list[str]:
    """Of every check."""
    config = yaml.safe_load(text)
    of_the_shell = (*shell.misused(config, main), *shell.unused(config, main, PAGES), *shell.unquoted(config), *shell.missing(config, ROOT))
    return [*semantics.findings(config), *of_the_shell, *semantics.wrongly_documented(config, PAGE)]


def test_the_schema_of_circleci_is_kept():
    """CircleCI's own, as check-jsonschema brings it along."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.circle-ci", str(CONFIG)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_nothing_is_wrong_that_the_schema_lets_pass():
    """No check has a finding."""
    assert findings(TEXT) == []


SPOILED = {
    "a workflow's job does not exist": ("      - lint\n", "      - lind\n", "checks: lind: there is no such job"),
    "a group's job does not exist": ("      - promote:\n          context", "      - promot:\n          context", "promotion: promot: there is no such job"),
    "a required job does not exist": ("requires: [finish]", "requires: [finnish]", "validate requires finnish, which is not there"),
    "a required status does not exist": ("[failed, unauthorized,", "[failing, unauthorized,", "requires the status failing, which does not exist"),
    "two jobs wait for each other": ("      - create:\n          context", "      - create:\n          requires: [finish]\n          context", "release: a cycle: "),
    "a job waits for itself": ("requires: [create]", "requires: [create, embed]", "release: a cycle: embed → embed"),
    "two entries of one name": ("      - check-config\n", "      - check-config\n      - lint\n", "checks: two jobs are called lint"),
    "a key of an entry is misspelled": ("requires: [embed]", "require: [embed]", "release: finish: unknown key require"),
    "a key of an approval is misspelled": ("          type: approval\n          requires", "          type: approval\n          needs", "release: hold: unknown key needs"),
    "a group takes no context": ("          requires: [hold]\n", "          requires: [hold]\n          context: promotion-build\n", "release: promotion: unknown key context"),
    "a key of a workflow is misspelled": ("  cleanup:\n    when:", "  cleanup:\n    wen:", "cleanup: unknown key wen"),
    "a workflow runs in every pipeline": ("  cleanup:\n    when:", "  cleanup:\n    triggers: []\n    wen:", "cleanup: has no `when`"),
    "a key of a step is misspelled": ("auto_rerun_delay: 30s", "auto_rerun_dely: 30s", "run: unknown key auto_rerun_dely"),
    "a delay between no reruns": ("          max_auto_reruns: 2\n", "", "a delay between reruns, of which there are none"),
    "a command does not exist": ("- use-service", "- use-servic", "create: there is no command use-servic"),
    "a command is given what it does not take": ("      - use-service\n", "      - use-service:\n          name: shop\n", "use-service: unknown key name"),
    "an executor does not exist": ("executor: kit", "executor: kid", "create: there is no executor kid"),
    "an executor is given what it does not take": ("      size: large", "      sise: large", "test: executor kit: unknown key sise"),
    "an executor is not given what it needs": ("        default: medium\n", "", "create: executor kit: parameter size is not given"),
    "a job without a machine": ("    executor: kit\n", "", "create: has no executor"),
    "a parameter of the pipeline does not exist": ("<< pipeline.parameters.target >>", "<< pipeline.parameters.targt >>", "rollback: << pipeline.parameters.targt >> does not exist"),
    "a parameter of the executor does not exist": ("<< parameters.size >>", "<< parameters.sise >>", "kit: << parameters.sise >> does not exist"),
    "a value of the pipeline does not exist": ("<< pipeline.project.slug >>", "<< pipeline.project.slag >>", "<< pipeline.project.slag >> does not exist"),
    "a parameter that nobody uses": ("            REASON: << pipeline.parameters.reason >>", "            REASON: none", "parameter reason is used nowhere"),
    "a parameter without a default": ("    type: integer\n    default: 1", "    type: integer", "pipeline: parameter shards has no default"),
    "a default that is not in the list": ("    default: checks", "    default: check", "parameter action is 'check' by default, which is not in its list"),
    "a default of another type": ("    default: 1\n", '    default: "1"\n', "parameter shards is '1' by default, which is no integer"),
    "a comparison that never holds": ("equal: [cleanup,", "equal: [clean-up,", "action is never 'clean-up'"),
    "an action that selects nothing": ("reconcile]\n    default", "reconcile, repair]\n    default", "action repair selects no workflow"),
    "a comparison of one value": ("equal: [reconcile, << pipeline.parameters.action >>]", "equal: [reconcile]", "equal takes a list of two values or more"),
    "an unknown operator": ("      equal: [reconcile,", "      equals: [reconcile,", "reconcile: when: equals is no operator"),
    "a condition that always holds": ("        - not: << pipeline.parameters.confirm >>", "        - not: confirm", "rollback: when: 'confirm' is always so"),
    "an operator without a list": ("      and:\n        - equal: [rollback, << pipeline.parameters.action >>]\n        - not: ", "      and:\n        not: ", "and takes a list"),
    "a value from outside in a command": ('--reason="$REASON"', "--reason='<< pipeline.parameters.reason >>'", "is pasted into a command"),
    "a value from outside in a name": ("          name: rollback\n", "          name: rollback << pipeline.parameters.reason >>\n", "is pasted into a command"),
    "a value from outside without quotes": ('--to="$TARGET"', "--to=$TARGET", "rollback: $TARGET is not in double quotes"),
    "a value from outside in eval": ("            asked=()\n            [[ -z \"$TARGET\"", "            eval true\n            [[ -z \"$TARGET\"", "rollback: eval in the same step as"),
    "an image that changes": ("cimg/python:3.11.16", "cimg/python:3.11", "image cimg/python:3.11 is not pinned"),
    "an image of today": ("milvusdb/milvus:v2.3.5", "milvusdb/milvus:latest", "image milvusdb/milvus:latest is not pinned"),
    "an image from outside": ("      - image: cimg/python:3.11.16\n    resource", "      - image: cimg/python:<< parameters.size >>\n    resource", "is not pinned"),
    "a cache that outlives its Python": ("cimg/python:3.11.16", "cimg/python:3.11.17", "does not name the image's version"),
    "a cache that nobody looks for": ("          key: model-2-", "          key: model-3-", "nobody looks for the cache model-3-"),
    "a workspace that is empty": ("      - persist_to_workspace:\n          root: .\n          paths: [pair.json, .model-requirements.txt]\n", "", "release: embed attaches a workspace that is empty"),
    "a cleanup beside a promotion": ("context: promotion-cleanup\n          serial-group: << pipeline.project.slug >>/production/", "context: promotion-cleanup\n          serial-group: << pipeline.project.slug >>/cleanup/", "different serial groups"),
    "a promotion beside another": ("          requires: [hold]\n          serial-group: << pipeline.project.slug >>/production/<< pipeline.parameters.service >>\n", "          requires: [hold]\n", "cleanup, promote without a serial group"),
    "a serial group twice in a workflow": ("          context: promotion-cleanup\n\n  rollback:", "          context: promotion-cleanup\n          serial-group: << pipeline.project.slug >>/production/<< pipeline.parameters.service >>\n\n  rollback:", "release: the serial group"),
    "a serial group of a bad name": ("/production/", "/production:", "a character that it may not have"),
    "a group inside a group": ("      - cleanup:\n          requires: [promote]", "      - promotion:\n          requires: [promote]", "groups of jobs cannot be nested"),
    "an approval with the name of a job": ("      - confirm:\n          type", "      - cleanup:\n          type", "an approval has the name of a job"),
    "a command that the kit does not have": ("-m scripts finish", "-m scripts finnish", "finish: the kit has no command finnish"),
    "an option that the command does not have": ("--report reports", "--reports reports", "validate: validate has no option --reports"),
    "an option in an array that the command does not have": ("asked+=(--to=", "asked+=(--two=", "rollback: rollback has no option --two"),
    "a job that does not run its command": ("-m scripts finish", "-m scripts status", "finish: does not run the command of its name"),
    "a command without its needed option": ("-m scripts cleanup", "-m scripts replay", "replay needs --queries"),
    "a target that make does not have": ("make lint", "make lind", "lint: there is no `make lind`"),
    "tests that are not there": ("tests/adapters/test_milvus.py", "tests/adapters/test_milvos.py", "there is no tests/adapters/test_milvos.py"),
    "credentials of production in a build": ("      - create:\n          context: promotion-build", "      - create:\n          context: promotion-production", "create: gets promotion-production, and the table says promotion-build"),
    "a context that is not documented": ("          context: [promotion-build, promotion-pipelines]", "          context: promotion-pipelines", "reconcile: gets promotion-pipelines, and the table says"),
}


@pytest.mark.parametrize(("old", "new", "expected"), SPOILED.values(), ids=SPOILED)
def test_each_check_finds_what_it_is_there_for(old, new, expected):
    """A configuration that is spoiled in one way has a finding that says so."""
    assert old in TEXT
    found = findings(TEXT.replace(old, new))
    assert any(expected in each for each in found), found


def test_a_command_that_nobody_uses_is_found():
    """One that no job runs and no page mentions."""
    pages = PAGES.replace("python -m scripts unlock", "")
    assert list(shell.unused(yaml.safe_load(TEXT), main, pages)) == ["unlock: no job runs it and no page mentions it"]


def test_promotion_needs_no_workspace():
    """An approval may come when the workspace is gone."""
    config = yaml.safe_load(TEXT)
    for job in ("promote", "cleanup", "discard", "rollback", "reconcile"):
        assert all("attach_workspace" not in step for step in config["jobs"][job]["steps"]), job


def test_the_gate_is_not_asked_again_by_itself():
    """Its "no" is an answer, and for promotion and rollback somebody sits and reads; every other command of the kit is tried again."""
    config = yaml.safe_load(TEXT)
    assert not any("max_auto_reruns" in workflow for workflow in config["workflows"].values())
    steps = {job: step["run"] for job, body in config["jobs"].items() for step in body["steps"] if "run" in step and "-m scripts " in str(step["run"])}
    assert {job for job, step in steps.items() if "max_auto_reruns" not in step} == {"promote", "rollback", "validate"}


def test_the_report_is_kept_whatever_the_gate_says():
    """store_artifacts and store_test_results run after a step that failed; they come after it and look where it writes."""
    steps = yaml.safe_load(TEXT)["jobs"]["validate"]["steps"]
    gate = next(at for at, step in enumerate(steps) if "run" in step)
    stored = [(kind, given["path"]) for step in steps[gate:] for kind, given in step.items() if kind.startswith("store_")]
    assert stored == [("store_artifacts", "reports"), ("store_test_results", "reports")]
    assert "--report reports" in steps[gate]["run"]["command"]


def test_the_page_tells_every_parameter_and_action():
    """docs/circleci.md has a row, or a place in one, for each."""
    parameters = yaml.safe_load(TEXT)["parameters"]
    assert [name for name in (*parameters, *parameters["action"]["enum"]) if f"`{name}`" not in PAGE] == []


def test_the_service_container_is_what_the_tests_look_for():
    """The variable of the job is that of tests/conftest.py."""
    from tests import conftest

    steps = yaml.safe_load(TEXT)["jobs"]["test-on-service"]["steps"]
    assert MILVUS_AS_SERVICE in steps[-2]["run"]["environment"]
    assert MILVUS_AS_SERVICE in Path(conftest.__file__).read_text(encoding="utf-8")
