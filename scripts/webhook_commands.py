"""`webhook`, `webhook register` and `webhook doctor`: parse, call one job, show its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from scripts import console, options

if TYPE_CHECKING:
    from scripts.settings import Settings
    from scripts.webhooks import Webhooks


@click.group(cls=console.InOrder, invoke_without_command=True, epilog="Example:  python -m scripts webhook --port 8700")
@options.configs
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens; leave it to a proxy to be seen from outside.")
@click.option("--port", type=click.IntRange(0, 65535), default=8700, show_default=True)
@click.pass_context
def webhook(ctx: click.Context, configs: tuple[Path, ...], host: str, port: int) -> None:
    """Receive MLflow's webhooks at /mlflow: verify them by WEBHOOK_SECRET and start the pipeline of each new candidate, once."""
    if ctx.invoked_subcommand:
        misplaced = {"configs": "--config", "host": "--host", "port": "--port"}
        if given := [option for name, option in misplaced.items() if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]:
            raise click.UsageError(f"{given[0]} before `{ctx.invoked_subcommand}` is the receiver's.")
        return
    from scripts.receiver import opening

    opening.run(opening.services(configs), host, port)


def _command(name: str, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    def decorate(function: Callable[..., Any]) -> click.Command:
        return webhook.command(name, epilog=f"Example:  python -m scripts webhook {example}")(options.configs(options.as_json(function)))

    return decorate


@_command("register", "register https://hooks.example/mlflow")
@click.argument("url")
def register(configs: tuple[Path, ...], url: str, as_json: bool) -> None:
    """Create or update MLflow's webhook for the receiver at URL, as MLflow's server reaches it, then have MLflow test it."""
    from scripts.jobs.webhook_register import register as job

    found, hooks, key = _opened(configs)
    console.show(job(hooks, found, url, key), as_json)


@_command("doctor", "doctor https://hooks.example/mlflow")
@click.argument("url", required=False, default="")
def doctor(configs: tuple[Path, ...], url: str, as_json: bool) -> None:
    """Find out why events do not arrive. Without URL, all webhooks that `register` made. Ends with 1 where something is wrong."""
    from scripts.jobs.webhook_doctor import doctor as job

    found, hooks, key = _opened(configs)
    console.show(job(hooks, found, url, key), as_json)


def _opened(configs: tuple[Path, ...]) -> tuple[Sequence[Settings], Webhooks, bytes]:
    from scripts import signatures
    from scripts.receiver import opening

    found = opening.services(configs)
    return found, opening.open_webhooks(found), signatures.key(found[0].environment.webhook_secret)
