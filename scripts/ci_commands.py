"""`discard` and `requirements`, which are of use in a pipeline: parse, call one job, show its result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from scripts import console, notifying, options


def _command(example: str) -> Callable[[Callable[..., Any]], click.Command]:
    """With --config and --json, and a help that ends with an example."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        return click.command(epilog=f"Example:  python -m scripts {example}")(options.config(options.as_json(function)))

    return decorate


@_command("discard --cancelled")
@options.pair
@click.option("--cancelled", is_flag=True, help="Somebody said no at the approval: drop also a pair that was validated.")
@options.reason
@options.dry_run
def discard(config: Path, as_json: bool, pair: str | None, cancelled: bool, reason: str, dry_run: bool) -> None:
    """Drop the pair of this pipeline after its gate refused it or its approval was cancelled. What a rerun may go on with stays."""
    from scripts.jobs import pair_file
    from scripts.jobs.discard import discard as job

    name = pair_file.read(pair) if pair else None
    with console.opened(config) as kit:
        result = job(kit, name, cancelled=cancelled, reason=reason, dry_run=dry_run, tell=console.tell_step)
        notifying.left_over(kit, result)
    console.show(result, as_json)


@_command("requirements --out requirements-model.txt")
@options.pair
@click.option("--model-version", type=click.IntRange(min=1), help="Of this version instead of the candidate.")
@options.out
def requirements(config: Path, as_json: bool, pair: str | None, model_version: int | None, out: Path | None) -> None:
    """List the packages that the candidate's model and production's require besides the kit's own, for `pip install -r`."""
    from scripts.jobs import pair_file
    from scripts.jobs.requirements import requirements as job

    name = pair_file.read(pair) if pair else None
    with console.opened(config) as kit:
        result = job(kit, name, model_version)
    console.show(result, as_json, *([partial(result.write, out)] if out else []))
