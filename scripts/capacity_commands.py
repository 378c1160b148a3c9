"""`capacity`: parse, call one job, show its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from scripts import console, options

_INDEXES = ("HNSW", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "DISKANN", "FLAT")
# What describes a plan, and means nothing for pairs that are there.
_OF_A_PLAN = ("dim", "index", "metric", "m", "scalars_bytes", "keep_loaded", "keep_previous")


@click.command(epilog="Example:  python -m scripts capacity --rows 100M --dim 768 --index HNSW --memory 4x256Gi")
@click.option("--rows", metavar="N", help="Plan for so many rows, 250k or 100M, and ask no server. [default: the service's pairs as they are]")
@click.option("--dim", type=int, metavar="D", help="Numbers in a vector.")
@click.option("--index", type=click.Choice(_INDEXES), help="[default: the one that suits]")
@click.option("--metric", type=click.Choice(["COSINE", "IP", "L2"]), help="[default: COSINE]")
@click.option("--m", type=int, metavar="M", help="Links of HNSW, or parts that IVF_PQ cuts a vector into. [default: 16; a quarter of --dim]")
@click.option("--scalars-bytes", metavar="BYTES", help="Of a row's other columns, beside key and vector. [default: 64]")
@click.option("--keep-loaded", type=click.IntRange(0, 100), metavar="N", help="Predecessors that stay loaded. [default: 1]")
@click.option("--keep-previous", type=click.IntRange(0, 100), metavar="N", help="Predecessors that are kept. [default: 1]")
@click.option("--replicas", type=click.IntRange(1, 100), default=1, show_default=True, help="Copies of a pair in memory.")
@click.option("--memory", metavar="SIZE", help="Of the query nodes that there are: 64Gi, or 4x64Gi. [default: say which it takes]")
@options.config
@options.as_json
def capacity(config: Path, as_json: bool, rows: str | None, memory: str | None, replicas: int, **planned: Any) -> None:
    """Say what pairs need in memory and on disk, as they are or as planned, and whether the query nodes hold a promotion: 1 where they do not."""
    from scripts.capacity.nodes import Nodes
    from scripts.jobs import capacity as jobs

    nodes = Nodes.parse(memory) if memory else None
    if rows is None:
        if given := [name for name in _OF_A_PLAN if planned[name] is not None]:
            raise click.UsageError(f"--{given[0].replace('_', '-')} is for a plan: give --rows as well.")
        with console.opened(config) as kit:
            console.show(jobs.present(kit, nodes, replicas=replicas), as_json)
    console.show(_plan(rows or "", nodes, replicas, **planned), as_json)


def _plan(rows: str, nodes: Any, replicas: int, *, dim: int | None, index: str | None, metric: str | None, m: int | None, **others: Any) -> Any:
    from scripts.capacity import plan, quantities
    from scripts.capacity.moments import Window
    from scripts.capacity.needs import OF_UNKNOWN_LENGTH, Shape
    from scripts.jobs import capacity as jobs
    from scripts.layout import Metric

    if dim is None:
        raise click.UsageError("--rows needs --dim, the numbers in a vector.")
    if m is not None and index is None:
        raise click.UsageError("--m needs --index, which it is a setting of.")
    count, dim = quantities.rows(rows), quantities.within(dim, "--dim", 1, quantities.MAX_DIMENSION)
    columns = quantities.size(others["scalars_bytes"] or str(OF_UNKNOWN_LENGTH), "--scalars-bytes")
    quantities.within(columns, "--scalars-bytes", 0, plan.MAX_COLUMN_BYTES)
    previous = 1 if others["keep_previous"] is None else others["keep_previous"]
    loaded = min(1, previous) if others["keep_loaded"] is None else others["keep_loaded"]
    window = Window(loaded, previous, replicas)
    shape = Shape(dim, plan.asked_index(index or "HNSW", dim, Metric(metric or "COSINE"), m), columns)
    return jobs.plan(shape if index else plan.suited(shape, count, window, nodes), count, window, nodes)
