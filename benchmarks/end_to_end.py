"""From an alias in MLflow to production in Milvus, and how much of that time is the kit's own.

    python -m benchmarks.end_to_end --wheel DIR

The whole path of tests/test_end_to_end.py, with a person who approves at once. Beside it, in turn, one process that does only what model and Milvus
have to do for the same shop: fetch and load the model, encode every text, create, insert, flush, index, load, point the alias. What is left is the
kit's own: receiving, requesting, checking out, starting Python for every job, comparing with the source, judging, proving, writing down.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.servers import MilvusServer
from tests.whole_path import SECRET, WholePath

PLAIN = """
import json, sys, time
import mlflow, numpy
from pymilvus import DataType, MilvusClient
mlflow_uri, milvus_uri, token, model, version, products = sys.argv[1:]
mlflow.set_tracking_uri(mlflow_uri)
loaded = mlflow.pyfunc.load_model(f"models:/{model}/{version}")
rows = [json.loads(line) for line in open(products)]
vectors = numpy.asarray(loaded.predict([f"{row['name']}. {row['description']}" for row in rows]), dtype=numpy.float32)
client, name = MilvusClient(milvus_uri, token=token), f"plain_{time.time_ns()}"
schema = client.create_schema()
schema.add_field("id", DataType.INT64, is_primary=True)
schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
client.create_collection(name, schema=schema)
client.insert(name, [{"id": row["product_id"], "vector": vector} for row, vector in zip(rows, vectors)])
client.flush(name)
index = client.prepare_index_params()
index.add_index("vector", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 200})
client.create_index(name, index)
client.load_collection(name)
try:
    client.create_alias(name, "plain_prod")
except Exception:
    client.alter_alias(name, "plain_prod")
"""


def plain(path: WholePath, version: int) -> float:
    """Seconds of model and Milvus alone."""
    shop = path.shop
    started = time.monotonic()
    words = (shop.mlflow_uri, shop.milvus_uri, shop.milvus_token, shop.model, str(version), str(shop.folder / "products.jsonl"))
    subprocess.run([sys.executable, "-c", PLAIN, *words], check=True, capture_output=True)
    return time.monotonic() - started


def release(path: WholePath, number: int) -> tuple[int, dict[str, float]]:
    """Seconds of each part of one release."""
    version = path.registered("words")
    at = [time.monotonic()]
    path.staged(version)
    run = path.pipeline(number)
    at.append(time.monotonic())
    workflow = run.workflow("release")
    if workflow.wait() != "on_hold":
        raise click.ClickException(f"The pipeline did not come to its approval: {workflow.report()}")
    at.append(time.monotonic())
    path.runner.approve(workflow.job("hold").approval)
    production = path.shop.production
    promote = next(job for job in workflow.jobs if "promote" in job.name)
    path.runner.wait_for(lambda: promote.ended, 240, workflow.report)
    at.append(time.monotonic())
    workflow.wait()
    at.append(time.monotonic())
    if promote.status != "success" or f"_v{version}_" not in str(production()):
        raise click.ClickException(f"Production is not the new pair: {workflow.report()}")
    names = ("alias set until the pipeline is started", "until it waits for approval", "approved until it is in production", "until cleanup is done")
    return version, dict(zip(names, (after - before for before, after in zip(at, at[1:], strict=False)), strict=True))


@click.command()
@click.option("--wheel", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(sys.prefix) / "milvus-2.3.5", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
def main(wheel: Path, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with MilvusServer(folder / "milvus", wheel, fsync=True) as milvus, WholePath(folder, milvus) as path:
            registered = path.shop.run("webhook", "register", path.receiver.url, "--json", WEBHOOK_SECRET=SECRET, **path.circleci.environment)
            if registered.exit_code:
                raise click.ClickException(registered.output)
            parts: list[dict[str, float]] = []
            alone: list[float] = []
            for number in range(1, rounds + 1):
                version, seconds = release(path, number)
                parts.append(seconds)
                alone.append(plain(path, version))
                click.echo(f"round {number} of {rounds}: {sum(seconds.values()):.1f} s; model and Milvus alone {alone[-1]:.1f} s", err=True)
    print("| part | seconds |\n|---|--:|")
    for name in parts[0]:
        print(f"| {name} | {statistics.median(each[name] for each in parts):.1f} |")
    whole = statistics.median(sum(each.values()) for each in parts)
    print(f"| together | {whole:.1f} |")
    print(f"| model and Milvus alone, in one process | {statistics.median(alone):.1f} |")
    print(f"| the kit's own | {whole - statistics.median(alone):.1f} |")


if __name__ == "__main__":
    main()
