"""`<< … >>` and declared parameters: how CircleCI puts values into a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Scope = Mapping[str, Any]
"""By full name, e.g. `pipeline.parameters.service` or `parameters.message`."""

_TAG = re.compile(r"(?<!\\)<<\s*([\w.-]+)\s*>>")
_OPEN = re.compile(r"(?<!\\)<<")
_TYPES = {"string": str, "boolean": bool, "integer": int, "steps": list, "executor": (str, dict), "env_var_name": str}


class ConfigFault(Exception):
    """What CircleCI says instead of running anything; the pipeline is then `errored`."""


def fill(node: Any, scope: Scope) -> Any:
    """Every string of this tree with its values. A string that is one tag and nothing else keeps the value's type.

    Filled once: what a value itself holds is text, also where it looks like a tag. Raises ConfigFault for a name that nobody declared.
    """
    if isinstance(node, dict):
        return {key: fill(value, scope) for key, value in node.items()}
    if isinstance(node, list):
        return [fill(value, scope) for value in node]
    if not isinstance(node, str) or "<<" not in node:
        return node
    if whole := _TAG.fullmatch(node.strip()):
        return _value(whole[1], scope)
    if len(_OPEN.findall(node)) != len(_TAG.findall(node)):
        raise ConfigFault(f"Unclosed '<<' tag in string: {node!r}")
    return _TAG.sub(lambda tag: written(_value(tag[1], scope)), node).replace("\\<<", "<<")


def written(value: Any) -> str:
    """As it stands in a text: `true`, not `True`."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def in_environment(value: Any) -> str:
    """As an environment variable gets it. A pipeline value that is not there, such as the tag of a branch, becomes `<nil>` (CircleCI's docs)."""
    return "<nil>" if value is None else written(value)


def _value(name: str, scope: Scope) -> Any:
    if name not in scope:
        raise ConfigFault(f"Arguments referenced without declared parameters: {name}")
    return scope[name]


def arguments(declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What each declared parameter is. Raises ConfigFault for one that is unknown, missing or of another type."""
    if unknown := sorted(given.keys() - declared.keys()):
        raise ConfigFault(f"Unexpected argument(s): {', '.join(unknown)}")
    if missing := sorted(name for name, about in declared.items() if name not in given and "default" not in about):
        raise ConfigFault(f"Missing required argument(s): {', '.join(missing)}")
    return {name: _checked(name, about, given.get(name, about.get("default"))) for name, about in declared.items()}


def _checked(name: str, about: Mapping[str, Any], value: Any) -> Any:
    kind = about["type"]
    if kind == "enum":
        if value not in about["enum"]:
            raise ConfigFault(f"Type error for argument {name}: expected one of {', '.join(about['enum'])}, actual value: {value!r}")
    elif kind not in _TYPES:
        raise ConfigFault(f"Unknown parameter type {kind!r} of {name}")
    elif not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        raise ConfigFault(f"Type error for argument {name}: expected type: {kind}, actual value: {value!r} (type {type(value).__name__})")
    return value


def as_scope(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in values.items()}
