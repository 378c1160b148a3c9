"""What a configuration consists of: its entries, declarations and steps, as they are written, with nothing filled in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Config = dict[str, Any]
Found = Iterator[str]
"""Findings, one line each."""


def plans(config: Config) -> Iterator[tuple[str, list[tuple[str, str, Config]]]]:
    """Each workflow and group of jobs: its name, and for each entry the name, what is called, and how."""
    for name, body in (*config["workflows"].items(), *config.get("job-groups", {}).items()):
        if name != "version":
            yield name, list(entries_of(body["jobs"]))


def entries_of(jobs: list[Any]) -> Iterator[tuple[str, str, Config]]:
    for each in jobs:
        called, entry = (each, {}) if isinstance(each, str) else next(iter(each.items()))
        yield entry.get("name", called), called, entry


def required_by(entry: Config) -> Iterator[tuple[str, set[str]]]:
    for each in entry.get("requires", []):
        name, statuses = (each, "success") if isinstance(each, str) else next(iter(each.items()))
        yield name, {statuses} if isinstance(statuses, str) else set(statuses)


def declarations(config: Config) -> Iterator[tuple[str, Config]]:
    """Every declaration of parameters, and whose it is."""
    yield "pipeline", config.get("parameters", {})
    for kind in ("executors", "commands", "jobs"):
        for name, body in config.get(kind, {}).items():
            yield name, body.get("parameters", {})


def all_steps(config: Config) -> Iterator[tuple[str, str, Any]]:
    """Every step of a job or command: where, its kind, and what is given to it."""
    for name, body in (*config.get("commands", {}).items(), *config["jobs"].items()):
        yield from steps_of(name, body.get("steps", []))
    for where, entries in plans(config):
        for name, _, entry in entries:
            yield from steps_of(f"{where}: {name}", [*entry.get("pre-steps", []), *entry.get("post-steps", [])])


def steps_of(where: str, listed: list[Any]) -> Iterator[tuple[str, str, Any]]:
    for each in listed:
        kind, given = (each, {}) if isinstance(each, str) else next(iter(each.items()))
        yield where, kind, given
        if kind in ("when", "unless"):
            yield from steps_of(where, given["steps"])
