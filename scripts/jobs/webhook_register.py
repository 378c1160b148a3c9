"""`webhook register`: MLflow is to tell the receiver, and is seen to do so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from scripts import events, webhooks
from scripts.addresses import has_secret
from scripts.errors import Refused, UsageError
from scripts.settings import Settings
from scripts.webhooks import Backend, Fault, Webhook, Webhooks


@dataclass(frozen=True)
class Registered:
    """`tests` has what came of each event's example; None where the receiver took it. `others` have the same URL."""

    webhook: Webhook
    created: bool
    tests: tuple[tuple[str, Fault | None], ...]
    others: tuple[Webhook, ...]

    @property
    def exit_code(self) -> int:
        return int(any(fault for _, fault in self.tests))

    def lines(self) -> list[str]:
        lines = [f"{'Created' if self.created else 'Updated'} webhook {self.webhook.id} to {self.webhook.url} for {', '.join(self.webhook.events)}."]
        for event, fault in self.tests:
            lines.append(f"Test of {event}: {fault or 'delivered, and its signature was found right.'}")
        lines += [f"Webhook {other.id} ({other.name}) goes to the same URL, so each event comes twice; that is harmless." for other in self.others]
        if not self.exit_code:
            lines.append("MLflow keeps its list of webhooks for 60 seconds: events may be missed until then, and `reconcile` finds those.")
        return lines

    def facts(self) -> dict[str, Any]:
        return {
            "webhook": self.webhook.id,
            "url": self.webhook.url,
            "events": list(self.webhook.events),
            "created": self.created,
            "tests": [{"event": event, "fault": str(fault) if fault else None} for event, fault in self.tests],
            "same_url": [other.id for other in self.others],
        }


def register(hooks: Webhooks, services: Sequence[Settings], url: str, key: bytes) -> Registered:
    """Safe to run again: a webhook of this URL gets the secret and the events, and is made active.

    Raises UsageError where these services are announced by no event of MLflow's, Refused where MLflow does not want the
    URL, or cannot read its webhooks.
    """
    wanted = tuple(dict.fromkeys(event for settings in services for event in events.needed(settings)))
    _refuse_senseless(hooks.backend, url, wanted)
    if unreadable := webhooks.fault_of_looks(hooks.look()):
        raise Refused(unreadable.what, hint=unreadable.hint)
    same = [webhook for webhook in hooks.all() if webhook.url == url]
    webhook = hooks.update(same[0], wanted, key) if same else hooks.create(webhooks.NAME, url, wanted, key)
    return Registered(webhook, not same, tuple(_tested(hooks, webhook)), tuple(same[1:]))


def _tested(hooks: Webhooks, webhook: Webhook) -> Iterator[tuple[str, Fault | None]]:
    """Up to the first that fails: MLflow's server takes ten seconds to give up an address, and more where that swallows what is sent."""
    for event in webhook.events:
        yield event, (fault := webhooks.fault_of(hooks.test(webhook, event)))
        if fault:
            return


def _refuse_senseless(backend: Backend, url: str, wanted: Sequence[str]) -> None:
    if backend is Backend.LOCAL:
        raise UsageError("MLFLOW_TRACKING_URI is no server's, and only a server sends webhooks.", hint="Start `mlflow server` and use its address.")
    if backend is Backend.DATABRICKS:
        raise UsageError("Databricks' webhooks are not made by `register`.", hint="See docs/webhook.md.")
    if has_secret(url) or urlsplit(url).username:
        raise UsageError("The URL has a secret in it.", hint="Take it out; WEBHOOK_SECRET signs each delivery.")
    if not wanted:
        raise UsageError(
            "MLflow sends no event when a model version changes its stage, and these services wait for a stage.",
            hint="Use an alias (model.candidate: '@staging'), or a tag (pipeline.event_tag), or run `reconcile` on a schedule instead.",
        )
