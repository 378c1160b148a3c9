"""The command line: parse, call one job, show its result, exit with its code. No logic."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts import __version__, console, endings, notifying, options
from scripts.approve_commands import approve
from scripts.backup_commands import backup, restore
from scripts.canary_commands import canary
from scripts.capacity_commands import capacity
from scripts.ci_commands import discard, requirements
from scripts.golden_commands import golden
from scripts.health_commands import health
from scripts.perf_commands import perf
from scripts.release_commands import reconcile, trigger, watch
from scripts.role_commands import roles
from scripts.upkeep_commands import compact, ensure_loaded
from scripts.webhook_commands import webhook

if TYPE_CHECKING:
    from scripts.cluster import Crew
    from scripts.jobs.result import Result
    from scripts.pair import Build
    from scripts.wiring import Wiring

@click.group(cls=endings.Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__)
def main() -> None:
    """Promote an embedding model and the collection it produced as one versioned pair, with zero downtime.

    Exit codes: 0 done, 1 the answer is no, 2 usage or configuration, 3 inconclusive, 4 refused, 5 a service cannot be reached.
    """


def _command(example: str, **settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A command with --config and --json, whose help ends with an example."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        return main.command(epilog=f"Example:  python -m scripts {example}", **settings)(options.config(options.as_json(function)))

    return decorate


def _build_of(build_id: str | None, kit: Wiring) -> Build:
    import secrets

    from scripts.pair import Build

    environment = kit.settings.environment
    return Build(id=build_id or environment.build_id or secrets.token_hex(8), created_at=kit.now(), url=environment.build_url)


@_command("build --out pair.json")
@options.candidate
@options.reuse
@options.passes
@options.out
def build(config: Path, as_json: bool, model_version: int | None, build_id: str | None, reuse: str | None, out: Path | None, **how: Any) -> None:
    """Create, embed and finish the candidate's pair."""
    from scripts.jobs.build import build as job
    from scripts.jobs.create import Created
    from scripts.progress import line_of_its_own

    def created(first: Created) -> None:
        line_of_its_own(first.lines()[0])
        if out:
            first.write(out)

    with console.opened(config) as kit, options.passing(kit, **how) as passes:
        result = job(kit, pinned=model_version, build=_build_of(build_id, kit), how=passes, reuse=bool(reuse), created=created)
    console.show(result, as_json)


@_command("create --out pair.json")
@options.candidate
@click.option("--request", metavar="ID", help="What this pipeline was asked for; refused where another pipeline has that request.")
@options.out
def create(config: Path, as_json: bool, model_version: int | None, build_id: str | None, request: str | None, out: Path | None) -> None:
    """Find the candidate model version and create its version-stamped collection."""
    from scripts.jobs.create import create as job
    from scripts.jobs.trigger import keep

    with console.opened(config) as kit:
        keep(kit, request, model_version)
        result = job(kit, pinned=model_version, build=_build_of(build_id, kit))
    console.show(result, as_json, *([partial(result.write, out)] if out else []))


@_command("embed --pair pair.json --shard 0/4")
@options.pair
@click.option("--shard", metavar="I/N", help="Only this share of the keys; `finish` needs all. [default: CIRCLE_NODE_INDEX/CIRCLE_NODE_TOTAL, else all]")
@options.reuse
@options.passes
@options.engines
def embed(config: Path, as_json: bool, pair: str | None, shard: str | None, reuse: str | None, crew: Crew | None, **how: Any) -> None:
    """Make the pair's collection equal to the source. Safe to run again after a crash."""
    from scripts.jobs import pair_file
    from scripts.jobs.embed import embed_again as job

    result: Result
    with console.opened(config) as kit:
        name = pair_file.named(kit, pair)
        if crew:
            from scripts.cluster import embed_on_ray

            result = embed_on_ray(kit.settings, name, crew, reuse=bool(reuse), **how)
        else:
            with options.passing(kit, shard=shard or kit.settings.environment.shard, **how) as passes:
                result = job(kit, name, passes, reuse=bool(reuse))
    console.show(result, as_json)


@_command("finish --pair pair.json")
@options.pair
def finish(config: Path, as_json: bool, pair: str | None) -> None:
    """Flush, index and load the pair, and prove that it is ready."""
    from scripts.jobs import pair_file
    from scripts.jobs.finish import finish as job

    with console.opened(config) as kit:
        result = job(kit, pair_file.named(kit, pair))
    console.show(result, as_json)


@_command("catch-up product_embeddings_v12_af8c1901", name="catch-up")
@click.argument("pair")
@options.passes
def catch_up(config: Path, as_json: bool, pair: str, **how: Any) -> None:
    """Bring what changed in the source since a pair was built into that pair: a candidate, or `previous`, the one that a rollback goes to."""
    from scripts.jobs import pair_file
    from scripts.jobs.catch_up import PREVIOUS
    from scripts.jobs.catch_up import catch_up as job

    name = pair if pair == PREVIOUS else pair_file.read(pair)
    with console.opened(config) as kit, options.passing(kit, **how) as passes:
        result = job(kit, name, passes)
    console.show(result, as_json)


