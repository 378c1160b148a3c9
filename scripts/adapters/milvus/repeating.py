"""Which calls are sent again when their answer was lost: those that do no harm twice, and those of which it can be seen whether they were done.

A lost answer leaves open whether the server did what it was asked. pymilvus would send every call again, whatever it does (3.0.2); here a call
that is not named is sent once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.errors import Refused

Ask = Callable[..., Any]
"""Calls a method of MilvusClient, once."""

# They change nothing.
READING = frozenset(
    {
        *("describe_collection", "describe_index", "describe_replica", "describe_role", "describe_user", "get_collection_stats"),
        *("get_compaction_plans", "get_compaction_state"),
        *("get_load_state", "has_collection", "list_aliases", "list_collections", "list_indexes", "list_loaded_segments", "list_partitions"),
        *("list_persistent_segments", "list_roles", "list_users", "query", "search"),
    }
)
# It ends the same however often it is done: rows are written and deleted by key; properties, grants and loading are set to a value; a flush or a
# compaction that comes twice finds less to do. Moving an alias is not among them: between the two another process may have moved it on.
SETTING = frozenset(
    {
        *("alter_collection_properties", "compact", "delete", "flush", "grant_privilege", "grant_role", "load_collection"),
        *("revoke_privilege", "upsert"),
    }
)


def _is_created(ask: Ask, name: str, *, schema: Any, properties: dict[str, str], **_: Any) -> bool:
    """By its fields and properties, which say whose it is. 2.3.5 answers "done" to whoever creates what another has made with the same fields.

    Raises Refused where there is another's of that name."""
    if not ask("has_collection", name):
        return False
    found = ask("describe_collection", name)
    fields = {field.name for field in schema.fields}
    ours = found["collection_name"] == name and fields == {field["name"] for field in found["fields"]}
    if not ours or properties.items() - dict(found.get("properties", {})).items():
        raise Refused(f"There is a collection {name} already, of somebody else.")
    return True


def _is_dropped(ask: Ask, name: str) -> bool:
    return not ask("has_collection", name)


def _points(ask: Ask, collection: str, alias: str) -> bool:
    return pointed(ask, alias) == collection


def _is_in_use(ask: Ask, name: str) -> bool:
    """Somebody may have brought it back meanwhile, and production must not be released under them."""
    return not ask("has_collection", name) or bool(ask("describe_collection", name).get("aliases"))


def _is_indexed(ask: Ask, name: str, params: Any, **_: Any) -> bool:
    return set(ask("list_indexes", name)) >= {index.field_name for index in params}


def _is_not_indexed(ask: Ask, name: str, index: str) -> bool:
    return index not in ask("list_indexes", name)


def _is_role(ask: Ask, role: str) -> bool:
    return role in ask("list_roles")


def _is_user(ask: Ask, user: str, password: str) -> bool:
    return user in ask("list_users")


# To send it again fails where it was done, or hides that another was faster, or undoes what another has done since: so first it is looked whether
# it was done, or must not be done any more. (What moves or takes away an alias, or drops what others know, is looked at before it is sent at all,
# see `store`.)
MAKING: dict[str, Callable[..., bool]] = {
    "create_alias": _points,
    "create_collection": _is_created,
    "create_index": _is_indexed,
    "create_role": _is_role,
    "create_user": _is_user,
    "drop_collection": _is_dropped,
    "drop_index": _is_not_indexed,
    "release_collection": _is_in_use,
}


def pointed(ask: Ask, alias: str) -> str | None:
    """Where the alias points; None where there is none."""
    if not ask("has_collection", alias):
        return None
    # describe_alias looks into the wrong database on 2.3.5; describe_collection resolves aliases rightly everywhere.
    found = str(ask("describe_collection", alias)["collection_name"])
    return found if found != alias else None


def is_harmless(method: str) -> bool:
    return method in READING or method in SETTING


def unless_done(ask: Ask, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Of one of MAKING whose answer was lost: it is sent again where it was not done. Raises what `ask` raises, and Refused where another did it."""
    done = MAKING[method]
    if done(ask, *args, **kwargs):
        return
    try:
        ask(method, *args, **kwargs)
    except Exception:
        # The call that was lost may have been done only now, or its repetition may have been done and answered with the first one's traces.
        if not done(ask, *args, **kwargs):
            raise
