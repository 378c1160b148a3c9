"""The commands that somebody types who runs a Milvus, and what they answer: the outputs of docs/operations.md.

    python -m benchmarks.operations --wheel .venv/milvus-2.3.5

The icecat catalogue and a modest model, on a real server: two pairs are promoted; production is backed up, measured, released, dropped and brought
back; MLflow is told something else by hand; at last the server is stopped. Folders and addresses are shortened in what is printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import click
import mlflow
from mlflow import MlflowClient
from pymilvus import MilvusClient

from benchmarks import icecat
from scripts.demo import models
from tests.servers import MilvusServer

MODEL = "icecat-embedding"
BACKUPS = "backups"


@dataclass
class Night:
    """A service on this server, and everything that is typed there."""

    server: MilvusServer
    folder: Path
    mlflow_uri: str

    def type(self, *words: str) -> str:
        variables = {"MILVUS_URI": self.server.uri, "MILVUS_TOKEN": self.server.token, "MLFLOW_TRACKING_URI": self.mlflow_uri}
        began = time.perf_counter()
        command = [sys.executable, "-m", "scripts", *words, "--config", str(self.folder / "promotion.yaml")]
        done = subprocess.run(command, cwd=icecat.ROOT, env=os.environ | variables, capture_output=True, text=True, check=False)
        told = f"$ python -m scripts {' '.join(words)}\n{done.stderr}{done.stdout}(exit code {done.returncode}, {time.perf_counter() - began:.1f} s)\n"
        click.echo(told.replace(f"{self.folder}/", "").replace(self.server.uri, "http://milvus:19530"))
        return done.stdout

    def stage(self, version: int, stage: str) -> None:
        with warnings.catch_warnings(action="ignore"):
            MlflowClient(self.mlflow_uri).transition_model_version_stage(MODEL, str(version), stage, archive_existing_versions=True)

    def promote(self, artifacts: Path) -> str:
        self.stage(models.register(artifacts, MODEL), "Staging")
        file = str(self.folder / "pair.json")
        self.type("build", "--out", file)
        self.type("validate", "--pair", file)
        self.type("promote", "--pair", file, "--reason", "the new catalogue")
        return self.type("status").split()[2]


def night(here: Night, artifacts: Path) -> None:
    first, second = here.promote(artifacts), here.promote(artifacts)
    backups, milvus = here.folder / BACKUPS, MilvusClient(here.server.uri, token=here.server.token)
    alias = "icecat_products_prod"
    for words in (("health",), ("history",), ("capacity",), ("capacity", "--memory", "4x64Gi")):
        here.type(*words)
    here.type("backup", "--pair", "production", "--to", str(backups / "monday"))
    here.type("backup", "verify", str(backups), "--max-age-days", "2")
    here.type("perf", alias, "--sweep", "auto", "--target-recall", "0.95")
    here.type("compact", alias)
    milvus.release_collection(second)
    for command in ("health", "ensure-loaded", "health"):
        here.type(command)
    here.stage(1, "Production")
    here.type("status")
    here.type("promote", "--pair", second)
    milvus.drop_collection(second)
    here.type("health")
    here.type("status")
    here.type("rollback", "--to", first, "--reason", "the collection was dropped")
    here.type("restore", str(backups / "monday"))
    here.type("validate", "--pair", second)
    here.type("promote", "--pair", second, "--reason", "restored")
    here.type("status")
    here.server.stop()
    here.type("health")


@click.command()
@click.option("--wheel", type=click.Path(exists=True, file_okay=False, path_type=Path), default=icecat.MILVUS_WHEEL, show_default=True)
def main(wheel: Path) -> None:
    """Print what is typed and what is answered."""
    with tempfile.TemporaryDirectory() as place, MilvusServer(Path(place) / "milvus", wheel, fsync=True) as server:
        folder, uri = Path(place) / "shop", f"sqlite:///{place}/mlflow.db"
        icecat.prepare(folder, icecat.DATA, model=MODEL)
        mlflow.set_tracking_uri(uri)
        night(Night(server, folder, uri), icecat.train_lsa(icecat.DATA, Path(place) / "model"))


if __name__ == "__main__":
    main()
