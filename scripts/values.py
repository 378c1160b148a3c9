"""One value of a source: what it is as text, as a number, as what a field stores."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from scripts.layout import MAX_ARRAY, MAX_STRING_BYTES, FieldType
from scripts.settings import BadRow


class BadValue(Exception):
    """Why a value cannot be used. Not a ValueError, so that what Python raises on a bad number is never taken for it."""

    def __init__(self, kind: BadRow, why: str) -> None:
        super().__init__(why)
        self.kind = kind


def is_missing(value: Any) -> bool:
    return value is None or value != value  # NaN is how CSV and pandas say "nothing"


def is_empty(value: Any) -> bool:
    return is_missing(value) or value == b""


def shown(value: Any) -> str:
    return (value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value))[:80]


def text_of(value: Any) -> str:
    if isinstance(value, str):
        value = value.encode(errors="surrogatepass")  # half a surrogate pair, as JSON can write it, is found like any other bad byte
    if isinstance(value, (bytearray, memoryview)):  # psycopg2 and others give binary columns so
        value = bytes(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise BadValue(BadRow.INVALID_UTF8, f"invalid UTF-8 at byte {error.start}") from None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(text_of(item) for item in value if item is not None)
    if isinstance(value, dict):
        return as_json(_plain(value))
    if isinstance(value, datetime) and value.tzinfo:
        return _in_utc(value).isoformat()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def _in_utc(moment: datetime) -> datetime:
    """One moment is one text, whatever the time zone of who reads it (a database gives moments in its session's), and later ones sort behind earlier
    ones, also in the hour that a zone has twice."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # at the very ends of the calendar
        return moment


def int64_of(value: Any) -> int:
    try:
        number = value if type(value) is int else int(text_of(value) if isinstance(value, bytes) else value)
    except (TypeError, ValueError, OverflowError):
        raise BadValue(BadRow.BAD_VALUE, f"is not a whole number: {shown(value)}") from None
    if number != value and not isinstance(value, (bytes, str)):
        raise BadValue(BadRow.BAD_VALUE, f"is not a whole number: {shown(value)}")
    if not -(2**63) <= number < 2**63:
        raise BadValue(BadRow.BAD_VALUE, f"does not fit 64 bits: {shown(value)}; declare it under source.types as string")
    return number


def _required_int64(value: Any) -> int:
    # Milvus 2.3.5 has no nullable fields, and any number put in place of "nothing" would match some filter.
    if is_empty(value):
        raise BadValue(BadRow.BAD_VALUE, "is empty; declare it under source.types as double, where empty is NaN and matches no filter")
    return int64_of(value)


def _int64_item(value: Any) -> int:
    if is_empty(value):
        raise BadValue(BadRow.BAD_VALUE, "has an empty item; declare it under source.types as double[], where that is NaN")
    return int64_of(value)


def _double(value: Any) -> float:
    if type(value) is float:
        return value
    if is_empty(value):
        return float("nan")
    try:
        given = text_of(value) if isinstance(value, (bytes, str)) else value
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        raise BadValue(BadRow.BAD_VALUE, f"is not a number: {shown(value)}") from None
    if abs(number) >= _INEXACT and _is_other_than(number, given):
        raise BadValue(BadRow.BAD_VALUE, f"would be stored as {number:.0f}: {shown(value)}; declare it under source.types as string")
    return number


# From here on not every whole number is a double. Numbers like these are ids, and a filter for one would find its neighbours.
_INEXACT = 2.0**53


def _is_other_than(number: float, given: Any) -> bool:
    """Of whole numbers; a fraction or 1e99 is written for its size."""
    if isinstance(given, str):
        return given.strip().lstrip("+-").isdigit() and Decimal(given) != number  # as an int, thousands of digits would be refused
    return given != number


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if is_empty(value):
        raise BadValue(BadRow.BAD_VALUE, "is empty; declare it under source.types as string, where empty is neither true nor false")
    if (word := text_of(value).strip().lower()) in _BOOLS:
        return _BOOLS[word]
    raise BadValue(BadRow.BAD_VALUE, f"is not true or false: {shown(value)}")


_BOOLS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def _string(value: Any) -> str:
    text = "" if is_missing(value) else text_of(value)
    if len(text) * 4 > MAX_STRING_BYTES and len(text.encode()) > MAX_STRING_BYTES:
        raise BadValue(BadRow.BAD_VALUE, f"is longer than {MAX_STRING_BYTES} bytes")
    return text


def _list_of(convert: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def convert_list(value: Any) -> list[Any]:
        if is_empty(value):
            return []
        if not isinstance(value, (list, tuple)):
            raise BadValue(BadRow.BAD_VALUE, f"is not a list: {shown(value)}")
        if len(value) > MAX_ARRAY:
            raise BadValue(BadRow.BAD_VALUE, f"has {len(value)} items; at most {MAX_ARRAY} are stored")
        return [convert(item) for item in value]

    return convert_list


def _json(value: Any) -> dict[str, Any]:
    # Milvus 2.3.5 takes only objects at the top of a JSON field.
    if is_empty(value):
        return {}
    if isinstance(value, (bytes, str)):
        try:
            value = json.loads(text_of(value))
        except ValueError:
            raise BadValue(BadRow.BAD_VALUE, f"is not JSON: {shown(value)}") from None
    if not isinstance(value, dict):
        raise BadValue(BadRow.BAD_VALUE, "is not a JSON object")
    value = _plain(value)
    if len(as_json(value).encode()) > MAX_STRING_BYTES:
        raise BadValue(BadRow.BAD_VALUE, f"is longer than {MAX_STRING_BYTES} bytes")
    return value


def _plain(value: Any) -> Any:
    """The value with nothing in it that JSON does not have."""
    if isinstance(value, dict):
        return {text_of(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return int64_of(value)
    return value if value is None or isinstance(value, bool) else text_of(value)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


CONVERTERS: dict[FieldType, Callable[[Any], Any]] = {
    FieldType.INT64: _required_int64,
    FieldType.DOUBLE: _double,
    FieldType.BOOL: _bool,
    FieldType.STRING: _string,
    FieldType.INT64S: _list_of(_int64_item),
    FieldType.DOUBLES: _list_of(_double),
    FieldType.STRINGS: _list_of(_string),
    FieldType.JSON: _json,
}

# How a stored value is written down to be hashed; everything else as JSON, which says the same more slowly.
WRITERS: dict[FieldType, Callable[[Any], str]] = {
    FieldType.INT64: repr,
    FieldType.DOUBLE: repr,
    FieldType.BOOL: repr,
    FieldType.STRING: json.encoder.encode_basestring,
}
