"""Progress of long work, on standard error: a bar on a terminal, a plain line every 30 seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

LINE_EVERY_SECONDS = 30.0
_CLEARED = "\r\033[K"


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with the number of rows just done. `total` may be unknown."""
    if sys.stderr.isatty():
        began, done = time.monotonic(), 0
        bar = click.progressbar(
            length=total or 0, label=label, file=sys.stderr, show_pos=True, show_eta=total is not None, item_show_func=lambda rate: rate
        )
        bar.length = total  # click takes no None above, and would show 500/0
        with bar:

            def advance(rows: int) -> None:
                nonlocal done
                done += rows
                bar.update(rows, f"{done / max(time.monotonic() - began, 1e-9):,.0f} rows/s")

            yield advance
        return
    lines = _Lines(label, total)
    yield lines.update
    lines.print()


def line_of_its_own(text: str) -> None:
    """On standard error, also where a bar is begun: that goes on below it."""
    click.echo(f"{_CLEARED if sys.stderr.isatty() else ''}{text}", err=True)


class _Lines:
    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total, self._done = label, total, 0
        self._began = self._printed = time.monotonic()

    def update(self, rows: int) -> None:
        self._done += rows
        if time.monotonic() - self._printed >= LINE_EVERY_SECONDS:
            self.print()

    def print(self) -> None:
        self._printed = time.monotonic()
        rate = self._done / max(self._printed - self._began, 1e-9)
        of_total = f" of {self._total:,} ({self._done / self._total:.0%}, {(self._total - self._done) / max(rate, 1e-9):,.0f} s left)" if self._total else ""
        click.echo(f"{self._label}: {self._done:,}{of_total} rows, {rate:,.0f} rows/s", err=True)
