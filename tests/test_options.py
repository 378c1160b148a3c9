"""Numbers on the command line."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from scripts.cli import main


def numbers(command: click.Command, path: str = "") -> Iterator[tuple[str, click.FloatRange]]:
    """Every option that takes a number with a fraction within a range."""
    for parameter in command.params:
        if isinstance(parameter.type, click.FloatRange):
            yield f"{path} {parameter.opts[-1]}", parameter.type
    for name, below in getattr(command, "commands", {}).items():
        yield from numbers(below, f"{path} {name}")


OPTIONS = dict(numbers(main))


@pytest.mark.parametrize("option", OPTIONS)
def test_no_option_takes_for_a_number_what_is_none(option):
    """`nan` lies within every range, and infinity within one that is open upwards: work would begin with it and end somewhere."""
    for text in ("nan", "-nan", "inf", "-inf", "1e999"):
        with pytest.raises(click.BadParameter, match="is no number to count with|is not in the range"):
            OPTIONS[option].convert(text, None, None)


def test_every_command_with_such_an_option_is_looked_at():
    """Options of groups, of commands, and of commands that share them."""
    assert {" embed --gpus-per-actor", " build --max-rows-per-second", " backup verify --max-age-days", " health --timeout", " perf --noise"} <= set(OPTIONS)
