"""The paths of the receiver, and the bodies that come in.

    POST /mlflow    a delivery, of OSS MLflow or of Databricks
    GET  /healthz   whether this process answers
    GET  /metrics   for Prometheus
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from scripts.events import MAX_BODY_BYTES
from scripts.receiver import metrics as text_format
from scripts.receiver.answers import Answer, Outcome
from scripts.receiver.desk import Desk
from scripts.receiver.log import Log
from scripts.receiver.metrics import Metrics

PATH = "/mlflow"
BODY_S = 5.0
"""From the headers to the last byte of the body. MLflow sends both at once."""
MAX_JUDGED = 256
"""Deliveries whose body is here and whose answer is not."""

_ANYBODYS = frozenset(
    {Outcome.MALFORMED, Outcome.UNSIGNED, Outcome.STALE, Outcome.REPLAYED, Outcome.TOO_LARGE, Outcome.TOO_SLOW, Outcome.GONE, Outcome.BUSY}
)
"""What somebody without the secret, or with a copy of a delivery, can cause."""


class _TooLarge(Exception):
    pass


class App:
    """`clean` takes secrets out of a text; `body_s` is for tests."""

    def __init__(self, desk: Desk, log: Log, metrics: Metrics, clean: Callable[[Any], Any], *, body_s: float = BODY_S) -> None:
        self._desk = desk
        self._clean = clean
        self._log = log
        self._metrics = metrics
        self._body_s = body_s
        self._judged = 0

    def asgi(self) -> FastAPI:
        """No page describes it: whoever is to use it has this repository. It sends nobody on: behind a proxy that speaks TLS, that is to http."""
        routes = [Route(PATH, self.deliver, methods=["POST"]), Route("/healthz", self.health), Route("/metrics", self.show_metrics)]
        return FastAPI(openapi_url=None, redirect_slashes=False, routes=routes)

    async def deliver(self, request: Request) -> Response:
        began = time.perf_counter()
        self._metrics.in_flight += 1
        try:
            answer = await self._answer(request)
        except Exception as fault:  # answered, not thrown away: MLflow then sends it again
            answer = Answer(Outcome.FAULT, f"a fault of the kit: {type(fault).__name__}")
        finally:
            self._metrics.in_flight -= 1
        seconds = time.perf_counter() - began
        self._metrics.answered(answer.outcome, seconds, time.time())
        self._tell(answer, seconds)
        headers = {"retry-after": "5"} if answer.status == 503 else {"connection": "close"} if answer.outcome is Outcome.TOO_SLOW else None
        return Response(answer.body(self._clean), answer.status, headers, "application/json")

    async def health(self, request: Request) -> Response:
        return PlainTextResponse("ready\n")

    async def show_metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), headers={"content-type": text_format.CONTENT_TYPE})

    async def _answer(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(self._body_s):
                body = await _body(request)
        except TimeoutError:
            return Answer(Outcome.TOO_SLOW, f"its body did not come within {self._body_s:.0f} s")
        except _TooLarge:
            return Answer(Outcome.TOO_LARGE, f"its body has more than {MAX_BODY_BYTES} bytes")
        except ClientDisconnect:
            return Answer(Outcome.GONE, "the sender hung up")
        if self._judged >= MAX_JUDGED:
            return Answer(Outcome.BUSY, "too many deliveries at once")
        self._judged += 1
        try:
            return await self._desk.answer(request.headers.raw, body)
        finally:
            self._judged -= 1

    def _tell(self, answer: Answer, seconds: float) -> None:
        facts = {name: getattr(answer, name) for name in ("reason", "service", "pipeline", "delivery", "event")}
        tell = self._log.refusal if answer.outcome in _ANYBODYS else self._log.delivery
        tell("delivery", outcome=answer.outcome.value, status=answer.status, seconds=round(seconds, 4), **facts)


async def _body(request: Request) -> bytes:
    """Never more than the limit is kept, whatever the headers say of its length."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _TooLarge
    return bytes(body)
