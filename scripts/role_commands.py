"""`roles setup` and `roles show`: parse, call one job, show its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from scripts import console, options


@click.group(cls=console.InOrder, epilog="Example:  python -m scripts roles setup --dry-run")
def roles() -> None:
    """Give each job on Milvus its own role: builder, promoter, janitor and reader. To be run by an administrator."""


def _command(name: str, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    def decorate(function: Callable[..., Any]) -> click.Command:
        prefixed = click.option("--prefix", default="", metavar="P", help="Begins every name, where several installations share a server.")(function)
        return roles.command(name, epilog=f"Example:  python -m scripts roles {example}")(options.as_json(prefixed))

    return decorate


@_command("setup", "setup --dry-run")
@options.dry_run
def setup(prefix: str, dry_run: bool, as_json: bool) -> None:
    """Create the roles and bring their grants to what the jobs need: no less, and no more.

    For each of MILVUS_BUILDER_PASSWORD, MILVUS_PROMOTER_PASSWORD, MILVUS_JANITOR_PASSWORD and MILVUS_READER_PASSWORD that is set, a user of the
    role's name is made as well. MILVUS_TOKEN is an administrator's, such as root's.
    """
    from scripts import config
    from scripts.jobs.roles import setup as job
    from scripts.wiring import open_roles

    with open_roles(config.environment(Path())) as control:
        result = job(control, config.role_passwords(), prefix=prefix, dry_run=dry_run)
    console.show(result, as_json)


@_command("show", "show --json")
def show(prefix: str, as_json: bool) -> None:
    """Show the roles that are there, their users, and what they lack or have without need."""
    from scripts import config
    from scripts.jobs.roles import show as job
    from scripts.wiring import open_roles

    with open_roles(config.environment(Path())) as control:
        result = job(control, prefix=prefix)
    console.show(result, as_json)
