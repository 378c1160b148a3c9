"""Numbers as people write them, `100M` rows and `64Gi` of memory: the one place that reads them."""

from __future__ import annotations

import re

from scripts.errors import UsageError

KI, MI, GI = 2**10, 2**20, 2**30

MAX_ROWS = 10**12
MAX_DIMENSION = 32_768  # Milvus's own limit for float vectors
MAX_BYTES = 2**60

_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
# Those of Kubernetes, where a small m would be a thousandth.
_SIZES = {"": 1, "Ki": KI, "Mi": MI, "Gi": GI, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
# No more digits than make sense: Python itself refuses to read thousands of them.
_NUMBER = re.compile(r"(?P<number>[0-9][0-9_]{0,39}(\.[0-9]{1,39})?)\s*(?P<unit>[A-Za-z]{0,3})")


def rows(text: str, name: str = "--rows") -> int:
    """`100M`, `1.5k`, `250_000`: at least 1. Raises UsageError for anything else."""
    found = _NUMBER.fullmatch(text.strip())
    factor = _COUNTS.get(found["unit"].lower()) if found else None
    if not found or factor is None:
        raise UsageError(f"{name}: {_cut(text)!r} is not a number of rows.", hint="Write 250000, 250k, 100M or 1.5B.")
    return _within(_times(found["number"], factor), name, 1, MAX_ROWS)


def size(text: str, name: str = "--memory") -> int:
    """`64Gi`, `200`, `1.5G`, with or without a B at the end, in bytes. Raises UsageError for anything else."""
    found = _NUMBER.fullmatch(text.strip())
    factor = _SIZES.get(found["unit"].removesuffix("B")) if found else None
    if not found or factor is None:
        raise UsageError(f"{name}: {_cut(text)!r} is not a size.", hint="Write 64Gi, 512Mi, 200G or a number of bytes.")
    return _within(_times(found["number"], factor), name, 0, MAX_BYTES)


def within(value: int, name: str, least: int, most: int) -> int:
    """The value itself. Raises UsageError where it is outside of what makes sense."""
    return _within(value, name, least, most)


def gibibytes(count: float) -> str:
    """Of nodes and volumes, as Kubernetes writes them: `64Gi`, rounded up."""
    return f"{max(1, -(-int(count) // GI))}Gi"


def _cut(text: str) -> str:
    return text if len(text) <= 50 else f"{text[:50]}…"


def _times(number: str, factor: int) -> int:
    """Exact also where a float is not: 16 digits and more are written by mistake, and refused by their size."""
    whole, _, fraction = number.replace("_", "").partition(".")
    return int(whole) * factor + (int(fraction) * factor // 10 ** len(fraction) if fraction else 0)


def _within(value: int, name: str, least: int, most: int) -> int:
    if not least <= value <= most:
        raise UsageError(f"{name}: {value:,} is not between {least:,} and {most:,}.")
    return value
