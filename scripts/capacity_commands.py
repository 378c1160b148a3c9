"""`capacity`: parse, call one job, show its result."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts import console, options

if TYPE_CHECKING:
    from scripts.capacity.deployment import Deployment
    from scripts.capacity.nodes import Nodes
    from scripts.capacity.plan import Plan

_INDEXES = ("HNSW", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "DISKANN", "FLAT")
# What describes a plan, and means nothing for pairs that are there; and what describes the Milvus that is emitted for it.
_OF_A_PLAN = ("dim", "index", "metric", "m", "scalars_bytes", "keep_loaded", "keep_previous", "emit")
_OF_AN_EMISSION = ("name", "mode", "queue", "s3", "s3_secret", "out")


@click.command(epilog="Example:  python -m scripts capacity --rows 100M --dim 768 --index HNSW --memory 4x256Gi")
@click.option("--rows", metavar="N", help="Plan for so many rows, 250k or 100M, and ask no server. [default: the service's pairs as they are]")
@click.option("--dim", type=int, metavar="D", help="Numbers in a vector.")
@click.option("--index", type=click.Choice(_INDEXES), help="[default: the one that suits]")
@click.option("--metric", type=click.Choice(["COSINE", "IP", "L2"]), help="[default: COSINE]")
@click.option("--m", type=int, metavar="M", help="Links of HNSW, or parts that IVF_PQ cuts a vector into. [default: 16; a quarter of --dim]")
@click.option("--scalars-bytes", metavar="BYTES", help="Of a row's other columns, beside key and vector. [default: 64]")
@click.option("--keep-loaded", type=click.IntRange(0, 100), metavar="N", help="Predecessors that stay loaded. [default: 1]")
@click.option("--keep-previous", type=click.IntRange(0, 100), metavar="N", help="Predecessors that are kept. [default: 1]")
@click.option("--replicas", type=click.IntRange(1, 100), help="Copies of a pair in memory. [default: capacity.replicas; of a plan, 1]")
@click.option("--memory", metavar="SIZE", help="Of the query nodes that there are: 64Gi, or 4x64Gi. [default: capacity.query_nodes; of a plan, say which it takes]")
@click.option("--emit", type=click.Choice(["operator", "helm"]), help="Print a Milvus that holds the plan: its resource, or values of its chart.")
@click.option("--name", metavar="NAME", help="Of that Milvus. [default: milvus]")
@click.option("--mode", type=click.Choice(["standalone", "cluster"]), help="[default: standalone where one node of 64Gi is enough]")
@click.option("--queue", type=click.Choice(["woodpecker", "kafka"]), help="[default: woodpecker]")
@click.option("--s3", metavar="HOST[:PORT]/BUCKET", help="Its storage. [default: a MinIO beside it]")
@click.option("--s3-secret", metavar="NAME", help="The Secret that has accesskey and secretkey.")
@options.out
@options.config
@options.as_json
def capacity(config: Path, as_json: bool, rows: str | None, memory: str | None, replicas: int | None, **given: Any) -> None:
    """Say what pairs need in memory and on disk, as they are or as planned, and whether the query nodes hold a promotion: 1 where they do not."""
    from scripts.capacity.nodes import Nodes
    from scripts.jobs import capacity as job
    from scripts.jobs.capacity_emit import emit

    _refuse_stray(given, _OF_A_PLAN if rows is None else (), "is for a plan: give --rows as well")
    _refuse_stray(given, _OF_AN_EMISSION if given["emit"] is None else (), "goes with --emit")
    nodes = Nodes.parse(memory) if memory else None
    if rows is None:
        with console.opened(config) as kit:
            console.show(job.present(kit, nodes, replicas=replicas), as_json)
    plan = _plan(rows or "", nodes, replicas or 1, given)
    if given["emit"] is None:
        console.show(job.Planned(plan), as_json)
    result = emit(_deployment(plan, given), given["emit"])
    console.show(result, as_json, *([partial(result.write, given["out"])] if given["out"] else []))


def _refuse_stray(given: dict[str, Any], names: tuple[str, ...], why: str) -> None:
    if stray := [name for name in names if given[name] is not None]:
        raise click.UsageError(f"--{stray[0].replace('_', '-')} {why}.")


def _plan(rows: str, nodes: Nodes | None, replicas: int, given: dict[str, Any]) -> Plan:
    from scripts.capacity import plan, quantities
    from scripts.capacity.moments import Window
    from scripts.capacity.needs import OF_UNKNOWN_LENGTH, Shape
    from scripts.layout import Metric

    if given["dim"] is None:
        raise click.UsageError("--rows needs --dim, the numbers in a vector.")
    if given["m"] is not None and given["index"] is None:
        raise click.UsageError("--m needs --index, which it is a setting of.")
    count, dim = quantities.rows(rows), quantities.within(given["dim"], "--dim", 1, quantities.MAX_DIMENSION)
    columns = quantities.size(given["scalars_bytes"] or str(OF_UNKNOWN_LENGTH), "--scalars-bytes")
    quantities.within(columns, "--scalars-bytes", 0, plan.MAX_COLUMN_BYTES)
    previous = 1 if given["keep_previous"] is None else given["keep_previous"]
    loaded = min(1, previous) if given["keep_loaded"] is None else given["keep_loaded"]
    window = Window(loaded, previous, replicas)
    index = plan.asked_index(given["index"] or "HNSW", dim, Metric(given["metric"] or "COSINE"), given["m"])
    shape = Shape(dim, index, columns)
    return plan.planned(shape if given["index"] else plan.suited(shape, count, window, nodes), count, window, nodes)


def _deployment(plan: Plan, given: dict[str, Any]) -> Deployment:
    from scripts.capacity.deployment import Bucket, Mode, Queue, deployed

    if (given["s3"] is None) != (given["s3_secret"] is None):
        raise click.UsageError("--s3 and --s3-secret go together.")
    bucket = Bucket.parse(given["s3"], given["s3_secret"]) if given["s3"] else None
    mode = Mode(given["mode"]) if given["mode"] else None
    return deployed(plan, name=given["name"] or "milvus", mode=mode, queue=Queue(given["queue"] or Queue.WOODPECKER), bucket=bucket)
