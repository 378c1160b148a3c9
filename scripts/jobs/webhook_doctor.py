"""`webhook doctor`: why events do not arrive. Looks and tries; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scripts import events, webhooks
from scripts.settings import Settings
from scripts.webhooks import Backend, Fault, Webhook, Webhooks


class Checked(NamedTuple):
    """`fault` is None where all is well."""

    what: str
    fault: Fault | None = None


@dataclass(frozen=True)
class Diagnosis:
    checks: tuple[Checked, ...]

    @property
    def exit_code(self) -> int:
        return int(any(check.fault for check in self.checks))

    def lines(self) -> list[str]:
        return [f"{'FAULT' if check.fault else 'ok   '}  {check.what}{f': {check.fault}' if check.fault else '.'}" for check in self.checks]

    def facts(self) -> dict[str, Any]:
        return {"checks": [{"what": what, "fault": fault and fault.what, "do": fault and fault.hint} for what, fault in self.checks]}


def doctor(hooks: Webhooks, services: Sequence[Settings], url: str, key: bytes) -> Diagnosis:
    """Without `url`, every webhook that `register` made. Raises Unreachable where MLflow's server is."""
    return Diagnosis(tuple(_checks(hooks, services, url, key)))


def _checks(hooks: Webhooks, services: Sequence[Settings], url: str, key: bytes) -> Iterator[Checked]:
    databricks = hooks.backend is Backend.DATABRICKS
    yield from (_announced(settings, databricks) for settings in services)
    if databricks:
        yield Checked("Databricks' webhooks", Fault("They cannot be looked at from here.", "Try one by its own test; see docs/webhook.md."))
        return
    if hooks.backend is Backend.LOCAL:
        nobody = Fault("It is no server's, and only a server sends webhooks.", "Start `mlflow server`, and have everybody use its address.")
        yield Checked("MLFLOW_TRACKING_URI", nobody)
        return
    looks = hooks.look()
    unreadable = webhooks.fault_of_looks(looks)
    yield Checked(f"MLflow reads its webhooks, asked {looks.asked} times", unreadable)
    if unreadable:
        return
    found = [webhook for webhook in hooks.all() if (webhook.url == url if url else webhook.name == webhooks.NAME)]
    if not found:
        yield Checked(f"webhook{f' to {url}' if url else ''}", Fault("MLflow has none.", "Run `webhook register URL`."))
    wanted = tuple(dict.fromkeys(event for settings in services for event in events.needed(settings)))
    for webhook in found:
        yield from _of(hooks, webhook, wanted, key)
    if len(found) > len({webhook.url for webhook in found}):
        yield Checked("several webhooks to one URL: each event comes more than once, which is harmless")


def _announced(settings: Settings, databricks: bool) -> Checked:
    candidate, what = settings.model.candidate, f"{settings.service}: its candidate is announced"
    if events.needed(settings) or databricks and not candidate.startswith("@"):
        return Checked(what)
    if databricks:
        return Checked(what, Fault(f"Databricks sends no event for the alias {candidate}.", "Use a stage, or run `reconcile` on a schedule."))
    return Checked(
        what,
        Fault(
            f"MLflow sends no event when a version reaches the stage {candidate}.",
            "Use an alias (model.candidate: '@staging'), or a tag (pipeline.event_tag), or run `reconcile` on a schedule.",
        ),
    )


def _of(hooks: Webhooks, webhook: Webhook, wanted: Sequence[str], key: bytes) -> Iterator[Checked]:
    what = f"webhook {webhook.id} to {webhook.url}"
    if not webhook.active:
        yield Checked(f"{what} is active", Fault("It is disabled.", "Run `webhook register` again."))
    if missing := [event for event in wanted if event not in webhook.events]:
        yield Checked(f"{what} has the events", Fault(f"It lacks {', '.join(missing)}.", "Run `webhook register` again."))
    fault = next(filter(None, (webhooks.fault_of(hooks.test(webhook, event)) for event in wanted or webhook.events[:1])), None)
    yield Checked(f"{what}: MLflow's test is taken", fault)
    if fault:
        yield _from_here(hooks, webhook.url, key)


def _from_here(hooks: Webhooks, url: str, key: bytes) -> Checked:
    """Tells whether it is the receiver or MLflow that has another secret, or cannot be reached."""
    tried = hooks.knock(url, key)
    fault = webhooks.fault_of(tried)
    if tried.status is None:
        fault = Fault("There is no answer here either.", "Is the receiver up? Or can only MLflow's server reach it?")
    elif fault and tried.status == 401:
        fault = Fault("The receiver has another WEBHOOK_SECRET than this command.", "Set the same one for both, then register again.")
    return Checked(f"{url}: a delivery that is signed here is taken", fault)
