"""Acts: what a promotion, a rollback and a cleanup have in common. Each holds the service's lock, and each is written down."""

from __future__ import annotations

from contextlib import AbstractContextManager

from scripts import lock, run_log_acts
from scripts.heartbeat import new_token
from scripts.ledger import Holder
from scripts.lock import Lock
from scripts.ports import Parts

NOT_FINISHED = "not finished"
"""The outcome of an act that has begun, until it has another."""


def holder(parts: Parts, doing: str) -> Holder:
    """This process, for whoever finds the lock taken."""
    environment = parts.settings.environment
    return Holder(token=new_token(), doing=doing, by=environment.actor, since=parts.now(), url=environment.build_url)


def locked(parts: Parts, doing: str) -> AbstractContextManager[Lock]:
    """Raises Refused while another process changes this service."""
    return lock.held(parts.store, parts.settings.alias, holder(parts, doing))


def tell_runs(parts: Parts, held: Lock) -> None:
    """MLflow gets to know of every act that it has not heard of: a run each. Safe to run again. Raises Unreachable where it cannot be told."""
    for act in held.acts():
        if not act.told:
            parts.runs.log(run_log_acts.of_act(act))
            held.record(act.model_copy(update={"told": True}))
