"""Puts the receiver together, from settings to the listening socket."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts import config, signatures
from scripts.errors import UsageError
from scripts.jobs.trigger import Triggered, announced, refuse_embedded
from scripts.receiver import answers, server
from scripts.receiver.app import App
from scripts.receiver.desk import Desk
from scripts.receiver.log import Log
from scripts.receiver.metrics import Metrics
from scripts.receiver.starting import Start, Starts
from scripts.settings import Settings
from scripts.webhooks import Webhooks
from scripts.wiring import Wiring


def services(paths: Sequence[Path]) -> tuple[Settings, ...]:
    """Each service once, and each with a pipeline to start. Raises UsageError."""
    found: dict[str, Settings] = {}
    for path in paths:
        settings = config.load(path)
        if settings.pipeline is None:
            raise UsageError(f"{path}: does not say which CircleCI project runs its pipelines.", hint="Set pipeline: {project: gh/…/…}.")
        if settings.service in found:
            raise UsageError(f"{path}: another configuration has the service {settings.service} already.")
        found[settings.service] = settings
    return tuple(found.values())


def starting(found: Sequence[Settings]) -> Start:
    """Opens Milvus and MLflow for each start, and keeps neither open between events that may be days apart.

    Raises UsageError where no start could come to anything: told to MLflow as each event came, it would be told to nobody.
    """
    environment = found[0].environment
    if not environment.circleci_token.get_secret_value():
        hint = "Make a personal API token in CircleCI's user settings, and put it there."
        raise UsageError("CIRCLECI_TOKEN is not set: no pipeline could be started.", hint=hint)
    refuse_embedded(environment)
    by_name = {settings.service: settings for settings in found}

    def start(service: str, version: int, why: str) -> Triggered:
        with Wiring(by_name[service]) as kit:
            return announced(kit, version, why=why)

    return start


def open_webhooks(found: Sequence[Settings]) -> Webhooks:
    """MLflow's own side of it."""
    config.prepare_libraries()
    from scripts.adapters.mlflow_webhooks import MlflowWebhooks

    return MlflowWebhooks(found[0].environment.mlflow_uri)


def run(found: Sequence[Settings], host: str, port: int, start: Start | None = None) -> None:
    """Listens until SIGTERM. `start` is for tests and benchmarks.

    Raises UsageError where a secret or an address is missing, or nobody can listen there.
    """
    environment = found[0].environment
    key = signatures.key(environment.webhook_secret)
    secrets = [environment.webhook_secret, environment.circleci_token, environment.milvus_token, environment.notify_url, environment.source_password]
    clean = answers.without(secrets)
    log, metrics = Log(sys.stderr, clean), Metrics()
    app = App(Desk(key, found, Starts(start or starting(found))), log, metrics, clean)
    with server.listening(host, port) as listener:
        receiving = server.prepared(app.asgi(), log, metrics)
        address, port = listener.getsockname()[:2]
        log.line("info", "listening", host=address, port=port, services=", ".join(settings.service for settings in found))
        receiving.run(sockets=[listener])
    log.line("info", "stopped")
