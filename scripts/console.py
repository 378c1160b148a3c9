"""How every command opens its parts and shows its result."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.errors import harmless

if TYPE_CHECKING:
    from scripts.jobs.result import Result
    from scripts.switch import Step
    from scripts.wiring import Wiring


class InOrder(click.Group):
    """Lists its commands in the order of a pair's life, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def opened(config: Path) -> Wiring:
    """The parts that this configuration names."""
    from scripts import config as configuration
    from scripts.wiring import Wiring

    return Wiring(configuration.load(config))


def tell_step(step: Step, remark: str) -> None:
    """A step of a plan is done."""
    click.echo(f"  {step.name}{f': {remark}' if remark else ''}", err=True)


def show(result: Result, as_json: bool, *writes: Callable[[], None]) -> None:
    """Prints it, then does what is to be written, which may fail, and ends with its exit code."""
    try:
        if as_json:
            click.echo(json.dumps(_without_nan(result.facts()), indent=2, ensure_ascii=False, default=str, allow_nan=False))
        else:
            click.echo("\n".join(map(harmless, result.lines())))
    finally:  # also where nobody reads on
        for write in writes:
            write()
    sys.exit(result.exit_code)


def _without_nan(value: Any) -> Any:
    """NaN, which says "no number" in a double column, is null in JSON."""
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
