"""What a delivery is answered. MLflow sends again after 429 and 5xx, and after nothing else (3.17)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from scripts.errors import Inconclusive, KitError, Refused, Unreachable
from scripts.jobs.trigger import Triggered

_LONGEST_REASON = 300


class Outcome(StrEnum):
    """Also the values of the metric's label, so there are these and no others."""

    STARTED = "started"
    FOUND = "found"
    NOT_CANDIDATE = "not_candidate"
    IGNORED = "ignored"
    MALFORMED = "malformed"
    UNSIGNED = "unsigned"
    STALE = "stale"
    REPLAYED = "replayed"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    GONE = "gone"
    IMPOSSIBLE = "impossible"
    UNAVAILABLE = "unavailable"
    BUSY = "busy"
    FAULT = "fault"


STATUS = {
    Outcome.STARTED: 202,
    Outcome.FOUND: 200,
    Outcome.NOT_CANDIDATE: 200,
    Outcome.IGNORED: 200,
    Outcome.MALFORMED: 400,
    Outcome.GONE: 400,
    Outcome.UNSIGNED: 401,
    Outcome.STALE: 401,
    Outcome.TOO_SLOW: 408,
    Outcome.REPLAYED: 409,
    Outcome.TOO_LARGE: 413,
    Outcome.IMPOSSIBLE: 422,
    Outcome.FAULT: 500,
    Outcome.UNAVAILABLE: 503,
    Outcome.BUSY: 503,
}
# The first of these that any service came to is what the sender is told: one that may come right brings the delivery again.
_WORST_FIRST = (Outcome.FAULT, Outcome.UNAVAILABLE, Outcome.BUSY, Outcome.IMPOSSIBLE, Outcome.STARTED, Outcome.FOUND, Outcome.NOT_CANDIDATE)


@dataclass(frozen=True, slots=True)
class Answer:
    """`service` and `pipeline` where one was asked for; `event` and `delivery` are for the log."""

    outcome: Outcome
    reason: str = ""
    service: str = ""
    pipeline: str = ""
    delivery: str = ""
    event: str = ""

    @property
    def status(self) -> int:
        return STATUS[self.outcome]

    @property
    def is_done(self) -> bool:
        """Whether the sender need not send it again, nor may."""
        return self.status < 300

    def body(self, clean: Callable[[Any], Any]) -> bytes:
        told = {name: clean(value) for name in ("outcome", "reason", "service", "pipeline") if (value := getattr(self, name))}
        return json.dumps(told).encode()


def of_start(result: Triggered) -> Answer:
    return Answer(Outcome(result.outcome.value), result.why or result.pair, result.service, result.pipeline.url if result.pipeline else "")


def of_failure(service: str, error: KitError) -> Answer:
    """What may come right by itself brings the delivery again: a service that is away, or that another process has locked."""
    again = isinstance(error, (Unreachable, Refused, Inconclusive))
    return Answer(Outcome.UNAVAILABLE if again else Outcome.IMPOSSIBLE, str(error), service)


def of_all(answers: Sequence[Answer]) -> Answer:
    """One answer for the services that follow the same model."""
    worst = min(answers, key=lambda answer: _WORST_FIRST.index(answer.outcome))
    return replace(worst, service=", ".join(answer.service for answer in answers))


def without(secrets: Sequence[SecretStr]) -> Callable[[Any], Any]:
    """Makes texts fit to be told: none of these secrets is in them, whoever put it there, and they are not long."""
    values = sorted({value for secret in secrets if (value := secret.get_secret_value())}, key=len, reverse=True)

    def clean(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        for value in values:
            text = text.replace(value, "***")
        return text[:_LONGEST_REASON]

    return clean
