"""Stored columns as an answer brings them, made plain Python values again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from scripts.errors import Refused
from scripts.layout import FieldType

_ELEMENTS = {FieldType.INT64S: "long_data", FieldType.DOUBLES: "double_data", FieldType.STRINGS: "string_data"}
# An answer of more than 64 MiB does not get from one part of 2.3.5 to the other, and one of more than 100 is not given.
_TOO_LARGE = ("RESOURCE_EXHAUSTED", "larger than max", "maxOutputSize")


def as_many_as_fit(ask: Callable[[int], dict[str, Any]], page: int) -> dict[str, Any]:
    """What `ask` gives for a page of so many rows, or of fewer where these turn out too heavy for one answer."""
    while True:
        try:
            return ask(page)
        except Refused as error:
            if page == 1 or not any(word in error.what for word in _TOO_LARGE):
                raise
            page = max(1, page // 4)


def plain(kind: FieldType, values: Sequence[Any]) -> list[Any]:
    """A column as `Rows` has it. Both ways of asking are taken: messages of the wire, and what MilvusClient made of them."""
    if kind is FieldType.JSON:  # always an object, so a text is one that nobody has read yet
        return [json.loads(value) if isinstance(value, (bytes, str)) else value for value in values]
    if kind in _ELEMENTS:
        return [list(getattr(value, _ELEMENTS[kind]).data if hasattr(value, "WhichOneof") else value) for value in values]
    return list(values)


def weighed(values: Sequence[Any]) -> int:
    """About how many bytes these took on their way."""
    if not len(values):
        return 0
    first = values[0]
    if isinstance(first, (str, bytes)):
        return sum(map(len, values))
    if hasattr(first, "ByteSize"):
        return sum(value.ByteSize() for value in values)
    return 8 * len(values) if isinstance(first, (int, float)) else sum(len(str(value)) for value in values)
