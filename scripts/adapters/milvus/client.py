"""A MilvusClient whose connection is its own, ends when it is closed, and is known to be dead within a bounded time."""

from __future__ import annotations

import logging
from typing import Any

import grpc
from pymilvus import MilvusClient
from pymilvus.client.connection_manager import ConnectionConfig, ConnectionManager

# A connection from which nothing comes is pinged after so long, and taken for dead when the ping is not answered for so long: a call under way
# then ends as UNAVAILABLE after 20 s, whatever its own limit; one that had waited for more than 20 s before that, after 70 s, because gRPC sends
# two pings and then one a minute while there is nothing else to send (measured, grpcio 1.85.1; to have it send more would have milvus-lite's
# server end long calls). Milvus' proxy ends connections that are pinged more than every 5 s
# ("too_many_pings"); 10 is pymilvus' own value (3.0.2), which every server that it is used with bears. In the answer's time a ping may have to
# wait behind rows that are written over a slow line.
PING_AFTER_SECONDS, PING_ANSWER_SECONDS = 10.0, 10.0
# An attempt to connect that is not answered, as by a paused server, is given up after so long; gRPC's own limit is 20 s.
CONNECT_SECONDS = 5.0
# milvus-lite's server answers at once, but on a machine that has too much to do everything takes long.
EMBEDDED_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 3.0

SERVER = {
    "grpc.keepalive_time_ms": int(PING_AFTER_SECONDS * 1_000),
    "grpc.keepalive_timeout_ms": int(PING_ANSWER_SECONDS * 1_000),
    # The one that counts: without it a ping may take 60 s, whatever the other says (grpcio 1.85.1).
    "grpc.http2.ping_timeout_ms": int(PING_ANSWER_SECONDS * 1_000),
    "grpc.min_reconnect_backoff_ms": int(CONNECT_SECONDS * 1_000),
    "grpc.initial_reconnect_backoff_ms": 100,
    # Without it a connection that was lost for a minute is tried again only after another one.
    "grpc.max_reconnect_backoff_ms": int(LONGEST_PAUSE_SECONDS * 1_000),
    # Else channels to one address share one connection, and a new channel would get the dead one.
    "grpc.use_local_subchannel_pool": 1,
}
# milvus-lite's server is in this process, and ends connections that are pinged while a call takes long (3.2.2).
EMBEDDED = {"grpc.keepalive_time_ms": 2**31 - 1, "grpc.use_local_subchannel_pool": 1}


class Client(MilvusClient):
    """As MilvusClient, but every call is sent once: whether it may be repeated is not for pymilvus to decide.

    pymilvus keeps connections in one place, where all clients of the process wait while one of them connects, or finds its server gone; it hands
    out a connection whatever certificates are named, and closes none (3.0.2). So this one has a place of its own.
    """

    def __init__(self, uri: str, token: str = "", *, options: dict[str, int], seconds: float = CONNECT_SECONDS, **tls: str) -> None:
        self._config = ConnectionConfig.from_uri(uri, token=token, grpc_options=options, **tls)
        self._manager = ConnectionManager()
        self._handler = self._manager.get_or_create(self._config, dedicated=True, client=self, timeout=seconds)
        self._handler._on_rpc_error = _not_again
        self._using = f"cm-{id(self._handler)}"
        self.is_self_hosted = self.get_server_type() == "milvus"

    def asked(self, seconds: float) -> None:
        """One round trip that needs no grant and changes nothing. Raises what gRPC raises."""
        self._get_connection().get_server_version(timeout=seconds)

    def renew(self, seconds: float) -> None:
        """A new connection in place of this one; calls under way stay with theirs. Raises what connecting raises."""
        handler = self._get_connection()
        handler.reconnect(timeout=seconds)
        if self._handler is None:  # closed meanwhile
            handler.close()


def be_quiet() -> None:
    """A failed call would print its traceback through these loggers; it is told in one line instead."""
    for name in ("pymilvus", "milvus_lite"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _not_again(error: Any) -> bool:
    """Asked by pymilvus before it repeats a call."""
    if isinstance(error, grpc.RpcError):
        raise error
    return False
