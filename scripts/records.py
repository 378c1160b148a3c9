"""Rows of a source, made ready: key, text and columns checked, faults counted and named, content hashed."""

from __future__ import annotations

import html
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress, repeat
from typing import Any

import numpy as np

from scripts import digests
from scripts.errors import UsageError
from scripts.layout import MAX_KEY_BYTES, Column, FieldType
from scripts.settings import BadRow, OnBadRow, SourceSettings
from scripts.shards import Shard
from scripts.values import CONVERTERS, WRITERS, BadValue, as_json, int64_of, is_empty, is_missing, shown, text_of

EXAMPLES_KEPT = 5

# A dozen pieces are on their way from the source to the collection at once. (Peak over texts of 100 kB, whatever their number: 3.1 GiB in pieces of
# 4,096 rows.)
PART_BYTES = 16 << 20

# 2.3.5 takes both and then does not find them: the first cannot be written in a filter, the last is never returned.
_LOST_KEYS = (-(2**63), 2**63 - 1)

# JSON writes these as \u00xx, an escape that milvus-lite 3.2.2 does not read; line ends and tabs have escapes of their own.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class RawRows:
    """Rows as a file gave them. Strings are bytes, not yet known to be UTF-8; `first_row` counts from 1 in the file."""

    file: str
    first_row: int
    columns: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def parts(self) -> Iterator[RawRows]:
        """These rows in order, in parts of PART_BYTES at most, or of one row that is heavier."""
        if sum(map(_weight, self.columns.values())) <= PART_BYTES:
            yield self
            return
        total = np.cumsum([sum(map(_weight, zip(row, strict=True))) for row in zip(*self.columns.values(), strict=True)])
        start = 0
        while start < len(self):
            before = total[start - 1] if start else 0
            stop = max(int(np.searchsorted(total, before + PART_BYTES, side="right")), start + 1)
            yield RawRows(self.file, self.first_row + start, {name: values[start:stop] for name, values in self.columns.items()})
            start = stop

    def take(self, positions: Sequence[int]) -> dict[str, list[Any]]:
        """The columns at these positions."""
        return {name: [values[i] for i in positions] for name, values in self.columns.items()}


def _weight(values: Iterable[Any]) -> int:
    """Of a column of text its bytes; of any other nothing."""
    try:
        return sum(map(len, filter(None, values)))
    except TypeError:
        return 0


@dataclass(frozen=True, slots=True)
class Rows:
    """Clean rows, column by column; all have the same length."""

    keys: list[int] | list[str]
    texts: list[str]
    columns: dict[str, list[Any]]
    places: list[str]
    """Where each row stands, for messages: `products.csv, row 17`."""
    key_ids: np.ndarray
    text_hashes: np.ndarray
    column_hashes: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, positions: Sequence[int] | np.ndarray) -> Rows:
        at = np.asarray(positions, dtype=np.int64)
        places = at.tolist()  # Python's own numbers index a list faster than numpy's
        pick = lambda values: [values[i] for i in places]  # noqa: E731
        return Rows(
            keys=pick(self.keys),
            texts=pick(self.texts),
            columns={name: pick(values) for name, values in self.columns.items()},
            places=pick(self.places),
            key_ids=self.key_ids[at],
            text_hashes=self.text_hashes[at],
            column_hashes=self.column_hashes[at],
        )

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """All rows of these, in order; there is at least one."""
        if len(parts) == 1:
            return parts[0]
        chained = lambda lists: [value for values in lists for value in values]  # noqa: E731
        return cls(
            keys=chained(part.keys for part in parts),
            texts=chained(part.texts for part in parts),
            columns={name: chained(part.columns[name] for part in parts) for name in parts[0].columns},
            places=chained(part.places for part in parts),
            key_ids=np.concatenate([part.key_ids for part in parts]),
            text_hashes=np.concatenate([part.text_hashes for part in parts]),
            column_hashes=np.concatenate([part.column_hashes for part in parts]),
        )


