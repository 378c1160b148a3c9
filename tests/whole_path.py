"""The whole path on this machine: MLflow, the receiver, the stand-in for CircleCI's API, the runner of its configuration, and Milvus. Nothing between is faked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import mlflow
from cryptography.fernet import Fernet
from mlflow import MlflowClient

from tests.circleci import repository
from tests.circleci.api import StandIn
from tests.circleci.runner import Context, Runner, RunPipeline
from tests.servers import MilvusServer, MlflowServer, free_ports
from tests.shop import Shop

SECRET = "whsec_fake_0123456789_not_a_secret"
SERVICE = "shop"
# The receiver is on this machine and without TLS; the key is what several workers of an MLflow server would have to share (3.17).
WEBHOOKS = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}


class WholePath:
    """Use it with `with`. A service whose candidate is `@staging` and whose production is `@production`."""

    def __init__(self, folder: Path, milvus: MilvusServer) -> None:
        self._folder, self._milvus = folder, milvus
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with self._open:
            key = Fernet.generate_key().decode()
            self.mlflow = self._open.enter_context(MlflowServer(self._folder / "mlflow", WEBHOOKS | {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": key}))
            checkout = repository.of_the_kit(self._folder / "kit")
            (checkout / "services").mkdir()
            self.shop = Shop(checkout / "services" / SERVICE, self._milvus.uri, self._milvus.token, self.mlflow.uri)
            build = Context(self.shop.environment)
            contexts = {name: build for name in ("promotion-build", "promotion-production", "promotion-cleanup", "promotion-pipelines")}
            self.runner = self._open.enter_context(Runner(checkout, self._folder / "circleci", contexts))
            self.circleci = self._open.enter_context(StandIn(self.runner))
            self.shop.configure(
                service=SERVICE,
                model={"name": self.shop.model, "candidate": "@staging", "production": "@production"},
                pipeline=self.circleci.section,
                retention={"keep_days": 0, "keep_previous": 1},
            )
            repository.commit(checkout, {})
            self.receiver = self._open.enter_context(Receiver(self.shop, self.circleci))
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def registered(self, model: str) -> int:
        """A version of this test model, at no alias yet."""
        version = self.shop.stage(model)
        MlflowClient(self.mlflow.uri).transition_model_version_stage(self.shop.model, str(version), "None")
        return version

    def staged(self, version: int) -> None:
        """What a data scientist does."""
        mlflow.set_tracking_uri(self.mlflow.uri)
        MlflowClient().set_registered_model_alias(self.shop.model, "staging", str(version))

    def pipeline(self, number: int, timeout: float = 60) -> RunPipeline:
        """The one of this number, as soon as it is there."""
        self.runner.wait_for(lambda: len(self.runner.pipelines) >= number, timeout, lambda: f"no pipeline {number}: {self.receiver.log()[-2000:]}")
        return self.runner.pipelines[number - 1]


class Receiver:
    """`python -m scripts webhook`, in a process of its own."""

    def __init__(self, shop: Shop, circleci: StandIn, port: int | None = None) -> None:
        self.port = port or free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}/mlflow"
        self._lines: list[str] = []
        self._command = [sys.executable, "-m", "scripts", "webhook", "--config", str(shop.folder / "promotion.yaml"), "--port", str(self.port)]
        self._environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": SECRET, **shop.environment, **circleci.environment}

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(self._command, env=self._environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        self._lines.append(self.process.stderr.readline())
        assert "listening" in self._lines[0], self._lines[0] + self.process.stderr.read()
        threading.Thread(target=lambda: self._lines.extend(self.process.stderr or ()), daemon=True).start()
        return self

    def log(self) -> str:
        return "".join(self._lines)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
