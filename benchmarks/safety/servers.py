"""A shop on servers of its own."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks.icecat import MILVUS_WHEEL
from tests.safety.matrix import Matrix
from tests.servers import MilvusServer, MlflowServer
from tests.shop import Shop


@contextmanager
def shop(kind: str) -> Iterator[tuple[Shop, Path]]:
    """On `lite` or `server`, with a folder for what is written on the way. What the environment says of Milvus and MLflow is forgotten."""
    if kind == "server" and not MILVUS_WHEEL.is_dir():
        raise click.ClickException("The real Milvus is not installed: `make environment` installs it, or MILVUS_WHEEL_DIR says where it is.")
    for name in list(os.environ):
        if name.startswith(("MILVUS_", "MLFLOW_", "CIRCLE")):
            del os.environ[name]
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    warnings.simplefilter("ignore")  # MLflow's stages are deprecated, and say so at every call
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as temporary, MlflowServer(Path(temporary) / "mlflow") as tracking:
        folder = Path(temporary)
        if kind == "lite":
            yield Shop(folder / "shop", str(folder / "milvus.db"), "", tracking.uri), folder
            return
        with MilvusServer(folder / "milvus", MILVUS_WHEEL, fsync=True) as milvus:
            yield Shop(folder / "shop", milvus.uri, milvus.token, tracking.uri), folder


@contextmanager
def matrix(kind: str) -> Iterator[Matrix]:
    with shop(kind) as (there, folder), Matrix(there, "safe-shop", folder, embedded=kind == "lite") as made:
        yield made
