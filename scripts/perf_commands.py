"""`perf`: parse, call the job, show and write its result."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts import console, options
from scripts.errors import KitError, UsageError

if TYPE_CHECKING:
    from scripts.adapters.milvus.searching import MilvusSearched
    from scripts.perf.queries import Queries
    from scripts.perf.report import Report

MOST_WORKERS = 256


def _workers(ctx: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(int(number) for number in text.split(",")))
    except ValueError:
        numbers = ()
    if not numbers or not all(1 <= number <= MOST_WORKERS for number in numbers):
        raise click.BadParameter(f"{text!r} is no list of numbers from 1 to {MOST_WORKERS}, such as 1,4,16.")
    return numbers


def _sweep(ctx: click.Context, parameter: click.Parameter, text: str | None) -> str:
    from scripts.perf import sweep

    if text is not None and text != sweep.AUTO:
        try:
            sweep.parsed(text)
        except KitError as error:
            raise click.BadParameter(str(error)) from None
    return text or ""


def _bare(ctx: click.Context, parameter: click.Parameter, text: str) -> str:
    """What is blank is no filter."""
    return text.strip()


_report = click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    callback=options.can_be_made,
    metavar="FOLDER",
    help="Write report.html, its plot as SVG, CSV and JSON there.",
)
_SECONDS = {"show_default": True, "metavar": "S"}
MOST_SECONDS = 3_600
# Fewer carry no interval (quality.statistics), and of more each takes its share of a pass over all rows.
RECALL_QUERIES = (50, 5_000)


@click.command(epilog="Example:  python -m scripts perf product_embeddings_prod --sweep auto --target-recall 0.98 --report perf/")
@click.argument("name")
@click.option("--queries", "count", type=click.IntRange(1, 100_000), metavar="N", help="How many distinct queries. [default: 10000; of a log 1000]")
@click.option("--noise", type=options.Number(0, 100), help="How far from a row its query is. [default: 1.2]")
@click.option("--seed", type=click.IntRange(min=0), help="Other queries. [default: 0]")
@click.option("--log", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Real queries, encoded by the pair's own model.")
@click.option("--concurrency", default="1,4,16", show_default=True, callback=_workers, metavar="N,…", help="Searches at once, level by level.")
@click.option("--seconds", type=options.Number(0, MOST_SECONDS, min_open=True), default=5, help="For each level.", **_SECONDS)
@click.option("--warm-up", type=options.Number(0, MOST_SECONDS), default=1, help="Before each level, unmeasured.", **_SECONDS)
@click.option("--timeout", type=options.Number(0, MOST_SECONDS, min_open=True), default=10, help="For a single search.", **_SECONDS)
@click.option("--k", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many hits are asked for.")
@click.option("--filter", "where", default="", callback=_bare, metavar="FILTER", help="A Milvus filter that every search has.")
@click.option("--field", default="", help="The vector field, where there are several.")
@click.option("--sweep", callback=_sweep, metavar="PARAM=N,…|auto", help="Recall and latency of these, at the first level.")
@click.option("--target-recall", type=options.Number(0, 1, min_open=True, max_open=True), help="The cheapest to reach it? [default: 0.95]")
@click.option("--recall-queries", type=click.IntRange(*RECALL_QUERIES), metavar="N", help="So many of them for recall. [default: 500]")
@_report
@options.config
@options.as_json
def perf(name: str, config: Path, as_json: bool, report: Path | None, field: str, **asked: Any) -> None:
    """Measure the latency and throughput of a collection or alias with distinct queries; sweep ef or nprobe against exact search.

    Reads only. Exit codes: 1 no setting reaches --target-recall, 3 too few queries to say, 4 it was dropped meanwhile, 5 the server stopped answering.
    """
    from scripts.jobs.perf import perf as job
    from scripts.perf.plan import Plan

    count, noise, seed, log = (asked.pop(each) for each in ("count", "noise", "seed", "log"))
    for only in ("target_recall", "recall_queries"):
        if asked[only] is None:
            del asked[only]
        elif not asked["sweep"]:
            raise click.UsageError(f"--{only.replace('_', '-')} goes with --sweep.")
    if log and (noise is not None or seed is not None):
        raise click.UsageError("--noise and --seed do not go with --log.")
    plan = Plan(**asked)
    with ExitStack() as open_:
        searched = _searched(open_, config, name, field)
        prepare = partial(_sampled, searched, count, noise, seed) if log is None else partial(_logged, open_, config, searched, log, count)
        result = job(searched, plan, prepare, lambda step: click.echo(f"perf: {step}", err=True))
    console.show(result, as_json, *([partial(_write, result, report)] if report else []))


def _write(result: Report, folder: Path) -> None:
    from scripts.perf import files

    files.write(result, folder)


def _searched(open_: ExitStack, config: Path, name: str, field: str) -> MilvusSearched:
    """Needs no promotion.yaml: the collection may be anybody's."""
    from scripts import config as configuration
    from scripts.layout import FIELD_NAME
    from scripts.wiring import open_store

    environment = configuration.environment(config.parent)
    configuration.prepare_libraries()
    from scripts.adapters.milvus.searching import MilvusSearched, refuse_missing_file

    if not FIELD_NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is no name that a collection or alias may have.")
    refuse_missing_file(environment.milvus_uri)
    return MilvusSearched(open_.enter_context(open_store(environment)), name, field)


def _sampled(searched: MilvusSearched, count: int | None, noise: float | None, seed: int | None) -> Queries:
    from scripts.perf.queries import Sampling, sampled

    given = {name: value for name, value in {"count": count, "noise": noise, "seed": seed}.items() if value is not None}
    return sampled(searched, Sampling(**given))


def _logged(open_: ExitStack, config: Path, searched: MilvusSearched, log: Path, count: int | None) -> Queries:
    from scripts.encoding import stamped_encoder
    from scripts.perf.queries import logged
    from scripts.quality.query_log import LIMIT, read_log

    kit = open_.enter_context(console.opened(config))
    return logged(searched.target, read_log(log, count or LIMIT), lambda stamp: stamped_encoder(kit.registry, stamp, kit.settings.model_cache))