@dataclass(slots=True)
class Faults:
    """Bad rows met so far: counted by kind, the first few named. Raises on the kinds that the configuration calls errors."""

    settings: SourceSettings
    counts: Counter[BadRow] = field(default_factory=Counter)
    examples: dict[BadRow, list[str]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def add(self, kind: BadRow, where: str) -> None:
        if self.settings.policy(kind) is OnBadRow.ERROR:
            raise UsageError(f"{kind.value} in the source: {where}.", hint=f"Mend the row, or set source.on_bad_row: {{{kind.value}: skip}}.")
        self.counts[kind] += 1
        named = self.examples.setdefault(kind, [])
        if len(named) < EXAMPLES_KEPT:
            named.append(where)

    def summary(self) -> str:
        return "; ".join(f"{count} {kind.value} ({', '.join(self.examples[kind][:2])}{', …' if count > 2 else ''})" for kind, count in self.counts.items())


class RowCleaner:
    """Turns raw rows into clean ones, by one source's settings and field types; with a shard, those of its share alone."""

    def __init__(self, settings: SourceSettings, key: Column, columns: tuple[Column, ...], faults: Faults, shard: Shard = Shard()) -> None:
        self._settings = settings
        self._key = key
        self._columns = columns
        self._template = [(literal, name) for literal, name, *_ in string.Formatter().parse(settings.text)]
        self._faults = faults
        self._shard = shard

    def clean(self, raw: RawRows) -> Rows:
        """The good rows of `raw`, in order. Bad ones go to Faults, which raises UsageError where the configuration says so.

        Works column by column, which is several times faster than row by row. Of each bad row the first fault counts.
        """
        places = [f"{raw.file}, row {row}" for row in range(raw.first_row, raw.first_row + len(raw))]
        if not self._shard.is_all:
            mine = self._share(raw)
            raw, places = RawRows(raw.file, raw.first_row, raw.take(mine)), [places[i] for i in mine]
        bad: dict[int, BadValue] = {}
        keys = _convert(self._key_of, raw.columns[self._key.name], bad)
        texts = self._texts(raw, bad)
        columns = {column.name: _convert(CONVERTERS[column.type], raw.columns[column.name], bad, column.name) for column in self._columns}
        for position in sorted(bad):
            key = shown(raw.columns[self._key.name][position])
            self._faults.add(bad[position].kind, f"key {key} in {places[position]}: {bad[position]}")
        if bad:
            good = [position not in bad for position in range(len(raw))]
            keys, texts, places = (list(compress(values, good)) for values in (keys, texts, places))
            columns = {name: list(compress(values, good)) for name, values in columns.items()}
        return Rows(
            keys=keys,
            texts=texts,
            columns=columns,
            places=places,
            key_ids=digests.of_keys(keys) if keys else np.empty(0, np.int64),
            text_hashes=digests.of_texts(texts),
            column_hashes=self._hashes(columns, len(keys)),
        )

    def _share(self, raw: RawRows) -> list[int]:
        """Positions of this shard's rows. Those without a usable key, which would be nobody's, are the first shard's."""
        bad: dict[int, BadValue] = {}
        keys = _convert(self._key_of, raw.columns[self._key.name], bad)
        good = [position for position in range(len(raw)) if position not in bad]
        mine = list(compress(good, self._shard.holds(digests.of_keys([keys[i] for i in good])))) if good else []
        return sorted([*mine, *bad]) if self._shard.index == 0 else mine

    def _key_of(self, value: Any) -> int | str:
        if is_empty(value):
            raise BadValue(BadRow.MISSING_KEY, "the key is empty")
        if self._key.type is FieldType.INT64:
            key = int64_of(value)
            if key in _LOST_KEYS:
                raise BadValue(BadRow.BAD_VALUE, "a Milvus key cannot be the smallest or largest int64; declare it under source.types as string")
            if isinstance(value, bytes) and str(key).encode() != value:
                raise BadValue(BadRow.BAD_VALUE, f"the key would be stored as {key}; declare it under source.types as string")
            return key
        key = text_of(value)
        if _UNWRITABLE.search(key):
            raise BadValue(BadRow.BAD_VALUE, "the key has a control character, which cannot be written in a Milvus filter")
        if len(key.encode()) > MAX_KEY_BYTES:
            raise BadValue(BadRow.BAD_VALUE, f"the key is longer than {MAX_KEY_BYTES} bytes")
        return key

    def _texts(self, raw: RawRows, bad: dict[int, BadValue]) -> list[str]:
        parts = {name: _convert(self._part_of, raw.columns[name], bad, name) for _, name in self._template if name}
        for position, row in enumerate(zip(*parts.values(), strict=True)):
            if not any(map(str.strip, row)):
                bad.setdefault(position, BadValue(BadRow.MISSING_TEXT, "every column of the text is empty"))
        woven = (column for literal, name in self._template for column in (repeat(literal), parts[name] if name else repeat("")))
        return ["".join(row).strip() for row in zip(*woven)]  # noqa: B905 - what repeats has no length

    def _part_of(self, value: Any) -> str:
        part = "" if is_missing(value) else text_of(value)
        return html.unescape(part) if self._settings.unescape_html else part

    def _hashes(self, columns: dict[str, list[Any]], count: int) -> np.ndarray:
        if not columns:
            return np.zeros(count, dtype=np.int64)
        written = [map(WRITERS.get(column.type, as_json), columns[column.name]) for column in self._columns]
        return digests.of_texts(map(",".join, zip(*written, strict=True)))


def _convert(convert: Callable[[Any], Any], values: list[Any], bad: dict[int, BadValue], name: str = "") -> list[Any]:
    """All of `values` converted. What cannot be is noted in `bad` at its position, unless its row was bad before."""
    try:
        return list(map(convert, values))
    except (BadValue, RecursionError):
        converted = []
    for position, value in enumerate(values):
        try:
            converted.append(convert(value))
        except (BadValue, RecursionError) as error:
            fault = error if isinstance(error, BadValue) else BadValue(BadRow.BAD_VALUE, "is nested too deeply")
            bad.setdefault(position, BadValue(fault.kind, f"{name} {fault}".strip()))
            converted.append("")
    return converted
