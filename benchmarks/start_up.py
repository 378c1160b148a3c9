"""What each command costs before it does anything: CPU seconds of `--help` and of the two that only look, over those of `import click`.

    python -m benchmarks.start_up

`status` and `history` run on an embedded Milvus and MLflow, and on servers of their own, with two pairs of which one serves. All run in turn, each in
a process of its own; CPU seconds are user and system of that process, so that a busy machine changes them little.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from scripts.cli import main as cli
from tests.conftest import MILVUS_WHEEL
from tests.servers import MilvusServer, MlflowServer
from tests.shop import Shop

ROOT = Path(__file__).resolve().parents[1]
LEAST = "import click"
LIBRARIES = ("numpy", "pandas", "pymilvus", "mlflow")
LOOKS = ("history", "status")

Case = tuple[list[str], dict[str, str]]
"""What Python is asked to do, and the variables that are added to its environment."""


def helps() -> dict[str, Case]:
    """`--help` of the whole and of every command."""
    names = ["", *cli.commands]
    names += [f"{name} {inner}" for name, group in cli.commands.items() if isinstance(group, click.Group) for inner in group.commands]
    return {f"{name} --help".strip(): (["-m", "scripts", *name.split(), "--help"], {}) for name in names}


@contextmanager
def looks(folder: Path) -> Iterator[dict[str, Case]]:
    """Those commands that read alone, on both kinds of Milvus and MLflow."""
    with MilvusServer(folder / "milvus", MILVUS_WHEEL, fsync=True) as milvus, MlflowServer(folder / "mlflow") as tracking:
        shops = {
            "embedded": Shop(folder / "embedded", str(folder / "milvus.db"), "", f"sqlite:///{folder / 'mlflow.db'}"),
            "servers": Shop(folder / "servers", milvus.uri, milvus.token, tracking.uri),
        }
        cases = {}
        for kind, shop in shops.items():
            for model in ("words", "initials"):
                pair = shop.build(model)
                if model == "words":
                    shop.do("validate", "--pair", pair)
                    shop.do("promote", "--pair", pair)
            for command in LOOKS:
                cases[f"{command} ({kind})"] = (["-m", "scripts", command, "--config", str(shop.folder / "promotion.yaml")], shop.environment)
        yield cases


def cpu_seconds(words: list[str], environment: dict[str, str]) -> float:
    """User and system seconds of a Python that does this."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MILVUS_", "MLFLOW_", "CIRCLE"))} | environment
    child = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=plain, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    if child.returncode:
        raise click.ClickException(f"`{' '.join(words)}` ended with exit code {child.returncode}: {said}")
    return usage.ru_utime + usage.ru_stime


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="How often each runs; the median counts.")
def main(rounds: int) -> None:
    """Print what each command's start costs."""
    with tempfile.TemporaryDirectory() as temporary, looks(Path(temporary)) as looking:
        cases = {LEAST: (["-c", LEAST], {})} | {f"import {name}": (["-c", f"import {name}"], {}) for name in LIBRARIES} | helps() | looking
        taken: dict[str, list[float]] = {name: [] for name in cases}
        for turn in range(rounds + 1):
            for name, (words, environment) in cases.items():
                seconds = cpu_seconds(words, environment)
                if turn:  # the first one compiles, and fills the cache of files
                    taken[name].append(seconds)
            click.echo(f"round {turn} of {rounds}", err=True)
    least = statistics.median(taken[LEAST])
    click.echo("| | CPU s | ÷ `import click` |\n|---|--:|--:|")
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        click.echo(f"| `{name}` | {median:.3f} | {median / least:.1f} |")


if __name__ == "__main__":
    main()
