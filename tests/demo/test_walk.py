"""The demo, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.cli import main
from tests.shop import refusal

ROOT = Path(__file__).parents[2]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "scripts", *words]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def walked(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    folder = tmp_path_factory.mktemp("demo") / "run"
    # Servers that the environment names are not the demo's to touch.
    return folder, run("demo", "--folder", str(folder), MILVUS_URI="http://127.0.0.1:9", MLFLOW_TRACKING_URI="http://127.0.0.1:9")


def test_the_demo_tells_the_whole_story(walked):
    """Both models promoted, one rolled back, the bad one refused, what is not needed dropped, all of it told; nothing odd on standard error."""
    _, result = walked
    assert result.returncode == 0, result.stderr
    for told in ("v1_", "PASS", "No terminal to ask on: taken as yes", "rollback from", "FAIL", "refused:", "2 dropped, 0 released, 1 kept", "the demo shows the way back", "MLflow agrees."):
        assert told in result.stdout, told
    assert all(line.startswith("  embed:") for line in result.stderr.splitlines()), result.stderr


def test_the_demo_leaves_a_service_to_try_by_hand(walked):
    """In another process, with the embedded parts in the demo's folder."""
    folder, _ = walked
    config = ("--config", str(folder / "promotion.yaml"), "--json")
    status = json.loads(run("status", *config).stdout)
    assert [pair["state"] for pair in status["pairs"]] == ["production"]
    hits = json.loads(run("search", "crimson leather sofa", "--where", "price_cents < 50000", *config).stdout)["hits"]
    assert hits
    assert all(hit["fields"]["price_cents"] < 50_000 for hit in hits)


def test_the_demo_takes_no_folder_that_is_not_its_own(tmp_path):
    """Somebody's files stay."""
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "not a demo's folder" in refusal(CliRunner().invoke(main, ["demo", "--folder", str(tmp_path)]), 4)
    assert (tmp_path / "thesis.txt").exists()
