"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from scripts.sync import Pass
    from scripts.wiring import Wiring

Command = Callable[..., Any]


def _can_be_written(ctx: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Found out before the work, not after it."""
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.BadParameter(f"{str(path)!r} cannot be written: {error.strerror}.") from None
    if path.is_dir():
        raise click.BadParameter(f"{str(path)!r} is a folder.")
    return path


config = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), default=Path("promotion.yaml"), show_default=True, help="The service's configuration."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON, for machines.")
pair = click.option("--pair", required=True, metavar="PAIR", help="A pair's name, or the pair.json that `create --out` wrote.")
out = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), callback=_can_be_written, help="Also write the result to this file.")
dry_run = click.option("--dry-run", is_flag=True, help="Print the plan and change nothing.")
reuse = click.option(
    "--from", "reuse", type=click.Choice(["production"]), help="Copy the vectors of texts that production has too, if the same embedding made them."
)


def candidate(function: Command) -> Command:
    """Which version, and which attempt at it."""
    function = click.option("--model-version", type=click.IntRange(min=1), help="Pin this version instead of the candidate.")(function)
    return click.option("--build-id", help="Names the attempt: the same id finds the same pair again. [default: CIRCLE_WORKFLOW_ID, else random]")(function)


def passes(function: Command) -> Command:
    """How a pass over the source goes about it; given to the command as keyword arguments, for `passing`."""
    for option in (
        click.option("--allow-empty", is_flag=True, help="Let a source without rows empty the collection."),
        click.option("--max-rows-per-second", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Write no faster, to spare a shared cluster."),
    ):
        function = option(function)
    return function


@contextmanager
def passing(kit: Wiring, *, max_rows_per_second: float | None, allow_empty: bool, shard: str | None = None) -> Iterator[Pass]:
    """A pass that shows its progress, and that SIGUSR1 pauses and SIGUSR2 resumes."""
    from scripts.pace import Pace, obeying_signals
    from scripts.progress import progress
    from scripts.shards import Shard
    from scripts.sync import Pass

    pace = Pace(max_rows_per_second)
    part = Shard.parse(shard) if shard else Shard()
    with progress("embed", kit.source.rows_estimate()) as advance, obeying_signals(pace):
        yield Pass(shard=part, pace=pace, allow_empty=allow_empty, advance=advance)
