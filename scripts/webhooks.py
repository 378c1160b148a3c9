"""MLflow's webhooks: what the core asks of MLflow's server, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

NAME = "index-promotion-kit"
"""Of every webhook that `register` makes; MLflow takes one name several times (3.17)."""


class Backend(StrEnum):
    SERVER = "server"
    LOCAL = "local"
    """A database or files that the client opens itself: nobody is there to send anything."""
    DATABRICKS = "databricks"


@dataclass(frozen=True, slots=True)
class Webhook:
    id: str
    name: str
    url: str
    events: tuple[str, ...]
    active: bool


@dataclass(frozen=True, slots=True)
class Tried:
    """A delivery of an example event. `status` is None where there was no answer; then `error` says why not."""

    status: int | None
    body: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Looks:
    """How often the list of webhooks was asked for over a new connection each, and how often the server failed at it."""

    asked: int
    failed: int


class Webhooks(Protocol):
    """Raises Unreachable where MLflow is, Refused where MLflow does not want the URL; see `fault_of_url`."""

    @property
    def backend(self) -> Backend: ...

    def all(self) -> tuple[Webhook, ...]: ...

    def create(self, name: str, url: str, events: Sequence[str], key: bytes) -> Webhook: ...

    def update(self, webhook: Webhook, events: Sequence[str], key: bytes) -> Webhook:
        """Also makes it active."""
        ...

    def test(self, webhook: Webhook, event: str) -> Tried:
        """Has MLflow's server send an example."""
        ...

    def look(self) -> Looks: ...

    def knock(self, url: str, key: bytes) -> Tried:
        """Sends an example from here, signed as MLflow signs."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and what to do."""

    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.what} {self.hint}"


_SCHEME = Fault("MLflow does not send to this kind of address.", "Use https, or start its server with MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https.")
_PRIVATE = Fault("MLflow does not send to private addresses.", "Use a public one, or start its server with MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true.")
_NAMELESS = Fault("MLflow's server cannot resolve the receiver's name.", "Check the URL, and DNS where MLflow's server runs.")
_BY_WORDS = {
    "Invalid webhook URL scheme": _SCHEME,
    "non-public IP": _PRIVATE,
    "not a public IP": _PRIVATE,
    "Cannot resolve": _NAMELESS,
    "Name or service not known": _NAMELESS,
    "SSLError": Fault("MLflow's server does not trust the receiver's certificate.", "Use one of an authority that it knows."),
    "Connection refused": Fault("Nothing listens there, seen from MLflow's server.", "Is the receiver up, and its proxy? Is the port right?"),
    "timed out": Fault("The receiver did not answer MLflow's server in time.", "Is there a firewall between them?"),
}
_KEY = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"


def fault_of_looks(looks: Looks) -> Fault | None:
    """What one worker encrypted, another cannot read, unless both were given the key; nor can the same one after a restart (3.17)."""
    if not looks.failed:
        return None
    if looks.failed < looks.asked:
        workers = f"Some of MLflow's workers cannot read the webhooks ({looks.failed} of {looks.asked} looks failed): each has a key of its own."
        return Fault(workers, f"Set {_KEY} for its server, and mend the table as docs/webhook.md says.")
    lost = "MLflow's server cannot read its webhooks: it has another key than when they were made, or keeps files instead of a database."
    return Fault(lost, f"Set {_KEY} for it, and mend the table as docs/webhook.md says.")


def fault_of_error(text: str) -> Fault:
    """Why MLflow's server could not send, from its own words (3.17)."""
    for words, fault in _BY_WORDS.items():
        if words.lower() in text.lower():
            return fault
    return Fault(f"MLflow's server could not send: {' '.join(text.split())[:200]}", "See what its log says.")


def fault_of(tried: Tried) -> Fault | None:
    """None where the receiver took it: an example is nobody's event, so it says that it ignores it."""
    if tried.status is None:
        return fault_of_error(tried.error)
    told = _told(tried.body)
    outcome, reason = told.get("outcome", ""), told.get("reason", "")
    if tried.status == 200 and outcome:
        return None
    match outcome:
        case "unsigned" if "no signature" in reason:
            return Fault("MLflow sends without a signature: the webhook has no secret.", "Run `webhook register` again.")
        case "unsigned":
            return Fault("The receiver has another secret than the sender.", "Run `webhook register` again with the receiver's WEBHOOK_SECRET.")
        case "stale":
            return Fault(f"The receiver refused it: {reason}.", "Set the clocks of both machines by NTP.")
        case "":
            return Fault(f"Something else than the receiver answers there ({tried.status}).", "The path is /mlflow; look at the proxy before it.")
        case _:
            return Fault(f"The receiver answered {tried.status}, {outcome}: {reason}.", "See its log.")


def _told(body: str) -> dict[str, str]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return {name: value for name, value in told.items() if isinstance(value, str)} if isinstance(told, dict) else {}
