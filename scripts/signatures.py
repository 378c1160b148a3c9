"""Who sent it: the signatures of MLflow's and of Databricks' webhooks, over the bytes as they came.

MLflow (3.17, mlflow/webhooks/delivery.py): base64 of HMAC-SHA256 over `{delivery id}.{timestamp}.{body}`, after `v1,`.
Databricks: hexadecimal HMAC-SHA256 over the body, which has the timestamp in it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from scripts.errors import UsageError

WINDOW_S = 300
"""How far a delivery's timestamp may be from now, either way. MLflow's last retry comes some ten seconds after the first try (3.17)."""
SHORTEST_SECRET = 16

SIGNATURE, DELIVERY_ID, TIMESTAMP = b"x-mlflow-signature", b"x-mlflow-delivery-id", b"x-mlflow-timestamp"
DATABRICKS_SIGNATURE = b"x-databricks-signature"
_OURS = frozenset({SIGNATURE, DELIVERY_ID, TIMESTAMP, DATABRICKS_SIGNATURE})
_LONGEST_HEADER = 256
_MAKE_ONE = "Set it to what `openssl rand -hex 32` says."
# No dot in either: else one signed text could be cut into id, timestamp and body in two ways. No brace: nor can a body that Databricks signed
# begin with them.
_ID = re.compile(rb"[A-Za-z0-9_-]{1,100}")
_SECONDS = re.compile(rb"[0-9]{1,12}")


class Sender(StrEnum):
    MLFLOW = "mlflow"
    DATABRICKS = "databricks"


class NotGenuine(Exception):
    """Nothing shows that it comes from who has the secret. The message is safe to be sent back."""


class Stale(NotGenuine):
    """It is signed, and its time is not now."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One that is signed. `id` is what a copy of it has as well; `sent_at` in unix seconds, None where the body says it."""

    sender: Sender
    id: str
    sent_at: int | None


def key(secret: SecretStr) -> bytes:
    """Raises UsageError where WEBHOOK_SECRET is not set, or so short that it could be guessed from one delivery that somebody saw."""
    value = secret.get_secret_value()
    if not value:
        raise UsageError("WEBHOOK_SECRET is not set: whoever reaches the receiver could start pipelines.", hint=_MAKE_ONE)
    if len(value) < SHORTEST_SECRET:
        raise UsageError(f"WEBHOOK_SECRET has fewer than {SHORTEST_SECRET} characters.", hint=_MAKE_ONE)
    return value.encode("utf-8", "surrogateescape")


def verified(key: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Delivery:
    """The delivery, if its signature is right. Takes the same time whatever is wrong with the signature itself. Header names are in lower case.

    Raises NotGenuine where the signature is missing, given twice, oddly shaped or wrong. Its age is yet to be looked at: see `refuse_stale`.
    """
    given = _given(headers)
    if DATABRICKS_SIGNATURE in given:
        if len(given) > 1:
            raise NotGenuine("it has headers of both MLflow and Databricks")
        _compare(databricks_signature(key, body).encode(), given[DATABRICKS_SIGNATURE])
        return Delivery(Sender.DATABRICKS, hashlib.sha256(body).hexdigest(), None)
    if SIGNATURE not in given:
        raise NotGenuine("it has no signature")
    delivery_id, timestamp = given.get(DELIVERY_ID, b""), given.get(TIMESTAMP, b"")
    if not _ID.fullmatch(delivery_id) or not _SECONDS.fullmatch(timestamp):
        raise NotGenuine("its delivery id or timestamp is missing or is none")
    _compare(mlflow_signature(key, delivery_id.decode(), timestamp.decode(), body).encode(), given[SIGNATURE])
    return Delivery(Sender.MLFLOW, delivery_id.decode(), int(timestamp))


def refuse_stale(sent_at: float, now: float) -> None:
    """Raises Stale where `sent_at` is more than WINDOW_S from `now`, both unix seconds."""
    apart = abs(now - sent_at)
    if not apart <= WINDOW_S:
        raise Stale(f"its timestamp is {apart:.0f} s {'old' if sent_at < now else 'ahead'}, and {WINDOW_S} s is the limit; are both clocks right?")


def mlflow_signature(key: bytes, delivery_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def databricks_signature(key: bytes, body: bytes) -> str:
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def _given(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    given: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in _OURS:
            continue
        if name in given:
            raise NotGenuine(f"it has {name.decode()} twice")
        if len(value) > _LONGEST_HEADER:
            raise NotGenuine(f"its {name.decode()} is too long")
        given[name] = value
    return given


def _compare(right: bytes, given: bytes) -> None:
    if not hmac.compare_digest(right, given):
        raise NotGenuine("its signature is wrong; is WEBHOOK_SECRET the webhook's secret?")
