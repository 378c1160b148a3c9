"""`health`: parse, look once or again and again, show, write and serve what was found."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts import console, options
from scripts.errors import UsageError

if TYPE_CHECKING:
    from scripts.clusters import Cluster
    from scripts.health.report import HealthReport
    from scripts.health.seen import Inspection
    from scripts.health.visit import Place

# A single call may take this share of the time-out, so that one that hangs leaves time to say so.
CALL_SHARE = 0.25
EVERY_SECONDS = 60.0
LOCAL = "127.0.0.1"

clusters = click.option(
    "--clusters",
    "clusters_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A clusters.yaml: many servers at once. [default: the one of MILVUS_URI]",
)
timeout = click.option(
    "--timeout",
    type=options.Seconds(),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="For each cluster, all at the same time.",
)


class _Served(click.ParamType):
    """PORT, or HOST:PORT."""

    name = "[host:]port"

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        if not port.isdecimal() or int(port) > 65_535:
            self.fail(f"{value!r} is not a port such as 9105, nor an address such as 0.0.0.0:9105.", parameter, ctx)
        return host.strip("[]") or LOCAL, int(port)


@click.command(epilog="Example:  python -m scripts health --clusters clusters.yaml --watch 30")
@clusters
@timeout
@click.option("--watch", "every", type=options.Seconds(), metavar="SECONDS", help="Look again and again, with so long a pause.")
@click.option("--metrics-file", type=click.Path(dir_okay=False, path_type=Path), help="Also write Prometheus text there, as a whole or not at all.")
@click.option(
    "--serve",
    "served",
    type=_Served(),
    metavar="[HOST:]PORT",
    help=f"Serve it at http://{LOCAL}:PORT/metrics, renewed every --watch seconds, else {EVERY_SECONDS:g}.",
)
@click.option("--all", "everything", is_flag=True, help="A line for each collection, however many are healthy and have no alias.")
@options.config
@options.as_json
def health(config: Path, clusters_file: Path | None, timeout: float, everything: bool, as_json: bool, **output: Any) -> None:
    """Look at all collections of one or many clusters: rows, load, segments, how far each index covers them, and what is wrong.

    Exit codes: 0 healthy or warnings, 1 an error, 5 a cluster could not be seen. Only what has an alias makes it red.
    """
    from scripts.jobs.health import health as job

    looked_at = places(config, clusters_file, timeout)

    def look() -> HealthReport:
        report = job(looked_at, within=timeout, now=lambda: datetime.now(UTC))
        return replace(report, quiet_lines=sys.maxsize) if everything else report

    if output["every"] is None and output["served"] is None:
        report, file = look(), output["metrics_file"]
        console.show(report, as_json, *([partial(_write, file, report)] if file else []))
    _again_and_again(look, timeout, as_json, **output)


def _again_and_again(
    look: Callable[[], HealthReport], timeout: float, as_json: bool, every: float | None, metrics_file: Path | None, served: tuple[str, int] | None
) -> None:
    """Ends only when it is ended: what cannot be written for once is said."""
    from scripts.health import metrics
    from scripts.health.page import Page

    every = every or EVERY_SECONDS
    with ExitStack() as open_:
        page = open_.enter_context(Page(served[1], every + timeout, served[0])) if served else None
        if page:
            click.echo(f"health: {page.address}/metrics", err=True)
        while True:
            report = look()
            if page:
                page.renew(metrics.text(report))
            if metrics_file:
                try:
                    _write(metrics_file, report)
                except UsageError as error:
                    click.echo(f"error: {error}", err=True)
            _tell(report, as_json)
            time.sleep(every)


def places(config: Path, clusters_file: Path | None, timeout: float) -> list[Place]:
    """What is to be looked at: the clusters of the file, else the one server that the environment names."""
    from scripts import clusters
    from scripts import config as configuration
    from scripts.addresses import shown
    from scripts.health.visit import Place
    from scripts.tls import OPEN

    environment = configuration.environment(config.parent)  # first, because what follows takes a milvus-lite file's MILVUS_URI away
    configuration.prepare_libraries()
    from scripts.adapters.milvus.inspection import MilvusInspection

    patience = CALL_SHARE * timeout
    if clusters_file is None:
        uri, token = environment.milvus_uri, environment.milvus_token.get_secret_value()
        return [Place("milvus", shown(uri), partial(MilvusInspection, uri, token, patience, environment.milvus_tls))]

    def opened(cluster: Cluster) -> Inspection:
        tls = environment.milvus_tls if cluster.uri.startswith("https://") else OPEN  # the laptop's among them needs none
        return MilvusInspection(cluster.uri, cluster.token(configuration.secret), patience, tls)

    return [
        Place(cluster.name, shown(cluster.uri), partial(opened, cluster), cluster.token_variable or "its token_variable")
        for cluster in clusters.load(clusters_file)
    ]


def _write(path: Path, report: HealthReport) -> None:
    from scripts import outputs
    from scripts.health import metrics

    outputs.replace(path, metrics.text(report).encode())


def _tell(report: HealthReport, as_json: bool) -> None:
    """One look among many: a line of JSON, or the table with its time."""
    lines = [f"{report.at:%Y-%m-%d %H:%M:%S} UTC", *report.lines(), ""]
    click.echo(json.dumps(report.facts(), ensure_ascii=False, default=str) if as_json else "\n".join(lines))
    sys.stdout.flush()
