"""clusters.yaml: the servers that one look goes over, each with the name of the variable that has its token."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from scripts import plain_yaml
from scripts.addresses import has_secret
from scripts.errors import UsageError

# In capitals, as variables mostly are and tokens are not: what looks like a name is named in messages.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")

_PLAINLY = {
    "missing": "is missing",
    "tuple_type": "is not a list, which begins with `- name: …`",
    "model_type": "is not a mapping such as {name: eu, uri: 'https://eu.example:19530'}",
    "invalid_key": "is not the name of a setting",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cluster(_Frozen):
    """One server. Its token is in the environment, never in the file."""

    name: str = Field(min_length=1, max_length=100)
    uri: str = Field(min_length=1)
    """As MILVUS_URI: an address, or a milvus-lite file, relative to the folder of clusters.yaml."""
    token_variable: str = ""
    """The name of the variable; empty for a server that asks for none."""

    @field_validator("name")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("has characters in it that are not shown, such as the end of a line")
        return value

    @field_validator("uri")
    @classmethod
    def _an_address(cls, value: str) -> str:
        # The value is not repeated: with a slash too few, a password is in it unseen.
        if has_secret(value):
            raise ValueError("has a password in it: put it into a variable, and the variable's name into token_variable")
        if "://" not in value and not value.endswith(".db"):
            raise ValueError("is neither an address such as http://host:19530 nor a file ending in .db")
        return value

    @field_validator("token_variable")
    @classmethod
    def _a_name(cls, value: str) -> str:
        # The value is not repeated: it may be the token itself.
        if value and not _VARIABLE.fullmatch(value):
            raise ValueError("is not the name of a variable in capitals, such as MILVUS_TOKEN_EU; a token itself does not belong into this file")
        return value

    def token(self, secret: Callable[[str], SecretStr | None]) -> str:
        """Empty where none is needed. `secret` reads a variable. Raises UsageError where it is not set."""
        if not self.token_variable:
            return ""
        if (found := secret(self.token_variable)) is None:
            raise UsageError(f"The variable {self.token_variable}, which should have its token, is not set.")
        return found.get_secret_value()


class Clusters(_Frozen):
    clusters: tuple[Cluster, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [cluster.name for cluster in self.clusters]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two clusters have the name {twice}")
        return self


def load(path: Path) -> tuple[Cluster, ...]:
    """The clusters of this file, checked; files of milvus-lite are made relative to its folder.

    Raises UsageError naming what is wrong and, where one is near, the setting that was meant.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read: {why}.", hint="It begins with `clusters:` (see README).") from None
    raw = plain_yaml.parsed(text, path)
    if not isinstance(raw, dict):
        raise UsageError(f"{path} is not a mapping.", hint="It begins with `clusters:` (see README).")
    try:
        read = Clusters.model_validate(raw).clusters
    except ValidationError as error:
        raise UsageError(f"{path}: {_explain(error)}") from None
    return tuple(c if "://" in c.uri else c.model_copy(update={"uri": str(path.resolve().parent / c.uri)}) for c in read)


def _explain(error: ValidationError) -> str:
    """The first fault in one line. What was written is never repeated, because it may be a secret."""
    fault = error.errors(include_input=False)[0]
    where = ".".join(str(part + 1) if place == 1 and isinstance(part, int) else str(part) for place, part in enumerate(fault["loc"]))
    if plain := _PLAINLY.get(fault["type"]):
        return f"{where}: {plain}."
    if fault["type"] == "extra_forbidden":
        known = list(Cluster.model_fields if len(fault["loc"]) > 1 else Clusters.model_fields)
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1)
        return f"{where}: unknown setting." + (f" Did you mean {near[0]}?" if near else f" There are {', '.join(known)}.")
    return f"{where + ': ' if where else ''}{fault['msg'].removeprefix('Value error, ')}."
