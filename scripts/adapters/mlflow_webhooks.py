"""MLflow's webhooks, through its server."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from urllib.parse import urlsplit

import requests
from mlflow import MlflowClient
from mlflow.entities.webhook import Webhook as Entity
from mlflow.entities.webhook import WebhookStatus
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from scripts import signatures, webhooks
from scripts.adapters.mlflow_connection import connect, one_line, translated
from scripts.addresses import shown
from scripts.errors import Refused, UsageError
from scripts.webhooks import Backend, Looks, Tried, Webhook

LOOKS, TOGETHER = 32, 4
"""Some together, because a worker that has nothing to do may take every connection that comes alone."""
KNOCK_S = 10.0
_EXAMPLE = b'{"entity":"model_version_alias","action":"created","timestamp":"","data":{"name":"example_model","alias":"example_alias","version":"1"}}'
_ALONE = {"Connection": "close"}
_LIST = "/api/2.0/mlflow/webhooks"


class MlflowWebhooks:
    """Implements webhooks.Webhooks."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    @property
    def backend(self) -> Backend:
        scheme = urlsplit(self._uri).scheme
        if scheme in ("http", "https"):
            return Backend.SERVER
        return Backend.DATABRICKS if self._uri == "databricks" or scheme == "databricks" else Backend.LOCAL

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self._uri)

    def all(self) -> tuple[Webhook, ...]:
        found: list[Entity] = []
        with translated(self._uri, "its webhooks"):
            token = None
            while True:
                page = self._client.list_webhooks(page_token=token)
                found += page
                if not (token := page.token):
                    return tuple(map(_webhook, found))

    def create(self, name: str, url: str, events: Sequence[str], key: bytes) -> Webhook:
        with self._judged(url):
            return _webhook(self._client.create_webhook(name, url, list(events), secret=key.decode()))

    def update(self, webhook: Webhook, events: Sequence[str], key: bytes) -> Webhook:
        with self._judged(webhook.url):
            return _webhook(self._client.update_webhook(webhook.id, events=list(events), secret=key.decode(), status=WebhookStatus.ACTIVE))

    def test(self, webhook: Webhook, event: str) -> Tried:
        with translated(self._uri, "a test of its webhook"):
            result = self._client.test_webhook(webhook.id, event)
        return Tried(result.response_status, result.response_body or "", result.error_message or "")

    def look(self) -> Looks:
        """Each over a connection of its own, because one connection is one worker's. A worker that cannot decrypt a secret answers 500 (3.17)."""
        host = get_default_host_creds(self._uri)

        def failed(_: int) -> bool:
            return http_request(host, _LIST, "GET", max_retries=0, timeout=KNOCK_S, raise_on_status=False, extra_headers=_ALONE).status_code >= 500

        with translated(self._uri, "its webhooks"):
            connect(self._uri)
            with ThreadPoolExecutor(TOGETHER) as threads:
                return Looks(LOOKS, sum(threads.map(failed, range(LOOKS))))

    def knock(self, url: str, key: bytes) -> Tried:
        delivery, timestamp = str(uuid.uuid4()), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-MLflow-Delivery-Id": delivery,
            "X-MLflow-Timestamp": timestamp,
            "X-MLflow-Signature": signatures.mlflow_signature(key, delivery, timestamp, _EXAMPLE),
        }
        try:
            answer = requests.post(url, data=_EXAMPLE, headers=headers, timeout=KNOCK_S, allow_redirects=False)
        except (requests.RequestException, ValueError) as error:
            return Tried(None, error=f"{type(error).__name__}: {one_line(error)}")
        return Tried(answer.status_code, answer.text[:2000])

    @contextmanager
    def _judged(self, url: str) -> Iterator[None]:
        try:
            with translated(self._uri, "its webhook"):
                try:
                    yield
                except MlflowException as error:
                    if str(error.error_code) != "INVALID_PARAMETER_VALUE":
                        raise
                    raise Refused(f"MLflow refuses a webhook to {shown(url)}: {webhooks.fault_of_error(str(error.message))}") from None
        except UnicodeDecodeError:
            raise UsageError("WEBHOOK_SECRET is not UTF-8.", hint="Set it to what `openssl rand -hex 32` says.") from None


def _webhook(found: Entity) -> Webhook:
    events = tuple(f"{event.entity}.{event.action}" for event in found.events)
    return Webhook(found.webhook_id, found.name, found.url, events, found.status == WebhookStatus.ACTIVE)
