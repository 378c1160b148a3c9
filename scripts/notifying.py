"""Tells people, where NOTIFY_URL says how, what a command has come to. It never changes what the command does, prints or ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from scripts.errors import KitError

if TYPE_CHECKING:
    from scripts.jobs.discard import Discarded
    from scripts.jobs.switching import Switched
    from scripts.jobs.validate import Validated
    from scripts.messages import Context, Message
    from scripts.wiring import Wiring


@dataclass(frozen=True)
class Attempt:
    """What somebody wants of production: `act` is "promotion" or "rollback", to `pair`, or to what the plan finds where that is empty."""

    act: str
    pair: str = ""
    reason: str = ""


def judged(kit: Wiring, result: Validated) -> None:
    """A pipeline's validation: that approval waits, or why it does not. Who validates by hand sees it for himself."""
    if not _wanted(kit) or not kit.settings.environment.build_id:
        return
    from scripts import messages

    about = messages.not_passed if result.exit_code else messages.approval_waits
    _tell(kit, lambda where: about(result.evidence, where))


def left_over(kit: Wiring, result: Discarded) -> None:
    """Where nothing was discarded: a job failed, and somebody has to look. What the gates refused was told by `validate`."""
    if not _wanted(kit) or result.dry_run or result.done:
        return
    from scripts import messages

    _tell(kit, lambda where: messages.broke_off(" ".join(result.lines()), where))


@contextmanager
def notifying(kit: Wiring, attempt: Attempt, *, dry_run: bool = False) -> Iterator[Callable[[Switched], None]]:
    """Gives what is to be called with the result. What is raised within is told, and raised on; of a dry run nobody is told."""
    if dry_run or not _wanted(kit):
        yield lambda result: None
        return

    def told(result: Switched) -> None:
        from scripts import messages

        if result.failure:
            _tell(kit, lambda where: messages.taken_back(result.plan, result.failure, where, left=result.left))
        elif result.left or not result.plan.is_settled:  # else it was told before
            _tell(kit, lambda where: messages.switched(result.plan, where, left=result.left))

    def broke(why: str) -> None:
        from scripts import messages

        _tell(kit, lambda where: messages.failed(attempt.act, attempt.pair, why, where, reason=attempt.reason))

    try:
        yield told
    except KitError as error:
        broke(str(error))
        raise
    except Exception as fault:  # the kit's own; what it says is for a log
        broke(f"a fault of the kit, {type(fault).__name__}; the log has more")
        raise


def _wanted(kit: Wiring) -> bool:
    return bool(kit.settings.environment.notify_url.get_secret_value())


def _tell(kit: Wiring, message: Callable[[Context], Message]) -> None:
    from scripts.adapters.messenger import Messenger
    from scripts.messages import Context

    environment = kit.settings.environment
    try:
        where = Context(kit.settings.service, environment.actor, environment.build_url)
        trouble = Messenger(environment.notify_url).send(message(where).as_json())
    except Exception as fault:  # also a fault of ours: the command has come to its end
        trouble = f"a fault of the kit, {type(fault).__name__}"
    if trouble:
        click.echo(f"warning: nobody was notified: {trouble}.", err=True)
