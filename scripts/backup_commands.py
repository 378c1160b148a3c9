"""`backup`, `backup verify` and `restore`: parse, call one job, show its result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts import console, options

if TYPE_CHECKING:
    from scripts.adapters.backup_files import BackupFiles
    from scripts.wiring import Wiring


@click.group(
    cls=console.InOrder,
    invoke_without_command=True,
    epilog="Example:  python -m scripts backup --pair product_embeddings_v12_af8c1901 --to s3://backups/product_embeddings_v12_af8c1901",
)
@options.pair
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
    from scripts.jobs.backup import backup as job
    from scripts.progress import progress

    with console.opened(config) as kit:
        name, folder = pair_file.named(kit, pair), _folder(kit, to)
        result = job(kit, name, folder, progress)
    console.show(result, as_json)


@backup.command("verify", epilog="Example:  python -m scripts backup verify s3://backups/product_embeddings_v12_af8c1901")
@click.argument("folder")
@options.config
@options.as_json
def verify(folder: str, config: Path, as_json: bool) -> None:
    """Try a backup out: check its files, restore it under a name of its own, compare, drop that again. For a schedule."""
    from scripts.jobs.restore import try_out
    from scripts.progress import progress

    with console.opened(config) as kit:
        result = try_out(kit, _folder(kit, folder), progress)
    console.show(result, as_json)


@click.command(epilog="Example:  python -m scripts restore s3://backups/product_embeddings_v12_af8c1901")
@click.argument("folder")
@click.option("--as", "name", metavar="PAIR", help="Another name: the same service and model version, another build. [default: the name that was backed up]")
@options.config
@options.as_json
def restore(folder: str, name: str | None, config: Path, as_json: bool) -> None:
    """Make a backed-up pair a collection again on this MILVUS_URI, and prove it: count, content, sample search. Never over anything that is there."""
    from scripts.jobs.restore import restore as job
    from scripts.progress import progress

    with console.opened(config) as kit:
        result = job(kit, _folder(kit, folder), name, progress)
    console.show(result, as_json)


def _folder(kit: Wiring, uri: str) -> BackupFiles:
    """A plain path is where the command is run, as of any other program."""
    from scripts.adapters.backup_files import open_folder

    return open_folder(uri, Path.cwd())
