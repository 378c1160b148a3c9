"""Queries while production switches: what PairSearcher's clients see, and what a naive client sees in the same run.

    python -m benchmarks.load --out load.json

Starts a Milvus 2.3.5 and an MLflow of its own. Two models of one dimension; 4 threads of one process and 2 processes ask through PairSearcher, and
one process embeds with the first model and asks the alias. Prints a table; `--out` has everything. With other work on the machine latencies mean
little, and the counts as much as ever.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.load import figures
from benchmarks.load.figures import Told
from benchmarks.load.stage import Crowd, Stage, overhead, querying
from tests.servers import MilvusServer, MlflowServer
from tests.shop import Shop

SETTLE_SECONDS = 3.0
RECOVERY_SECONDS = 60.0


def crowds(rate: float) -> list[Crowd]:
    return [Crowd("threads", 1, 4, rate), Crowd("processes", 2, 1, rate), Crowd("naive", 1, 1, rate, naive=True)]


def measured(stage: Stage, *, switches: int, quiet: float, rate: float, milvus: MilvusServer, recovery: float = RECOVERY_SECONDS) -> dict[str, Any]:
    """`milvus` is killed at the end, and watched for `recovery` seconds after it is up again."""
    with querying(stage, crowds(rate)) as seen:
        time.sleep(SETTLE_SECONDS)
        began = time.time()
        time.sleep(quiet)
        without = (began, time.time())
        done = []
        for switch in itertools.islice(stage.switch_to_and_fro(), switches):
            done.append(switch)
            print(f"{len(done)} of {switches}: {switch.command} took {switch.ended - switch.began:.1f} s", file=sys.stderr)
            time.sleep(SETTLE_SECONDS)
        ended = time.time()
        time.sleep(SETTLE_SECONDS)
        killed = time.time()
        milvus.kill()
        milvus.start()
        healthy = time.time()
        time.sleep(recovery)
    careful = [Told.of([client]) for name in ("threads", "processes") for client in seen[name]]
    before = [each.during([(0.0, ended)]) for each in careful]
    naive = Told.of(seen["naive"]).during([(0.0, ended)])
    return {
        "switches": figures.of_switches(before, without, done),
        "naive": naive.counts() | naive.latency() | {"faults": naive.faults()},
        "kill": figures.of_kill(careful, killed, healthy, time.time()),
    }


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures there, as JSON.")
@click.option("--switches", type=click.IntRange(1), default=50, show_default=True)
@click.option("--rows", type=click.IntRange(100), default=5_000, show_default=True)
@click.option("--quiet", type=float, default=30.0, show_default=True, help="Seconds that are measured without a switch.")
@click.option("--rate", type=float, default=20.0, show_default=True, help="Queries a second of each client.")
@click.option("--wheel", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(sys.prefix) / "milvus-2.3.5", show_default=True)
def main(out: Path | None, switches: int, rows: int, quiet: float, rate: float, wheel: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with MilvusServer(place / "milvus", wheel, fsync=True) as milvus, MlflowServer(place / "mlflow") as mlflow:
            stage = Stage.built(Shop(place / "shop", milvus.uri, milvus.token, mlflow.uri), "load", rows)
            cost = overhead(stage, 1_000)
            found = measured(stage, switches=switches, quiet=quiet, rate=rate, milvus=milvus) | {"overhead": cost}
    if out:
        out.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(figures.table(found))


if __name__ == "__main__":
    main()
