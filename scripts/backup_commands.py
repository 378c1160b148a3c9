"""`backup`, `backup verify` and `restore`: parse, call one job, show its result."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts import console, options

if TYPE_CHECKING:
    from scripts.adapters.backup_files import BackupFiles

# A hundred years: what is longer is a slip of the hand.
MOST_DAYS = 36_500


@click.group(
    cls=console.InOrder,
    invoke_without_command=True,
    epilog="Example:  python -m scripts backup --pair production --to s3://backups/shop/2026-11-21",
)
@click.option("--pair", metavar="PAIR", help="A pair's name, `production`, or the pair.json that `create --out` wrote. [default: this pipeline's, by CIRCLE_PIPELINE_ID]")
@click.option("--to", metavar="FOLDER", help="An empty folder on this machine or s3://…, or one in which a backup of the pair was begun.")
@options.config
@options.as_json
@click.pass_context
def backup(ctx: click.Context, pair: str | None, to: str | None, config: Path, as_json: bool) -> None:
    """Write a pair (rows, vectors, stamp, schema, index) to Parquet files with checksums. Run it again after a crash: it goes on."""
    if ctx.invoked_subcommand:
        if pair or to:
            raise click.UsageError(f"--pair and --to do not go with `{ctx.invoked_subcommand}`.")
        return
    if not to:
        raise click.UsageError("Missing option '--to'.")
    from scripts.jobs import pair_file
    from scripts.jobs.backup import PRODUCTION
    from scripts.jobs.backup import backup as job
    from scripts.progress import progress

    with console.opened(config) as kit:
        name, folder = pair if pair == PRODUCTION else pair_file.named(kit, pair), _folder(to)
        result = job(kit, name, folder, progress)
    console.show(result, as_json)


@backup.command("verify", epilog="Example:  python -m scripts backup verify s3://backups/shop --max-age-days 2")
@click.argument("folder")
@click.option("--max-age-days", type=options.Number(0, MOST_DAYS, min_open=True), metavar="D", help="Exit code 1 where the backup was begun longer ago than this.")
@options.config
@options.as_json
def verify(folder: str, max_age_days: float | None, config: Path, as_json: bool) -> None:
    """Try a backup out, or the newest one below FOLDER: check its files, restore it under a name of its own, compare, drop that again. For a schedule."""
    from scripts.jobs.backup_verify import verify as job
    from scripts.progress import progress

    max_age = timedelta(days=max_age_days) if max_age_days is not None else None
    with console.opened(config) as kit:
        result = job(kit, _folder(folder), progress, max_age)
    console.show(result, as_json)


@click.command(epilog="Example:  python -m scripts restore s3://backups/shop/2026-11-21")
@click.argument("folder")
@click.option("--as", "name", metavar="PAIR", help="Another name: the same service and model version, another build. [default: the name that was backed up]")
@options.config
@options.as_json
def restore(folder: str, name: str | None, config: Path, as_json: bool) -> None:
    """Make a backed-up pair a collection again on this MILVUS_URI, and prove it: count, content, sample search. Never over anything that is there."""
    from scripts.jobs.restore import restore as job
    from scripts.progress import progress

    with console.opened(config) as kit:
        result = job(kit, _folder(folder), name, progress)
    console.show(result, as_json)


def _folder(uri: str) -> BackupFiles:
    """A plain path is where the command is run, as of any other program."""
    from scripts.adapters.backup_files import open_folder

    return open_folder(uri, Path.cwd())
