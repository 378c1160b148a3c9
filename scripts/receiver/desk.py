"""Where deliveries are judged: signed, of now, not seen before, and for one of the services. Nothing here knows HTTP but header names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from scripts import events, signatures
from scripts.errors import KitError
from scripts.receiver import answers
from scripts.receiver.answers import Answer, Outcome
from scripts.receiver.deliveries import Deliveries
from scripts.receiver.starting import Starts, TooMany
from scripts.settings import Settings
from scripts.signatures import Delivery


@dataclass(frozen=True)
class Desk:
    """`now` in unix seconds."""

    key: bytes = field(repr=False)
    services: Sequence[Settings]
    starts: Starts
    deliveries: Deliveries = field(default_factory=Deliveries)
    now: Callable[[], float] = time.time

    async def answer(self, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Answer:
        """Nothing is read out of a body that is not signed."""
        try:
            delivery = signatures.verified(self.key, headers, body)
            if delivery.sent_at is not None:
                signatures.refuse_stale(delivery.sent_at, self.now())
            told = events.read(delivery.sender, body)
            if told.sent_at is not None:
                signatures.refuse_stale(told.sent_at, self.now())
        except signatures.Stale as stale:
            return Answer(Outcome.STALE, str(stale))
        except signatures.NotGenuine as unsigned:
            return Answer(Outcome.UNSIGNED, str(unsigned))
        except events.Malformed as malformed:
            return Answer(Outcome.MALFORMED, str(malformed))
        return await self.deliveries.once(delivery.id, lambda: self._handle(delivery, told.event))

    async def _handle(self, delivery: Delivery, event: events.Event | events.Other) -> Answer:
        if isinstance(event, events.Other):
            return Answer(Outcome.IGNORED, f"no service is started by {event.name!a}", delivery=delivery.id, event=event.name)
        wanted = [settings.service for settings in self.services if event.is_for(settings)]
        name = f"{event.model!a} version {event.version} got {event.kind} {event.sign!a}"
        if not wanted:
            return Answer(Outcome.IGNORED, f"no service here waits for this: {name}", delivery=delivery.id, event=name)
        why = f"{delivery.sender} says: {event.kind} {event.sign}"
        found = await asyncio.gather(*(self._start(service, event.version, why) for service in wanted))
        return replace(answers.of_all(found), delivery=delivery.id, event=name)

    async def _start(self, service: str, version: int, why: str) -> Answer:
        try:
            return answers.of_start(await self.starts.start(service, version, why))
        except TooMany:
            return Answer(Outcome.BUSY, "too many pipelines wait to be started", service)
        except KitError as error:
            return answers.of_failure(service, error)
        except Exception as fault:  # the kit's own: its message may have anything in it
            return Answer(Outcome.FAULT, f"a fault of the kit: {type(fault).__name__} at {_where(fault)}", service)


def _where(fault: BaseException) -> str:
    trace = fault.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else "an unknown place"
