"""`health`: parse, look once or again and again, show, write and serve what was found."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts import console, options

if TYPE_CHECKING:
    from scripts.clusters import Cluster
    from scripts.health.report import HealthReport
    from scripts.health.seen import Inspection
    from scripts.jobs.health import Place

# A single call may take this share of the time-out, so that one that hangs leaves time to say so.
CALL_SHARE = 0.25
EVERY_SECONDS = 60.0

clusters = click.option(
    "--clusters",
    "clusters_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A clusters.yaml: many servers at once. [default: the one of MILVUS_URI]",
)
timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="For each cluster, all at the same time.",
)


@click.command(epilog="Example:  python -m scripts health --clusters clusters.yaml --watch 30")
@clusters
@timeout
@click.option("--watch", "every", type=click.FloatRange(min=1), metavar="SECONDS", help="Look again and again, with so long a pause.")
@click.option("--metrics-file", type=click.Path(dir_okay=False, path_type=Path), help="Also write Prometheus text there, as a whole or not at all.")
@click.option(
    "--serve",
    "port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help=f"Serve it at http://127.0.0.1:PORT/metrics, renewed every --watch seconds, else {EVERY_SECONDS:g}.",
)
@options.config
@options.as_json
def health(
    config: Path, clusters_file: Path | None, timeout: float, every: float | None, metrics_file: Path | None, port: int | None, as_json: bool
) -> None:
    """Look at all collections of one or many clusters: rows, load, segments, how far each index covers them, and what is wrong.

    Exit codes: 0 healthy or warnings, 1 an error, 5 a cluster could not be seen. Only what has an alias makes it red.
    """
    from scripts.health import metrics
    from scripts.health.page import Page
    from scripts.jobs.health import health as job

    look = partial(job, places(config, clusters_file, timeout), within=timeout, now=lambda: datetime.now(UTC))
    if every is None and port is None:
        report = look()
        console.show(report, as_json, *([partial(_write, metrics_file, metrics.text(report))] if metrics_file else []))
    with ExitStack() as open_:
        every = every or EVERY_SECONDS
        page = open_.enter_context(Page(port, every)) if port is not None else None
        if page:
            click.echo(f"health: http://127.0.0.1:{page.port}/metrics", err=True)
        while True:
            report = look()
            text = metrics.text(report)
            if page:
                page.renew(text)
            if metrics_file:
                _write(metrics_file, text)
            _tell(report, as_json)
            time.sleep(every)


def places(config: Path, clusters_file: Path | None, timeout: float) -> list[Place]:
    """What is to be looked at: the clusters of the file, else the one server that the environment names."""
    from scripts import clusters
    from scripts import config as configuration
    from scripts.addresses import shown
    from scripts.jobs.health import Place

    environment = configuration.environment(config.parent)  # first, because what follows takes a milvus-lite file's MILVUS_URI away
    configuration.prepare_libraries()
    from scripts.adapters.milvus.inspection import MilvusInspection

    how = {"patience": CALL_SHARE * timeout, "tls": environment.milvus_tls}
    if clusters_file is None:
        uri = environment.milvus_uri
        return [Place("milvus", shown(uri), partial(MilvusInspection, uri, environment.milvus_token.get_secret_value(), **how))]

    def opened(cluster: Cluster) -> Inspection:
        return MilvusInspection(cluster.uri, cluster.token(configuration.secret), **how)

    return [Place(cluster.name, shown(cluster.uri), partial(opened, cluster)) for cluster in clusters.load(clusters_file)]


def _write(path: Path, text: str) -> None:
    from scripts import outputs

    outputs.replace(path, text.encode())


def _tell(report: HealthReport, as_json: bool) -> None:
    """One look among many: a line of JSON, or the table with its time."""
    lines = [f"{report.at:%Y-%m-%d %H:%M:%S} UTC", *report.lines(), ""]
    click.echo(json.dumps(report.facts(), ensure_ascii=False, default=str) if as_json else "\n".join(lines))
    sys.stdout.flush()
