"""Seconds on the command line."""

from __future__ import annotations

import math
from typing import Any

import click

LONGEST_SECONDS = 30 * 86_400


class Seconds(click.FloatRange):
    """From one second to thirty days, which every clock and lock can count. `nan` is in every range (click 8.5), and is refused as well."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=1, max=LONGEST_SECONDS)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        seconds = float(super().convert(value, parameter, context))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", parameter, context)
        return seconds
