"""Who may do what on Milvus: four roles, and exactly the grants that their jobs need.

The names are those of Milvus 2.3.5. A grant on collections is on all of them: pairs get new names with each build, and 2.3.5 knows no patterns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

EVERYTHING = "*"
# A server gives its users 2.3.5's grants to look around through the role `public`, which an administrator may have emptied.
_LOOKING = ("DescribeCollection", "ShowCollections")


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """`kind` is what Milvus calls an object type: Global, or Collection."""

    kind: str
    privilege: str
    name: str = EVERYTHING

    def __str__(self) -> str:
        return f"{self.privilege} ({self.kind}{'' if self.name == EVERYTHING else f' {self.name}'})"


@dataclass(frozen=True, slots=True)
class Role:
    """`jobs` are the commands that run under it."""

    name: str
    jobs: tuple[str, ...]
    grants: frozenset[Grant]


def _of(*, everywhere: tuple[str, ...], collections: tuple[str, ...]) -> frozenset[Grant]:
    return frozenset({Grant("Global", name) for name in (*_LOOKING, *everywhere)} | {Grant("Collection", name) for name in collections})


# Two grants carry more than their names say on 2.3.5: CreateCollection is asked for to stamp (alter_collection_properties), and Load to see
# whether a collection is loaded.
BUILDER = Role(
    "builder",
    (
        *("create", "embed", "finish", "build", "catch-up", "validate", "replay", "compact", "restore"),
        *("webhook", "trigger", "reconcile", "watch"),
    ),
    _of(
        everywhere=("CreateCollection", "ListAliases"),
        collections=(
            *("Compaction", "CreateIndex", "DropIndex", "Delete", "Flush", "GetFlushState", "GetStatistics", "Import"),
            *("IndexDetail", "Load", "Query", "Search", "Upsert"),
        ),
    ),
)
PROMOTER = Role(
    "promoter",
    ("promote", "rollback", "unlock", "canary"),
    _of(everywhere=("CreateAlias", "CreateCollection", "DropAlias", "ListAliases"), collections=("Load", "Query", "Search")),
)
JANITOR = Role(
    "janitor",
    ("cleanup", "discard"),
    _of(everywhere=("CreateCollection", "DropCollection", "ListAliases"), collections=("Load", "Release")),
)
READER = Role(
    "reader",
    (
        *("status", "history", "search", "golden", "approve", "requirements", "scripts.serving"),
        *("health", "ensure-loaded", "perf", "capacity", "backup"),
    ),
    _of(everywhere=("ListAliases",), collections=("IndexDetail", "Load", "Query", "Search")),
)
ROLES = (BUILDER, PROMOTER, JANITOR, READER)


def that_may(privilege: str) -> tuple[str, ...]:
    """The roles that have this privilege."""
    return tuple(role.name for role in ROLES if any(grant.privilege == privilege for grant in role.grants))


class AccessControl(Protocol):
    """Users and roles of a server with authentication, seen by an administrator. Grants are those of one database."""

    def roles(self) -> Mapping[str, frozenset[Grant]]: ...

    def users(self) -> Mapping[str, frozenset[str]]:
        """The roles that each user has."""
        ...

    def create_role(self, role: str) -> None: ...

    def grant(self, role: str, grant: Grant) -> None:
        """Safe to repeat."""
        ...

    def revoke(self, role: str, grant: Grant) -> None:
        """Safe to repeat."""
        ...

    def create_user(self, user: str, password: str) -> None: ...

    def assign(self, user: str, role: str) -> None:
        """Safe to repeat."""
        ...

    def lets_in(self, user: str, password: str) -> bool: ...

    def denied(self, user: str, password: str, grants: frozenset[Grant]) -> frozenset[Grant]:
        """Those of `grants` that the server does not honour yet for this user. Nothing is changed by asking."""
        ...
