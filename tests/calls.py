"""Which calls each user makes of Milvus, and what the server asks for to permit them."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import grpc
from pymilvus import MilvusClient

Calls = dict[str, type]
"""Each call's name, and the kind of its request."""


class Recorder(grpc.UnaryUnaryClientInterceptor):
    """Notes every call by its user, and lets it pass as it is."""

    def __init__(self) -> None:
        self.of: defaultdict[str, Calls] = defaultdict(dict)

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: grpc.ClientCallDetails, request: Any) -> Any:
        token = base64.b64decode(dict(details.metadata or ()).get("authorization", b"")).decode()
        self.of[token.partition(":")[0]][str(details.method).rpartition("/")[2]] = type(request)
        return continuation(details, request)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """To everybody who connects within the block."""
        make = grpc.insecure_channel
        with mock.patch.object(grpc, "insecure_channel", lambda *args, **kwargs: grpc.intercept_channel(make(*args, **kwargs), self)):
            yield


def privilege(nobody: MilvusClient, call: str, request: type) -> str:
    """What the server says that this user, who may do nothing, lacks for a call; empty where it does not ask. The request says nothing, so that a
    call that nobody checks does nothing either."""
    stub, context = nobody._get_connection()._stub, nobody._generate_call_context()
    try:
        getattr(stub, call)(request(), metadata=context.to_grpc_metadata())
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.PERMISSION_DENIED:
            return error.details().partition(":")[0].removeprefix("Privilege")
    return ""
