"""`<< … >>` in a configuration: whether what it names exists, and whether it comes near a shell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.circleci.outline import Config, Found

REFERENCE = re.compile(r"<<\s*([^<>]*?)\s*>>")
PIPELINE_VALUES = {
    *("pipeline.id", "pipeline.number", "pipeline.project.slug", "pipeline.project.type", "pipeline.project.git_url", "pipeline.trigger_source"),
    *("pipeline.git.branch", "pipeline.git.tag", "pipeline.git.revision", "pipeline.schedule.name", "pipeline.schedule.id"),
}
SHELL = {"command", "shell", "name", "run"}
"""What a shell sees of a step. CircleCI shows names only; they are kept clean as well."""


def references(config: Config) -> Found:
    """References to nothing, parameters that nobody uses, and values from outside that are pasted into a command, where a shell would run them."""
    used: set[str] = set()
    for kind in config.keys() - {"parameters", "version"}:
        for name, body in config[kind].items():
            own = body.get("parameters", {}) if isinstance(body, dict) else {}
            for path, text in _texts(body):
                for each in REFERENCE.findall(text):
                    used.add(each)
                    if not _exists(each, config, own if kind in ("jobs", "commands", "executors") else {}):
                        yield f"{name}: << {each} >> does not exist"
                    if SHELL & set(path) and "environment" not in path:
                        yield f"{name}: << {each} >> is pasted into a command; pass it through `environment:`"
    yield from (f"pipeline: parameter {name} is used nowhere" for name in config.get("parameters", {}) if f"pipeline.parameters.{name}" not in used)


def _exists(reference: str, config: Config, own: Config) -> bool:
    space, _, name = reference.rpartition(".")
    if space == "pipeline.parameters":
        return name in config.get("parameters", {})
    if space == "parameters":
        return name in own
    return reference in PIPELINE_VALUES or space == "matrix"


def _texts(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text below a node, with the keys that lead to it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(value, (*path, str(key)))
    elif isinstance(node, list):
        for each in node:
            yield from _texts(each, path)
    elif isinstance(node, str):
        yield path, node
