"""The requests that are sent: good ones, and every kind of bad one."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Sequence

from scripts.signatures import mlflow_signature

SECRET = "benchmark-fake-secret-0123456789"
MODEL = "product-embedding-model"


def good(version: int = 7) -> bytes:
    """A delivery of its own."""
    return _request(_body(version), str(uuid.uuid4()))


def malformed(random_: random.Random) -> bytes:
    """Signed rightly, and no event."""
    shapeless = [b"", b"{", b"null", b'{"entity": 5}', _body(7)[:-5], _body("1; reboot")]
    bodies = [*shapeless, b"[" * 60_000, b'{"a":' * 9_000, b"\xff\xfe", random_.randbytes(300)]
    return _request(random_.choice(bodies), str(uuid.uuid4()))


def missigned(random_: random.Random) -> bytes:
    """With another secret, another body, another time, or nothing."""
    body, delivery = _body(random_.randrange(1, 999)), str(uuid.uuid4())
    kinds = [
        _request(body, delivery, secret="another-fake-secret-0123456789"),
        _request(body, delivery, signed=_body(3)),
        _request(body, delivery, at=time.time() - 3_600),
        _request(body, delivery, at=time.time() + 3_600),
        _head(len(body)) + b"\r\n" + body,
        _head(len(body), "X-MLflow-Signature: v1," + "A" * random_.randrange(2_000)) + b"\r\n" + body,
        _head(len(body), "X-Databricks-Signature: " + "0" * 64) + b"\r\n" + body,
    ]
    return random_.choice(kinds)


def oversized(random_: random.Random) -> bytes:
    """With its length said, and in chunks without."""
    body = b'{"a": "' + b"x" * random_.randrange(66_000, 300_000) + b'"}'
    if random_.random() < 0.5:
        return _request(body, str(uuid.uuid4()))
    return b"POST /mlflow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def slow(random_: random.Random) -> Sequence[bytes]:
    """In pieces: a head or a body that does not end."""
    head = _request(_body(7), str(uuid.uuid4())).partition(b"\r\n\r\n")[0]
    kinds: list[Sequence[bytes]] = [
        [b""],
        [head[:20], *[b"x"] * 60],
        [head + b"\r\n", *[b"X-A: 1\r\n"] * 60],
        [head + b"\r\n\r\n", *[b"{"] * 60],
        [b"POST /mlflow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 60],
    ]
    return random_.choice(kinds)


def _body(version: int | str) -> bytes:
    data = {"name": MODEL, "alias": "staging", "version": str(version)}
    return json.dumps({"entity": "model_version_alias", "action": "created", "timestamp": "2026-11-20T20:40:10.454219+00:00", "data": data}).encode()


def _request(body: bytes, delivery: str, *, secret: str = SECRET, signed: bytes | None = None, at: float | None = None) -> bytes:
    timestamp = str(int(time.time() if at is None else at))
    signature = mlflow_signature(secret.encode(), delivery, timestamp, body if signed is None else signed)
    headers = f"X-MLflow-Delivery-Id: {delivery}\r\nX-MLflow-Timestamp: {timestamp}\r\nX-MLflow-Signature: {signature}"
    return _head(len(body), headers) + b"\r\n" + body


def _head(length: int, headers: str = "") -> bytes:
    more = f"{headers}\r\n" if headers else ""
    return f"POST /mlflow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}".encode()
