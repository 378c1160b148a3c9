"""`trigger`, `reconcile` and `watch`: parse, call one job for each service, show its result."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts import console, options
from scripts.errors import KitError

if TYPE_CHECKING:
    from scripts.jobs.reconcile import Reconciled


def _command(example: str) -> Callable[[Callable[..., Any]], click.Command]:
    def decorate(function: Callable[..., Any]) -> click.Command:
        return click.command(epilog=f"Example:  python -m scripts {example}")(options.as_json(function))

    return decorate


@_command("trigger --model-version 7")
@options.config
@click.option("--model-version", type=click.IntRange(min=1), help="Another version than the candidate.")
@click.option("--again", is_flag=True, help="Also where the version has a pipeline or a pair.")
@click.option("--reason", default="asked for by hand", show_default=True, help="Why; it is kept with the request.")
def trigger(config: Path, model_version: int | None, again: bool, reason: str, as_json: bool) -> None:
    """Start the pipeline that builds a model version, unless it has one."""
    from scripts.jobs.trigger import trigger as job

    with console.opened(config) as kit:
        result = job(kit, model_version, why=reason, again=again)
    console.show(result, as_json)


@_command("reconcile --config services/shop/promotion.yaml")
@options.configs
def reconcile(configs: tuple[Path, ...], as_json: bool) -> None:
    """Start the pipeline of every candidate that has neither pair nor pipeline, once. For a schedule."""
    told: list[dict[str, Any]] = []
    exit_code = 0
    for path, result in _round(configs):
        if isinstance(result, KitError):
            click.echo(f"error: {path}: {result}", err=True)
            exit_code = exit_code or result.exit_code
            continue
        told.append(result.facts())
        if not as_json:
            click.echo("\n".join(result.lines()))
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    sys.exit(exit_code)


@_command("watch --every 60")
@options.configs
@click.option("--every", type=options.Seconds(), default=60, show_default=True, metavar="SECONDS", help="Between two looks.")
def watch(configs: tuple[Path, ...], every: float, as_json: bool) -> None:
    """Do what `reconcile` does, again and again. Tells what has changed; a service that cannot be reached is asked again."""
    last: dict[Path, str] = {}
    while True:
        for path, result in _round(configs):
            failed = isinstance(result, KitError)
            told = f"error: {path}: {result}" if failed else json.dumps(result.facts(), ensure_ascii=False) if as_json else "\n".join(result.lines())
            if last.get(path) != told:
                click.echo(told, err=failed)
                sys.stdout.flush()
            last[path] = told
        time.sleep(every)


def _round(configs: tuple[Path, ...]) -> Iterator[tuple[Path, Reconciled | KitError]]:
    """Each service by itself: one that fails keeps no other from its turn."""
    from scripts.jobs.reconcile import reconcile as job

    for path in configs:
        try:
            with console.opened(path) as kit:
                yield path, job(kit)
        except KitError as error:
            yield path, error
