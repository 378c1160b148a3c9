"""How CircleCI, or what lies between it and us, can answer instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """One answer that is not what was hoped for. With `accepts`, the request is done all the same. `pause` comes before each byte of the body."""

    status: int = 500
    body: bytes = b'{"message": "Internal server error"}'
    headers: Mapping[str, str] = field(default_factory=dict)
    accepts: bool = False
    hangs: bool = False
    closes: bool = False
    pause: float = 0


HANGS = Fault(hangs=True)
CLOSES = Fault(closes=True)
ACCEPTS_AND_CLOSES = Fault(accepts=True, closes=True)
ACCEPTS_AND_FAILS = Fault(502, b"<html>Bad gateway</html>", accepts=True)
DENIED = Fault(403, b'{"message": "Permission denied."}')


def too_many(retry_after: str | None = "0") -> Fault:
    return Fault(429, b'{"message": "Too many requests."}', {} if retry_after is None else {"Retry-After": retry_after})


def skipped(message: str = "The pipeline was skipped: [ci skip] in the commit message.") -> Fault:
    return Fault(200, json.dumps({"message": message}).encode())


def garbage(body: bytes = b"<html>Hello</html>", status: int = 200) -> Fault:
    return Fault(status, body)