@_command("validate --pair pair.json --out evidence.json --report reports/")
@options.pair
@options.out
@options.report
@click.option("--replay", "log", type=click.Path(dir_okay=False, path_type=Path), metavar="LOG", help="Replay this log of real queries, too. [default: the suite's]")
def validate(config: Path, as_json: bool, pair: str | None, out: Path | None, report: Path | None, log: Path | None) -> None:
    """Run the golden queries against the pair and against production, look at the index, and give a verdict."""
    from scripts.jobs import pair_file
    from scripts.jobs.validate import validate as job

    with console.opened(config) as kit:
        result = job(kit, pair_file.named(kit, pair), log=log, tell=lambda step: click.echo(f"validate: {step}", err=True))
        notifying.judged(kit, result)
    wanted = ((out, result.write), (report, result.report))
    console.show(result, as_json, *(partial(write, path) for path, write in wanted if path))


@_command("replay --queries log.csv --pair product_embeddings_v12_af8c1901")
@click.option("--queries", "log", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, metavar="LOG", help="A log of real queries.")
@options.pair
@click.option("--k", type=click.IntRange(1, 100), default=10, show_default=True, help="How many results are compared.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="How many distinct queries are asked.")
def replay(config: Path, as_json: bool, log: Path, pair: str | None, k: int, limit: int) -> None:
    """Ask a log of real queries of the pair and of production, and show what changes. Needs no judgments, and stamps nothing."""
    from scripts.jobs import pair_file
    from scripts.jobs.replay import replay as job

    with console.opened(config) as kit:
        result = job(kit, pair_file.named(kit, pair), path=log, k=k, limit=limit)
    console.show(result, as_json)


@_command("promote --pair product_embeddings_v12_af8c1901 --dry-run")
@options.pair
@click.option("--evidence", metavar="DIGEST", help="The evidence digest that was approved; refuse any other.")
@options.reason
@options.dry_run
def promote(config: Path, as_json: bool, pair: str | None, evidence: str | None, reason: str, dry_run: bool) -> None:
    """Point production at a validated pair, see that it answers as it should, then move its model version in MLflow."""
    from scripts.jobs import pair_file
    from scripts.jobs.promote import Approval
    from scripts.jobs.promote import promote as job

    with console.opened(config) as kit:
        approval = Approval(evidence, reason, kit.settings.environment.build_id)
        name = pair_file.named(kit, pair)
        with notifying.notifying(kit, notifying.Attempt("promotion", name, reason), dry_run=dry_run) as told:
            told(result := job(kit, name, approval, dry_run=dry_run, tell=console.tell_step))
    console.show(result, as_json)


@_command("rollback --reason 'prices missing from results'")
@click.option("--to", metavar="PAIR", help="Another pair than the one that production replaced.")
@options.reason
@options.dry_run
def rollback(config: Path, as_json: bool, to: str | None, reason: str, dry_run: bool) -> None:
    """Point production back at the previous pair. Needs no source, no model and no MLflow."""
    from scripts.jobs import pair_file
    from scripts.jobs.rollback import rollback as job

    name = pair_file.read(to) if to is not None else None
    with console.opened(config) as kit:
        with notifying.notifying(kit, notifying.Attempt("rollback", name or "", reason), dry_run=dry_run) as told:
            told(result := job(kit, to=name, reason=reason, dry_run=dry_run, tell=console.tell_step))
    console.show(result, as_json)


@_command("cleanup --dry-run")
@options.dry_run
def cleanup(config: Path, as_json: bool, dry_run: bool) -> None:
    """Drop pairs that retention does not keep."""
    from scripts.jobs.cleanup import cleanup as job

    with console.opened(config) as kit:
        result = job(kit, dry_run=dry_run, tell=console.tell_step)
    console.show(result, as_json)


@_command("status --json")
@click.option("--count", is_flag=True, help="Read the source to count how many of its changes the pair lacks that a rollback goes to.")
def status(config: Path, as_json: bool, count: bool) -> None:
    """Show what production serves, every pair, whether a rollback is possible, and whether MLflow agrees."""
    from scripts.jobs.status import status as job

    with console.opened(config) as kit:
        result = job(kit, count=count)
    console.show(result, as_json)


@_command("history --limit 10")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
def history(config: Path, as_json: bool, limit: int) -> None:
    """List promotions, rollbacks and cleanups: who, when, why."""
    from scripts.jobs.history import history as job

    with console.opened(config) as kit:
        result = job(kit, limit=limit)
    console.show(result, as_json)


@_command("unlock --force")
@click.option("--force", is_flag=True, help="Also from one that may be alive.")
def unlock(config: Path, as_json: bool, force: bool) -> None:
    """Break the lock of a promotion, rollback or cleanup that hangs, and say what is broken."""
    from scripts.jobs.unlock import unlock as job

    with console.opened(config) as kit:
        result = job(kit, force=force)
    console.show(result, as_json)


@_command("search 'red leather sofa' --limit 5 --where 'price_cents < 50000'")
@click.argument("text")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--where", default="", metavar="FILTER", help="A Milvus filter over the stored columns.")
def search(config: Path, as_json: bool, text: str, limit: int, where: str) -> None:
    """Search production, with production's own model."""
    from scripts.jobs.search import search as job

    with console.opened(config) as kit:
        result = job(kit, text, limit=limit, where=where)
    console.show(result, as_json)


for command in (
    *(webhook, trigger, reconcile, watch, approve, discard, requirements),
    *(health, ensure_loaded, compact, perf, capacity, backup, restore, canary, golden, roles),
):
    main.add_command(command)


@main.command(epilog="Example:  python -m scripts demo --folder demo_run")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=Path("demo_run"), show_default=True, help="Where its files go.")
def demo(folder: Path) -> None:
    """Walk a pair through its whole life with embedded parts: build, validate, promote, search, roll back, clean up."""
    from scripts.demo.walk import walk

    walk(folder)
