"""The figures of docs/safety.md.

    python -m benchmarks.safety crashes
    python -m benchmarks.safety race
    python -m benchmarks.safety seconds

Each starts a Milvus 2.3.5 and an MLflow of its own. Prints tables, tells what it does on standard error, and ends with 1 where something was wrong.
"""

from __future__ import annotations

import sys

import click

from benchmarks.safety import crashes, races, seconds

BACKENDS = ("server", "lite")
KINDS = ("steps", "writes")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Kill, race and time the acts that change production."""


@main.command("crashes")
@click.option("--milvus", "backends", type=click.Choice(BACKENDS), multiple=True, default=BACKENDS, show_default=True)
@click.option("--kill", "kinds", type=click.Choice(KINDS), multiple=True, default=KINDS, show_default=True, help="After each step, or at each write.")
@click.option("--act", "acts", multiple=True, help="Only these, by the names in the table.")
def crash(backends: tuple[str, ...], kinds: tuple[str, ...], acts: tuple[str, ...]) -> None:
    """`kill -9` of every act at every moment, and the same command again. About an hour for everything."""
    found = [cell for backend in backends for cell in crashes.cells(backend, acts, kinds)]
    click.echo(crashes.table(found))
    sys.exit(any(cell.wrong for cell in found))


@main.command()
@click.option("--processes", type=click.IntRange(2), default=8, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=50, show_default=True)
@click.option("--others", type=click.IntRange(0), default=10, show_default=True, help="Rounds of each other kind.")
def race(processes: int, rounds: int, others: int) -> None:
    """Different pairs promoted by several processes at the same moment; one may win."""
    found = races.rounds(processes, rounds, others)
    click.echo(races.table(found))
    sys.exit(any(each.wrong for each in found))


@main.command("seconds")
@click.option("--times", type=click.IntRange(1), default=10, show_default=True, help="How often each side runs.")
def timed(times: int) -> None:
    """A rollback until the alias is switched, over a process that does nothing else; and the steps of each act."""
    click.echo(seconds.measured(times))


if __name__ == "__main__":
    main()
