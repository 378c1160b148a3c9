"""What went wrong between us and Milvus, in one line: what pymilvus and gRPC raise, made the kit's errors."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

import grpc
from pymilvus.client.types import Status
from pymilvus.exceptions import MilvusException

from scripts import roles
from scripts.adapters.milvus import trust
from scripts.addresses import shown
from scripts.errors import KitError, Refused, Unreachable, UsageError
from scripts.tls import TlsFiles

NOT_LOADED, TOO_MANY_REQUESTS = 101, 8
_LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "Retry timeout", "Retry run out", "Fail connecting")
_DENIED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "auth check failure", "permission deny")
_RETURNING = (
    *("node not match", "node not found", "node offline", "node not available", "session not found", "client connection is closing"),
    *("channel not found", "channel not available", "channel lacks", "no available shard", "shard leader", "not fully loaded", "on recovering"),
    *("service not ready", "is not ready", "service unavailable", "server is not healthy", "SegmentIDAllocator fail"),
    # Of one that is being shut down in order (2.3.5).
    *("empty grpc client", "failed to connect", "connection refused", "transport: error"),
)
_UNKNOWN_USER = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_PASSING = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED)
_NOT_UNDERSTOOD = ("stack trace", "unrecoverable error")
_BAD_EXPRESSION = (
    *("cannot parse expression", "failed to create query plan", "failed to create expr plan"),
    " at column ",  # whatever is wrong with one (milvus-lite 3.2.2)
)


class NotLetIn(Unreachable):
    """The server answers, and does not know this user or password."""


class NotPermitted(Unreachable):
    """The server knows this user, and denies the call for want of `privilege`, which is empty where it does not say."""

    def __init__(self, what: str, *, privilege: str = "") -> None:
        able = roles.that_may(privilege)
        hint = "Check MILVUS_TOKEN and its role's grants."
        if able:
            hint = f"It takes {privilege}, which {', '.join(able[:-1])}{' and ' if able[1:] else ''}{able[-1]} may: check MILVUS_TOKEN, or run `roles setup`."
        super().__init__(what, hint=hint)
        self.privilege = privilege


def code_of(error: Exception) -> grpc.StatusCode | int | None:
    """gRPC's status or Milvus' number. Where pymilvus could not connect, gRPC's reason for it."""
    if isinstance(error, grpc.RpcError):
        return error.code()
    cause = error.__cause__
    if error.code == Status.CONNECT_FAILED and isinstance(cause, grpc.RpcError) and cause.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
        return cause.code()
    return error.code


def is_lost(error: Exception) -> bool:
    """Whether a call found no server, or none any more before it was answered."""
    return code_of(error) in (grpc.StatusCode.UNAVAILABLE, Status.CONNECT_FAILED) or "StatusCode.UNAVAILABLE" in str(error)


def is_passing(error: Exception) -> bool:
    """Whether it is gRPC's own failure of one call, and no word of the server's about what was asked (pymilvus repeats after these as well)."""
    return isinstance(error, grpc.RpcError) and error.code() in _PASSING


def is_late(error: Exception) -> bool:
    """Whether the connection stands and no answer came in time."""
    return code_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED


def is_returning(error: MilvusException, away: bool) -> bool:
    """Whether the server has come back, but not yet all parts of it, or asks for patience. `away` says that it was seen to be so: only then a failure
    with no words but a stack trace is believed to pass."""
    words = _RETURNING + (_NOT_UNDERSTOOD if away else ())
    return error.code == TOO_MANY_REQUESTS or any(word in error.message for word in words)


def told(uri: str, doing: str, error: Exception) -> KitError:
    """The failure of a call."""
    if isinstance(error, grpc.RpcError):
        # Denied and oversized calls come as raw grpc errors, not as MilvusException (pymilvus 3.0.2).
        return _failure(uri, doing, f"{error.code().name}: {error.details()}")
    if error.code == NOT_LOADED:
        return Refused(f"Milvus cannot {doing}: the collection is not loaded.", hint="`finish --pair NAME` loads it.")
    return _failure(uri, doing, f"{error.code if isinstance(error.code, grpc.StatusCode) else ''} {error.message}".strip())


def no_answer(uri: str, doing: str) -> Unreachable:
    return Unreachable(f"Milvus at {shown(uri)} stopped answering ({doing}).", hint="Run the same command again when it is back; nothing is lost.")


def unknown_outcome(uri: str, doing: str) -> Unreachable:
    """Of a call that must not be sent twice."""
    what = f"Milvus at {shown(uri)} stopped answering ({doing}), and whether that was done is not known."
    return Unreachable(what, hint="Look before it is done again.")


def not_all_back(uri: str, doing: str) -> Unreachable:
    return Unreachable(f"Milvus at {shown(uri)} is up, but not yet all parts of it ({doing}).", hint="Try again shortly.")


def closed(uri: str) -> UsageError:
    return UsageError(f"This connection to {shown(uri)} is closed.", hint="Open another.")


def no_address(uri: str) -> UsageError:
    return UsageError(f"MILVUS_URI {shown(uri)!r} is neither an address such as http://host:19530 nor a file ending in .db.")


def no_connection(uri: str, tls: TlsFiles, seconds: float, error: Exception) -> KitError:
    """pymilvus says the same of a wrong token, a dead server and a certificate that is not trusted (3.0.2): gRPC's reason and the port tell them
    apart, each of which is asked for `seconds` at most."""
    said = error if isinstance(error, grpc.RpcError) else error.__cause__
    reason = said if isinstance(said, grpc.RpcError) else None
    try:
        address = urlsplit(uri)
        socket.create_connection((address.hostname or "", address.port or (443 if address.scheme == "https" else 19530)), timeout=seconds).close()
    except (OSError, ValueError):
        return Unreachable(f"Nothing answers at MILVUS_URI {shown(uri)}.", hint="Is the address right and the server up?")
    if isinstance(error, MilvusException) and any(word in error.message for word in _RETURNING):  # what stood still for long, or ends (2.3.5)
        return not_all_back(uri, "connect")
    if reason is None or reason.code() in _UNKNOWN_USER:
        return NotLetIn(f"The server at MILVUS_URI {shown(uri)} does not let us in.", hint="Check MILVUS_TOKEN (user:password).")
    what = f"The server at MILVUS_URI {shown(uri)} takes connections and does not answer."
    return trust.fault(uri, tls, seconds, str(reason.details())) or Unreachable(what, hint="Is it Milvus, and is it starting, stopped or overloaded?")


def _failure(uri: str, doing: str, why: str) -> KitError:
    is_back_in_parts = any(word in why for word in _RETURNING)
    why = _shortened(why)
    if any(word in why for word in _DENIED):
        return NotPermitted(f"Milvus at {shown(uri)} does not permit this user to {doing}.", privilege=_lacking(why))
    if any(word in why for word in _LOST):
        return no_answer(uri, doing)
    if is_back_in_parts:
        return not_all_back(uri, doing)
    if any(word in why for word in _BAD_EXPRESSION):
        return UsageError(f"Milvus does not understand the filter: {why}.")
    return Refused(f"Milvus refused to {doing}: {why}.")


def _lacking(why: str) -> str:
    """2.3.5 names the privilege that a call lacks: "PrivilegeCreateAlias: permission deny to somebody"."""
    named = re.search(r"Privilege(\w+): permission deny", why)
    return named[1] if named else ""


def _shortened(why: str) -> str:
    """The message without stack and channel noise: servers append their whole call chain."""
    why = re.split(r"\n|, debug=|: stack trace|=> ", why, maxsplit=1)[0]
    return why.strip().rstrip(".")[:400]
