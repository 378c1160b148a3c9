"""Users, roles and grants of a Milvus server with authentication."""

from __future__ import annotations

import secrets
from functools import partial
from types import TracebackType

import grpc
from pymilvus.grpc_gen import milvus_pb2 as messages

from scripts.adapters.milvus.connection import RETRY_SECONDS, Connection, NotLetIn
from scripts.adapters.milvus.raw import Wire
from scripts.addresses import shown
from scripts.errors import Refused, UsageError
from scripts.roles import Grant
from scripts.tls import OPEN, TlsFiles

# The call by which a server is asked whether it permits something. It looks at permissions first, and then finds that there is no such
# collection or alias: nothing is done. (2.3.5: alter_collection_properties wants CreateCollection; Import is not asked for, because it looks
# for its collection for 52 seconds.)
_CALLS = {
    "Compaction": ("ManualCompaction", messages.ManualCompactionRequest),
    "CreateAlias": ("CreateAlias", messages.CreateAliasRequest),
    "CreateCollection": ("AlterCollection", messages.AlterCollectionRequest),
    "CreateIndex": ("CreateIndex", messages.CreateIndexRequest),
    "Delete": ("Delete", messages.DeleteRequest),
    "DescribeCollection": ("DescribeCollection", messages.DescribeCollectionRequest),
    "DropAlias": ("DropAlias", messages.DropAliasRequest),
    "DropCollection": ("DropCollection", messages.DropCollectionRequest),
    "DropIndex": ("DropIndex", messages.DropIndexRequest),
    "Flush": ("Flush", messages.FlushRequest),
    "GetFlushState": ("GetFlushState", messages.GetFlushStateRequest),
    "GetStatistics": ("GetCollectionStatistics", messages.GetCollectionStatisticsRequest),
    "IndexDetail": ("DescribeIndex", messages.DescribeIndexRequest),
    "Insert": ("Insert", messages.InsertRequest),
    "ListAliases": ("ListAliases", messages.ListAliasesRequest),
    "Load": ("GetLoadState", messages.GetLoadStateRequest),
    "Query": ("Query", messages.QueryRequest),
    "Release": ("ReleaseCollection", messages.ReleaseCollectionRequest),
    "Search": ("Search", messages.SearchRequest),
    "ShowCollections": ("ShowCollections", messages.ShowCollectionsRequest),
    "Upsert": ("Upsert", messages.UpsertRequest),
}


class MilvusRoles:
    """Implements roles.AccessControl, of the database that the address names. Use it with `with`.

    Raises, when made, Unreachable where the server is not there or the token is wrong, UsageError on milvus-lite, and Refused on a server that asks
    nobody for a password: roles would have no effect there.
    """

    def __init__(self, uri: str, token: str, tls: TlsFiles = OPEN) -> None:
        if "://" not in uri:
            raise UsageError("milvus-lite has no users and no roles.", hint="Set MILVUS_URI to a server with authentication.")
        self._uri, self._tls = uri, tls
        self._milvus = Connection(uri, token, tls=tls)
        self._milvus.connect()
        if self.lets_in(f"nobody_{secrets.token_hex(4)}", secrets.token_hex(8)):
            self.close()
            what = f"Milvus at {shown(uri)} lets everybody in: roles would have no effect."
            raise Refused(what, hint="Set common.security.authorizationEnabled: true in milvus.yaml.")

    def __enter__(self) -> MilvusRoles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._milvus.close()

    def roles(self) -> dict[str, frozenset[Grant]]:
        return {name: self._grants(name) for name in self._milvus.call("list_roles")}

    def users(self) -> dict[str, frozenset[str]]:
        return {name: frozenset(self._milvus.call("describe_user", name).get("roles", ())) for name in self._milvus.call("list_users")}

    def create_role(self, role: str) -> None:
        try:
            self._milvus.call("create_role", role)
        except Refused as error:
            if "reached the limit" not in error.what:
                raise
            hint = "2.3.5 takes 10, two of them its own; drop some."
            raise Refused(f"This server takes no more roles, and {role} is missing.", hint=hint) from None

    def grant(self, role: str, grant: Grant) -> None:
        self._milvus.call("grant_privilege", role, grant.kind, grant.privilege, grant.name)

    def revoke(self, role: str, grant: Grant) -> None:
        self._milvus.call("revoke_privilege", role, grant.kind, grant.privilege, grant.name)

    def create_user(self, user: str, password: str) -> None:
        self._milvus.call("create_user", user, password)

    def assign(self, user: str, role: str) -> None:
        self._milvus.call("grant_role", user, role)

    def lets_in(self, user: str, password: str) -> bool:
        try:
            with self._as(user, password) as theirs:
                theirs.connect()
        except NotLetIn:
            return False
        return True

    def denied(self, user: str, password: str, grants: frozenset[Grant]) -> frozenset[Grant]:
        with self._as(user, password) as theirs:
            asked = [grant for grant in grants if grant.privilege in _CALLS] if theirs.wire else []
            return frozenset(grant for grant in asked if theirs.patiently(f"try {grant.privilege}", "", partial(_denies, theirs.wire, grant.privilege)))

    def _as(self, user: str, password: str) -> Connection:
        return Connection(self._uri, f"{user}:{password}", tls=self._tls)

    def _grants(self, role: str) -> frozenset[Grant]:
        found = self._milvus.call("describe_role", role)["privileges"]
        return frozenset(Grant(each["object_type"], each["privilege"], each["object_name"]) for each in found)


def _denies(wire: Wire, privilege: str) -> bool:
    """Whether the server says so. Other answers, mostly that nothing has such a name, mean that it would have been done."""
    call, request = _CALLS[privilege]
    nothing = f"nothing_{secrets.token_hex(8)}"
    values = {"collection_name": nothing, "collection_names": [nothing], "alias": nothing}
    try:
        named = {name: value for name, value in values.items() if name in request.DESCRIPTOR.fields_by_name}
        wire.send(call, request(**named), RETRY_SECONDS)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
            raise
        return True
    return False
