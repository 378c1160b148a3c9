"""A receiver in a process of its own, and deliveries for it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml

from scripts import signatures
from tests.servers import free_ports

SECRET = "whsec-a-fake-one-for-tests-0123456789"
TOKEN = "circleci-fake-token-for-tests"
NOBODY = "http://127.0.0.1:9"
NEEDED = {"WEBHOOK_SECRET": SECRET, "CIRCLECI_TOKEN": TOKEN, "MILVUS_URI": NOBODY, "MLFLOW_TRACKING_URI": NOBODY}
"""Without these no receiver starts."""
MODEL = "shop embeddings; $(reboot) <<x>> & 'y': {z}\n\u2028"
"""Characters that mean something to a shell, to YAML or to a log."""


class Answer(NamedTuple):
    status: int
    told: dict[str, str]


def configure(folder: Path, service: str = "shop", model: str = MODEL, candidate: str = "@staging") -> Path:
    """A service's promotion.yaml, of which a receiver reads little."""
    settings = {
        "service": service,
        "model": {"name": model, "candidate": candidate},
        "source": {"uri": "products.jsonl", "key": "id", "text": "{name}"},
        "golden": "golden",
        "pipeline": {"project": "gh/acme/promotion", "event_tag": "stage=Staging"},
    }
    path = folder / service / "promotion.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(settings))
    return path


class Receiver:
    """`python -m scripts webhook`; or with the starts of tests/receiver/starts.py, which are then written to `folder`. Use it with `with`."""

    def __init__(self, folder: Path, *configs: Path, port: int = 0, environment: Mapping[str, str] | None = None, real: bool = False) -> None:
        self.folder, self.port = folder, port or free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}/mlflow"
        module = ["scripts", "webhook"] if real else ["tests.receiver.starts", str(folder)]
        named = [word for config in configs for word in ("--config", str(config))]
        self._command = [sys.executable, "-m", *module, *named, "--port", str(self.port)]
        self._environment = {"PATH": os.environ["PATH"], **NEEDED, **(environment or {})}
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self.begin()
        line = self.process.stderr.readline()
        assert '"listening"' in line, line + self.process.stderr.read()
        self._lines.append(line)
        threading.Thread(target=lambda: self._lines.extend(self.process.stderr), daemon=True).start()
        return self

    def begin(self) -> None:
        """Without waiting until it listens."""
        self.process = subprocess.Popen(self._command, env=self._environment, stderr=subprocess.PIPE, text=True)

    def succeed(self) -> Self:
        """Another one, that waits for this one's port and takes it at once."""
        other = Receiver.__new__(Receiver)
        other.__dict__ |= self.__dict__ | {"_lines": []}
        other.begin()
        assert "waiting" in other.process.stderr.readline()
        threading.Thread(target=lambda: other._lines.extend(other.process.stderr), daemon=True).start()
        return other

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        self.process.terminate()
        return self.process.wait(60)

    @property
    def log(self) -> str:
        return "".join(self._lines)

    def starts(self) -> list[dict[str, Any]]:
        """Every start that was begun, in order."""
        written = self.folder / "starts.jsonl"
        return [json.loads(line) for line in written.read_text().splitlines()] if written.exists() else []

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        return connection.getresponse().read().decode()

    def count(self, outcome: str) -> int:
        """Of the metric."""
        (line,) = [line for line in self.get("/metrics").splitlines() if f'{{outcome="{outcome}"}}' in line]
        return int(line.rpartition(" ")[2])

    def post(self, body: bytes, headers: Mapping[str, str], path: str = "/mlflow") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", path, body, dict(headers))
            return _answer(connection.getresponse())
        finally:
            connection.close()

    def send(self, body: bytes, **how: Any) -> Answer:
        """Signed as MLflow signs."""
        return self.post(body, signed(body, **how))

    def raw(self, *pieces: bytes, pause: Callable[[], None] = lambda: None) -> bytes:
        """Bytes as they are, `pause` between them; what came back until the receiver hung up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                    pause()
            except OSError:
                pass  # it hung up
            came = b""
            try:
                while chunk := connection.recv(65536):
                    came += chunk
            except ConnectionResetError:
                pass
            return came


def signed(body: bytes, *, delivery: str = "", at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    delivery, timestamp = delivery or str(uuid.uuid4()), str(int(time.time() if at is None else at))
    return {
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": signatures.mlflow_signature(secret.encode(), delivery, timestamp, body),
    }


def alias_event(version: int | str = 1, *, model: str = MODEL, alias: str = "staging") -> bytes:
    return mlflow_event("model_version_alias", "created", {"name": model, "alias": alias, "version": str(version)})


def mlflow_event(entity: str, action: str, data: Any) -> bytes:
    return json.dumps({"entity": entity, "action": action, "timestamp": "2026-11-20T20:40:10.454219+00:00", "data": data}).encode()


def databricks_event(number: int = 1, *, at: float | None = None, **changes: Any) -> bytes:
    told = {
        "event": "MODEL_VERSION_TRANSITIONED_STAGE",
        "webhook_id": "c5596721253c4b429368cf6f4341b88a",
        "event_timestamp": int((time.time() if at is None else at) * 1000),
        "model_name": MODEL,
        "version": str(number),
        "to_stage": "Staging",
        "from_stage": "None",
        "text": "Registered model 'someModel' version 8 transitioned from None to Staging.",
    }
    return json.dumps(told | changes).encode()


def _answer(response: http.client.HTTPResponse) -> Answer:
    text = response.read()
    try:
        return Answer(response.status, json.loads(text))
    except ValueError:
        return Answer(response.status, {"text": text.decode(errors="replace")})
