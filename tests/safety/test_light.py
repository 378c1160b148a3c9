"""A rollback at three in the morning carries nothing that it does not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.conftest import ROOT

NOT_NEEDED = {"mlflow", "ir_measures", "scipy", "sklearn", "torch", "sqlalchemy"}
# What is imported by the time that the alias is switched. (pymilvus itself imports pandas and pyarrow: 3.0.2.)
LOOK = """
import json, sys
from scripts import cli, console

def look(step, remark):
    if step.name == "switch":
        print("BY THEN " + json.dumps(sorted({name.split(".")[0] for name in sys.modules})))

console.tell_step = look
cli.main()
"""


def test_a_rollback_imports_neither_mlflow_nor_what_measures_before_its_switch(matrix):
    """Seconds that production would have to wait for."""
    place = matrix.place
    place.reset(matrix.worlds.third)
    words = [sys.executable, "-c", LOOK, "rollback", "--config", str(place.config)]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | place.shop.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("BY THEN ")]
    assert NOT_NEEDED.isdisjoint(json.loads(line.removeprefix("BY THEN ")))


HEAVY = set("pymilvus mlflow pandas pyarrow numpy sklearn scipy fastapi uvicorn requests sqlalchemy pydantic yaml jinja2".split())
# Every command's help in one process, and what it took.
HELP = """
import json, sys
import click
from click.testing import CliRunner
from scripts.cli import main

def commands(group, *words):
    yield [*words]
    for name, command in group.commands.items():
        yield from commands(command, *words, name) if isinstance(command, click.Group) else [[*words, name]]

asked = list(commands(main))
for words in asked:
    done = CliRunner().invoke(main, [*words, "--help"])
    assert done.exit_code == 0 and "Usage:" in done.output, (words, done.output)
print(json.dumps({"asked": len(asked), "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""
# What jobs import by themselves, without the adapters that they are given.
IMPORTED = """
import importlib, json, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
LIGHT_JOBS = ("rollback", "status", "history", "search", "cleanup", "discard", "unlock", "requirements", "trigger", "reconcile")


def answered(*words: str) -> dict | list:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_help_of_every_command_loads_no_library_but_click():
    """Whoever asks what there is gets an answer at once, and a machine without Milvus gets one at all."""
    found = answered("-c", HELP)
    assert found["asked"] > 20
    assert HEAVY.isdisjoint(found["modules"])


def test_jobs_that_only_look_or_switch_load_nothing_by_themselves():
    """What reads sources, measures and renders is loaded by those jobs alone; pymilvus brings pandas and pyarrow along (3.0.2), and we do not."""
    needless = HEAVY - {"numpy", "pydantic"} | {"ir_measures"}
    assert needless.isdisjoint(answered("-c", IMPORTED, *(f"scripts.jobs.{job}" for job in LIGHT_JOBS)))


def test_a_registry_behind_a_server_needs_no_database_library():
    """SQLAlchemy is for an embedded MLflow."""
    assert "sqlalchemy" not in answered("-c", IMPORTED, "scripts.adapters.mlflow")
