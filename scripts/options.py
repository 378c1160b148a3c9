"""Options that several commands share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from scripts.sync import Pass
    from scripts.wiring import Wiring

Command = Callable[..., Any]
LONGEST_SECONDS = 30 * 86_400


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


def can_be_made(ctx: click.Context, parameter: click.Parameter, folder: Path | None) -> Path | None:
    """Found out before the work, not after it."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.BadParameter(f"{str(folder)!r} cannot be made: {error.strerror}.") from None
    return folder


class Number(click.FloatRange):
    """A finite number within a range: `nan` lies within every range (click 8.5), and `inf` within one that is open upwards."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        number = float(super().convert(value, parameter, context))
        if not math.isfinite(number):
            self.fail(f"{value} is no number to count with.", parameter, context)
        return number


class Seconds(Number):
    """From one second to thirty days, which every clock and lock can count."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=1, max=LONGEST_SECONDS)


CONFIG, CONFIGS = "promotion.yaml", "services/*/promotion.yaml"


def _all_services(ctx: click.Context, parameter: click.Parameter, given: tuple[Path, ...]) -> tuple[Path, ...]:
    """Those that were named; else this folder's one, else all of its services."""
    return given or (tuple(sorted(Path().glob(CONFIGS))) if not Path(CONFIG).exists() else ()) or (Path(CONFIG),)


config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(CONFIG),
    envvar="PROMOTION_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The service's configuration.",
)
configs = click.option(
    "--config",
    "configs",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_all_services,
    envvar="PROMOTION_CONFIG",
    show_envvar=True,
    help=f"A service's configuration; may be given several times. [default: {CONFIG}, else {CONFIGS}]",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON, for machines.")
pair = click.option("--pair", metavar="PAIR", help="A pair's name, or the pair.json that `create --out` wrote. [default: this pipeline's, by CIRCLE_PIPELINE_ID]")
out = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), callback=_can_be_written, help="Also write the result to this file.")
report = click.option(
    "--report", type=click.Path(file_okay=False, path_type=Path), callback=can_be_made, metavar="FOLDER", help="Write report.html, junit.xml and others there."
)
reason = click.option("--reason", default="", help="Why; it is kept with the pair and in the history.")
dry_run = click.option("--dry-run", is_flag=True, help="Print the plan and change nothing.")
reuse = click.option(
    "--from", "reuse", type=click.Choice(["production"]), help="Copy the vectors of texts that production has too, if the same embedding made them."
)


def candidate(function: Command) -> Command:
    """Which version, and which attempt at it."""
    function = click.option("--model-version", type=click.IntRange(min=1), help="Pin this version instead of the candidate.")(function)
    return click.option("--build-id", help="Names the attempt: the same id finds the same pair again. [default: CIRCLE_PIPELINE_ID, else CIRCLE_WORKFLOW_ID, else random]")(function)


def passes(function: Command) -> Command:
    """How a pass over the source goes about it; given to the command as keyword arguments, for `passing`."""
    for option in (
        click.option("--writer", type=click.Choice(["rows", "bulk"]), default="rows", show_default=True, help="bulk: files that Milvus imports by itself."),
        click.option("--allow-empty", is_flag=True, help="Let a source without rows empty the collection."),
        click.option("--max-rows-per-second", type=Number(min=0, min_open=True), metavar="N", help="Write no faster, to spare a shared cluster."),
    ):
        function = option(function)
    return function


def engines(function: Command) -> Command:
    """Where `embed` runs; given to the command as `crew`, which is None for this process."""
    on_ray = (
        click.option("--actors", type=click.IntRange(min=1), metavar="N", help="Copies of the model on the Ray cluster. [default: 1]"),
        click.option("--shards", type=click.IntRange(min=1), metavar="N", help="Into how many parts the keys are divided. [default: 4 per actor]"),
        click.option("--gpus-per-actor", type=Number(min=0), metavar="G", help="A share such as 0.5, or whole ones. [default: 0]"),
        click.option("--ray-address", metavar="HOST:PORT", help="The cluster's head. [default: RAY_ADDRESS, else the cluster of this machine]"),
    )

    @functools.wraps(function)
    def command(*args: Any, engine: str, **others: Any) -> Any:
        crew = {name: others.pop(name) for name in ("actors", "shards", "gpus_per_actor", "ray_address")}
        foreign = {"shard": others["shard"]} if engine == "ray" else crew
        if given := [name for name, value in foreign.items() if value is not None]:
            raise click.UsageError(f"--{given[0].replace('_', '-')} does not go with --engine {engine}.")
        if engine == "local":
            return function(*args, crew=None, **others)
        from scripts.cluster import Crew

        return function(*args, crew=Crew.of(**crew), **others)

    for option in reversed(on_ray):
        command = option(command)
    return click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="This process, or an existing Ray cluster.")(command)


@contextmanager
def passing(kit: Wiring, *, max_rows_per_second: float | None, allow_empty: bool, writer: str, shard: str | None = None) -> Iterator[Pass]:
    """A pass that shows its progress, and that SIGUSR1 pauses and SIGUSR2 resumes."""
    from scripts.pace import Pace, obeying_signals
    from scripts.progress import progress
    from scripts.shards import Shard
    from scripts.sync import Pass

    if writer == "bulk":
        kit.refuse_without_bulk()
    pace = Pace(max_rows_per_second)
    part = Shard.parse(shard) if shard else Shard()
    with progress("embed", kit.source.rows_estimate()) as advance, obeying_signals(pace):
        yield Pass(shard=part, pace=pace, allow_empty=allow_empty, importer=kit.importer if writer == "bulk" else None, advance=advance)
