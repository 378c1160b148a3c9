"""Every failure that a user can cause, with the exit code that a pipeline reads.

The exit codes of the kit, documented here and in the README:

    0  done
    1  the answer is no (a gate failed, the model is unfit)
    2  usage, configuration or source data
    3  inconclusive: the evidence does not allow an answer
    4  refused: the world moved, or a rule forbids it
    5  a service cannot be reached
"""

from __future__ import annotations

import re

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """Without what moves a terminal's cursor, colours it or sets its title: keys, file names and what models say are other people's."""
    return _CONTROLS.sub(" ", text)


class KitError(Exception):
    """A failure told in one line: what is wrong and where, then what to do about it."""

    exit_code: int

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return " ".join(harmless(f"{self.what} {self.hint}").split())


class AnswerIsNo(KitError):
    """The candidate was looked at and is not good enough."""

    exit_code = 1


class UnfitModel(AnswerIsNo):
    """The model answers, but not with usable vectors."""


class EncodingFailed(UnfitModel):
    """The model raised an error of its own instead of answering."""


class UsageError(KitError):
    """The command, the configuration or the source data has to be changed first."""

    exit_code = 2


class Inconclusive(KitError):
    """Neither yes nor no can be said honestly. Never treated as a pass."""

    exit_code = 3


class Refused(KitError):
    """A rule forbids the act, or the world is not what the plan saw. What was not begun is unchanged."""

    exit_code = 4


class ProductionMoved(Refused):
    """The alias is not where the plan saw it."""

    def __init__(self, alias: str, *, expected: str | None, found: str | None) -> None:
        super().__init__(
            f"The alias {alias} moved: the plan saw it at {expected or 'nothing'}, now it points to {found or 'nothing'}.",
            hint="Look at `status` and `history`, then plan again.",
        )


class Unreachable(KitError):
    """A service does not answer, or does not let us in."""

    exit_code = 5
