"""Which field type a source column has: from its Arrow type, from the words of a CSV file, from the values of JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import pyarrow as pa

from scripts.errors import UsageError
from scripts.layout import Column, FieldType
from scripts.settings import SourceSettings


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column holds, and whether some rows have nothing there."""

    type: FieldType
    missing: bool

    def for_key(self) -> FieldType:
        """A row without a key is refused anyway. A fraction cannot be a key, but it can be written as one."""
        return FieldType.STRING if self.type is FieldType.DOUBLE else self.type

    def for_column(self) -> FieldType:
        """Milvus 2.3.5 has no nullable fields, so a column with gaps gets a type that can say "nothing": NaN, or an empty string."""
        return _WITH_GAPS.get(self.type, self.type) if self.missing else self.type


class TypedSource:
    """The part of ports.Source that says types. They are looked up once, and only when they are asked for."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings

    @cached_property
    def key(self) -> Column:
        key = self._column(self._settings.key, Kind.for_key)
        if key.type not in (FieldType.INT64, FieldType.STRING):
            raise UsageError(f"The key {key.name} is {key.type}, but a key is int64 or string.", hint="Name another column as source.key.")
        return key

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return tuple(self._column(name, Kind.for_column) for name in self._settings.columns)

    def look_up(self) -> dict[str, Kind]:
        """Of every column that is read. Empty where there are no rows, nor anything else that says types."""
        raise NotImplementedError

    def _column(self, name: str, type_of: Callable[[Kind], FieldType]) -> Column:
        kinds, declared = self._kinds, self._settings.types.get(name)
        if not kinds and not declared:
            raise UsageError("The source has no rows.", hint="Check source.uri.")
        return Column(name=name, type=declared or type_of(kinds[name]))

    @cached_property
    def _kinds(self) -> dict[str, Kind]:
        return self.look_up()


_WITH_GAPS = {FieldType.INT64: FieldType.DOUBLE, FieldType.BOOL: FieldType.STRING}
_LISTS = {FieldType.INT64: FieldType.INT64S, FieldType.DOUBLE: FieldType.DOUBLES}

# A leading zero means something (00123 is an article number), so such words are no numbers.
_WHOLE = re.compile(rb"-?(?:0|[1-9]\d*)")
_NUMBER = re.compile(rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_BOOL = re.compile(rb"true|false", re.IGNORECASE)


def of_words(words: Iterable[bytes]) -> Kind:
    """For formats that only have text. Where nothing fits all words, or there are none, it is a string."""
    words = list(words)
    present = [word for word in words if word]
    return Kind(_type_of_words(present), missing=len(present) < len(words))


def _type_of_words(words: list[bytes]) -> FieldType:
    if not words:
        return FieldType.STRING
    if all(map(_WHOLE.fullmatch, words)):
        return FieldType.INT64 if all(len(word) <= 20 and _fits(int(word)) for word in words) else FieldType.STRING
    if all(map(_NUMBER.fullmatch, words)):
        return FieldType.DOUBLE
    return FieldType.BOOL if all(map(_BOOL.fullmatch, words)) else FieldType.STRING


def key_kinds(values: Iterable[Any]) -> dict[type, Any]:
    """An example of a key that is text and can be nothing else (str), and of one that is a number (float). Digits may be meant as either."""
    kinds: dict[type, Any] = {}
    for value in values:
        if isinstance(value, bytes):
            if value and str not in kinds and not _WHOLE.fullmatch(value):
                kinds[str] = value
        elif isinstance(value, (int, float)) and value == value:
            kinds.setdefault(float, value)
    return kinds


def of_values(values: Iterable[Any]) -> Kind:
    """For formats whose values have types. Mixed values are strings, as which every value can be written; an empty string is a gap."""
    values = list(values)
    present = [value for value in values if value is not None and value not in ("", b"")]
    return Kind(_type_of_values(present), missing=len(present) < len(values))


def _type_of_values(values: list[Any]) -> FieldType:
    types = set(map(type, values))
    if types == {bool}:
        return FieldType.BOOL
    if types == {int}:
        return FieldType.INT64 if all(map(_fits, values)) else FieldType.STRING
    if types and types <= {int, float, Decimal}:
        return FieldType.DOUBLE
    if types == {dict}:
        return FieldType.JSON
    if types == {list}:
        return _LISTS.get(_type_of_values([item for value in values for item in value]), FieldType.STRINGS)
    return FieldType.STRING


def of_arrow(type_: pa.DataType) -> FieldType:
    """Dates, times, UUIDs and bytes are strings; a list whose items are neither whole numbers nor fractions is a list of strings."""
    if pa.types.is_dictionary(type_):
        return of_arrow(type_.value_type)
    if pa.types.is_integer(type_):
        return FieldType.INT64
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return FieldType.DOUBLE
    if pa.types.is_boolean(type_):
        return FieldType.BOOL
    if _is_list(type_):
        return _LISTS.get(of_arrow(type_.value_type), FieldType.STRINGS)
    if pa.types.is_struct(type_) or pa.types.is_map(type_):
        return FieldType.JSON
    return FieldType.STRING


def as_bytes(type_: pa.DataType) -> pa.DataType:
    """The same type with its strings as bytes, at any depth, and times as Python knows them. Casting to it copies no text."""
    if pa.types.is_dictionary(type_):
        return as_bytes(type_.value_type)
    if pa.types.is_string(type_):
        return pa.binary()
    if pa.types.is_large_string(type_):
        return pa.large_binary()
    if pa.types.is_string_view(type_):
        return pa.binary_view()
    if pa.types.is_timestamp(type_):
        return pa.timestamp("us", type_.tz)
    if _is_list(type_):
        return pa.large_list(as_bytes(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(as_bytes(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(as_bytes(type_.key_type), as_bytes(type_.item_type))
    return type_


def _is_list(type_: pa.DataType) -> bool:
    return pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)


def _fits(number: int) -> bool:
    return -(2**63) <= number < 2**63
