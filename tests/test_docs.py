"""The README names what there is."""

import re
from pathlib import Path
from typing import get_args

import click
import pytest
import yaml
from click.testing import CliRunner

from scripts import config, errors, golden
from scripts.cli import main
from scripts.golden.description import Description
from scripts.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", list(main.commands))
def test_every_command_is_documented_with_help_and_example(command):
    """Its heading in the README, its help, and an example that names it."""
    assert f"\n### {command}\n" in README
    assert f"python -m scripts {command}" in README
    help_text = CliRunner().invoke(main, [command, "--help"]).output
    assert main.commands[command].help
    assert re.search(rf"Example:\s+python -m scripts {command}", help_text)


@pytest.mark.parametrize(("group", "command"), [(name, inner) for name, group in main.commands.items() if isinstance(group, click.Group) for inner in group.commands])
def test_every_command_of_a_group_is_documented_with_help_and_example(group, command):
    """Under the heading of its group."""
    assert f"python -m scripts {group} {command}" in README
    help_text = CliRunner().invoke(main, [group, command, "--help"]).output
    assert main.commands[group].commands[command].help
    assert re.search(rf"Example:\s+python -m scripts {group} {command}", help_text)


def test_no_heading_of_a_command_that_does_not_exist():
    """The README promises nothing more, and its table of what they are for leaves none out."""
    section = README.split("\n## Commands\n")[1].split("\n## ")[0]
    assert re.findall(r"^### (.+)$", section, re.MULTILINE) == list(main.commands)
    assert set(re.findall(r"\[([a-z-]+)\]\(#\1\)", section.split("\n### ")[0])) == set(main.commands), "the table of what each is for"


def test_exit_codes_are_those_of_the_errors():
    """Each class of failure has its row, and there is no row more."""
    documented = {int(code) for code in re.findall(r"^\| (\d) \|", README, re.MULTILINE)}
    kinds = errors.KitError.__subclasses__()
    assert documented == {0} | {kind.exit_code for kind in kinds}


def test_the_configuration_reference_is_valid_and_complete(tmp_path):
    """The README's promotion.yaml loads, and shows every setting that there is."""
    (block,) = re.findall(r"```yaml\n(service:.*?)```", README, re.DOTALL)
    path = tmp_path / "promotion.yaml"
    path.write_text(block)
    config.load(path, environ={})
    shown = yaml.safe_load(block)
    own = {"root", "environment"}
    assert set(shown) == set(Settings.model_fields) - own
    for section in ("model", "source", "index", "promotion", "retention", "pipeline"):
        annotation = Settings.model_fields[section].annotation
        model = next(iter(get_args(annotation)), annotation)  # an optional section is `Section | None`
        assert set(shown[section]) == set(model.model_fields), section


def test_the_suite_reference_is_valid_and_complete(tmp_path):
    """The README's suite.yaml loads, and shows every setting that there is."""
    (block,) = re.findall(r"```yaml\n(# suite.yaml\n.*?)```", README, re.DOTALL)
    (tmp_path / "suite.yaml").write_text(block)
    (tmp_path / "queries.csv").write_text("query_id,query,slice\nq1,red sofa,brands;must work\n")
    (tmp_path / "judgments.csv").write_text("query_id,product_id,grade\nq1,1,3\n")
    assert len(golden.load(tmp_path).gates) == len(yaml.safe_load(block)["gates"])
    assert set(yaml.safe_load(block)) == set(Description.model_fields)


def test_the_links_lead_somewhere():
    """In the README and in docs."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
