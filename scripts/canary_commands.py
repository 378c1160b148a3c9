"""`canary start`, `canary stop` and `canary report`: parse, call one job, show its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from scripts import console, options


@click.group(cls=console.InOrder, epilog="Example:  python -m scripts canary start --pair product_embeddings_v12_af8c1901 --share 0.05")
def canary() -> None:
    """Let a candidate answer a share of production's queries, or answer beside it unseen, and compare the two."""


def _command(name: str, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    def decorate(function: Callable[..., Any]) -> click.Command:
        return canary.command(name, epilog=f"Example:  python -m scripts canary {example}")(options.as_json(function))

    return decorate


@_command("start", "start --pair product_embeddings_v12_af8c1901 --share 0.05")
@options.pair
@click.option("--share", type=float, required=True, metavar="SHARE", help="Of the queries, above 0 and at most 0.5.")
@click.option("--mirror", is_flag=True, help="Production answers them all; the candidate is asked beside it, unseen.")
@options.config
def start(config: Path, pair: str | None, share: float, mirror: bool, as_json: bool) -> None:
    """Send a fixed share of users to a validated pair. Clients follow by themselves."""
    from scripts.canary import Mode
    from scripts.jobs import pair_file
    from scripts.jobs.canary import start as job

    with console.opened(config) as kit:
        result = job(kit, pair_file.named(kit, pair), share=share, mode=Mode.MIRROR if mirror else Mode.SPLIT)
    console.show(result, as_json)


@_command("stop", "stop")
@options.config
def stop(config: Path, as_json: bool) -> None:
    """Let production answer every query again."""
    from scripts.jobs.canary import stop as job

    with console.opened(config) as kit:
        result = job(kit)
    console.show(result, as_json)


@_command("report", "report outcomes/")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILES...")
@click.option("--id", "canary_id", default="", metavar="ID", help="Of the canary. [default: the last that was asked]")
def report(files: tuple[Path, ...], canary_id: str, as_json: bool) -> None:
    """Compare the candidate with production: clicks with an interval, errors, latency, overlap. FILES are what PairSearcher wrote, or folders of it."""
    from scripts.jobs.canary_report import canary_report

    console.show(canary_report(files, canary_id), as_json)
