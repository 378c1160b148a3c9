"""What the gate costs: `validate` against what cannot be left out, encoding the golden queries and searching them, for candidate and production.

    python -m benchmarks.validate_cost

300 queries on 9,750 films, MiniLM on the CPU, a Milvus 2.3.5 and an MLflow server of its own. Building takes five minutes. All sides run in
turn, each in a process of its own; with other work on the machine the ratios mean little. Needs requirements-minilm.txt.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded; the kit does the same

import click
import mlflow
from mlflow import MlflowClient

from benchmarks import icecat
from scripts import catalogue, config, golden
from scripts.encoding import stamped_encoder
from scripts.jobs.validate import validate
from scripts.wiring import Wiring
from tests.servers import MilvusServer, MlflowServer

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "movies"
MODEL = "films"
SUITE = """\
measures: [nDCG@10, R@100]
gates:
  - {gate: floor, measure: nDCG@10, at_least: 0.1}
  - {gate: max_loss, measure: nDCG@10, at_most: 0.05}
"""
# By how many rows of the source are encoded again: the kit's default, and as good as none.
VALIDATIONS = {"validate": 256, "validate, 1 row encoded again": 1}
LEAST = "encode and search alone"
SERVICE = {
    "service": "films",
    "model": {"name": MODEL},
    "source": {"uri": "films.jsonl", "key": "id", "text": "{title}. {overview}", "columns": ["title", "year"], "types": {"id": "int64"}},
    "index": {"search": {"ef": 200}},
}


def prepare(folder: Path, data: Path) -> Path:
    """The service in this folder, with a suite for each of VALIDATIONS; gives the configuration's path."""
    for validation, rows in VALIDATIONS.items():
        suite = folder / validation
        suite.mkdir(parents=True)
        (suite / "suite.yaml").write_text(SUITE + f"  - {{gate: same_vectors, rows: {rows}}}\n")
        for name in ("queries.csv", "judgments.csv"):
            shutil.copyfile(data / name, suite / name)
    with gzip.open(data / "movies.jsonl.gz", "rb") as packed, (folder / "films.jsonl").open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    path = folder / "promotion.yaml"
    path.write_text(json.dumps(SERVICE | {"golden": next(iter(VALIDATIONS))}))
    return path


def least(kit: Wiring, pair: str) -> None:
    """Each pair's model loaded, the golden queries encoded and searched in batches. Nothing else."""
    world = catalogue.read(kit.store, kit.settings)
    suite = golden.load(kit.settings.golden_folder)
    texts = [suite.queries[query].text for query in suite.judged]
    for entry in (world.production, world.find(pair)):
        encoder = stamped_encoder(kit.registry, entry.stamp, kit.settings.model_cache)
        kit.store.open(entry.pair.collection).search(encoder.queries(texts), suite.depth)


def gate(kit: Wiring, pair: str) -> None:
    """The whole of `validate`, reports and MLflow included."""
    if (found := validate(kit, pair)).exit_code:
        raise click.ClickException("\n".join(found.lines()))


@contextmanager
def servers(folder: Path, wheel: Path) -> Iterator[dict[str, str]]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MILVUS_", "MLFLOW_", "CIRCLE"))}
    with MilvusServer(folder / "milvus", wheel, fsync=True) as milvus, MlflowServer(folder / "mlflow") as tracking:
        yield plain | {"MILVUS_URI": milvus.uri, "MILVUS_TOKEN": milvus.token, "MLFLOW_TRACKING_URI": tracking.uri}


def run(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"`{' '.join(words[:3])}` ended with exit code {done.returncode}.\n{done.stdout}")
    return done.stdout


def candidate(path: Path, environment: dict[str, str], *options: str) -> str:
    """MiniLM as the next version, built: the second time from production's vectors, which are the same."""
    mlflow.set_tracking_uri(environment["MLFLOW_TRACKING_URI"])
    mlflow.set_experiment("films")
    version = icecat.register_minilm(MODEL)
    MlflowClient().transition_model_version_stage(MODEL, str(version), "Staging")
    return json.loads(run(environment, "-m", "scripts", "build", "--config", str(path), "--json", *options))["pair"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="How often each side runs.")
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), default=DATA, help="movies.jsonl.gz, queries.csv, judgments.csv.")
@click.option("--side", type=click.Choice([LEAST, *VALIDATIONS]), hidden=True, help="One side alone, on an existing service.")
@click.option("--config", "path", type=click.Path(path_type=Path), hidden=True)
@click.option("--pair", hidden=True)
def main(rounds: int, data: Path, side: str | None, path: Path | None, pair: str | None) -> None:
    """Print how long `validate` takes, over what it cannot leave out."""
    if side and path and pair:
        click.echo(json.dumps(seconds_of(side, path, pair)))
        return
    with tempfile.TemporaryDirectory() as temporary, servers(Path(temporary), icecat.MILVUS_WHEEL) as environment:
        path = prepare(Path(temporary) / "service", data)
        first = candidate(path, environment)
        for command in ("validate", "promote"):
            run(environment, "-m", "scripts", command, "--pair", first, "--config", str(path))
        second = candidate(path, environment)
        inside: dict[str, list[float]] = {name: [] for name in (LEAST, *VALIDATIONS)}
        whole: dict[str, list[float]] = {name: [] for name in inside}
        for turn in range(rounds + 1):
            for name in inside:
                began = time.perf_counter()
                said = run(environment, "-m", "benchmarks.validate_cost", "--side", name, "--config", str(path), "--pair", second)
                if turn:  # the first warms the servers up
                    whole[name].append(time.perf_counter() - began)
                    inside[name].append(json.loads(said.splitlines()[-1]))
                click.echo(f"{turn}: {name} {json.loads(said.splitlines()[-1]):.2f} s", err=True)
    click.echo("| | once connected | ratio | the whole process | ratio |\n|---|--:|--:|--:|--:|")
    for name in inside:
        cells = [(statistics.median(taken[name]), statistics.median(taken[LEAST])) for taken in (inside, whole)]
        click.echo(f"| {name} | " + " | ".join(f"{seconds:.2f} s | {seconds / least_seconds:.2f}" for seconds, least_seconds in cells) + " |")


def seconds_of(side: str, path: Path, pair: str) -> float:
    """One run of one side, connecting and Python's own start left out."""
    settings = config.load(path)
    if side in VALIDATIONS:
        settings = settings.model_copy(update={"golden": side})
    with Wiring(settings) as kit:
        kit.store, kit.registry, kit.runs  # noqa: B018 - connects
        began = time.perf_counter()
        (least if side == LEAST else gate)(kit, pair)
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
