"""Requests and answers of CircleCI's API, held against `shapes.yaml`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_NAME = "urn:circleci"
_FILE = Path(__file__).with_name("shapes.yaml")


@dataclass(frozen=True)
class Operation:
    """One request that the API knows, with the names in its path filled in."""

    name: str
    path: str
    method: str
    values: dict[str, str]

    def request_fault(self, body: bytes) -> str:
        """What is wrong with the body of a request; empty where nothing is."""
        described = _document()["paths"][self.path][self.method]
        if "requestBody" not in described:
            return "" if body in (b"", b"{}") else "a body that nobody asks for"
        return _fault(described["requestBody"], body)

    def answer_fault(self, status: int, body: bytes) -> str:
        answers = _document()["paths"][self.path][self.method]["responses"]
        return _fault(answers.get(str(status), answers["default"]), body)


def operation(method: str, path: str) -> Operation | None:
    """What is asked for, or None where the API knows no such request. `path` begins after /api/v2."""
    for template, methods in _document()["paths"].items():
        names = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
        if method.lower() in methods and (found := re.fullmatch(names, path)):
            return Operation(methods[method.lower()]["operationId"], template, method.lower(), found.groupdict())
    return None


def _fault(described: dict[str, str], body: bytes) -> str:
    """`described` refers to a request's or an answer's description."""
    try:
        value = json.loads(body)
    except ValueError:
        return "not JSON"
    kind, name = described["$ref"].split("/")[-2:]
    schema = _document()["components"][kind][name]["content"]["application/json"]["schema"]["$ref"]
    error = next(iter(_validator(schema).iter_errors(value)), None)
    return f"{error.json_path}: {error.message}" if error else ""


@cache
def _validator(reference: str) -> Draft202012Validator:
    registry: Registry[Any] = Registry().with_resource(_NAME, Resource.from_contents(_document(), default_specification=DRAFT202012))
    return Draft202012Validator({"$ref": f"{_NAME}{reference}"}, registry=registry, format_checker=FormatChecker())


@cache
def _document() -> dict[str, Any]:
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))
