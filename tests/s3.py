"""An S3 for the tests: moto's server, a process of its own, which checks who may do what when it is asked to.

    with S3Server(folder) as s3:
        s3.put("shop", "products/1.csv", b"…")
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.servers import START_LIMIT_S, Server, ServerFailed, free_ports

REGION = "eu-central-1"


def use(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """From now on this process finds its S3 by these."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


class S3Server(Server):
    """One account. Until `guard()` anybody may do anything, with any key."""

    def __init__(self, folder: Path) -> None:
        (self._port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{self._port}"
        super().__init__(folder, self._port, {})

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]

    def settings(self) -> dict[str, str]:
        return {"PYTHONDONTWRITEBYTECODE": "1"} if os.environ.get("PYTHONDONTWRITEBYTECODE") else {}

    def variables(self, key: str = "anybody", secret: str = "anything") -> dict[str, str]:
        """What the kit, and any other client, finds it by."""
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}

    def empty(self) -> None:
        """Everything gone, and nobody checked."""
        self._moto("reset-auth", "Infinity")
        self._moto("reset", "")

    def guard(self) -> None:
        """From now on keys and policies count."""
        self._moto("reset-auth", "0")

    def make(self, bucket: str) -> None:
        self.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    def put(self, bucket: str, key: str, content: bytes) -> None:
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=content)

    def user(self, name: str, *actions: str) -> dict[str, str]:
        """The variables of a new user who may do these, such as `s3:GetObject`, on everything."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        if actions:
            statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return self.variables(key["AccessKeyId"], key["SecretAccessKey"])

    def forbid(self, name: str) -> None:
        """What the user could do, no more."""
        self._moto("reset-auth", "Infinity")
        self.client("iam").delete_user_policy(UserName=name, PolicyName="all")
        self.guard()

    def client(self, service: str) -> Any:
        import boto3  # moto brings it

        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="anybody", aws_secret_access_key="anything")

    def _moto(self, action: str, body: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        connection.request("POST", f"/moto-api/{action}", body)
        assert connection.getresponse().status == 200, action
        connection.close()

    def _wait_for_health(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise ServerFailed(self, "did not start") from None
            time.sleep(0.1)
