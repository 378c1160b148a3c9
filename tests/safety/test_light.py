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
