"""Which search parameter an index has, and which values of it are tried."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.errors import UsageError
from scripts.perf.ports import Params, Target

AUTO = "auto"
# By how the name of the index type begins; Milvus' documentation of its index types. The first that fits holds.
_PARAMETERS = (("HNSW", "ef"), ("IVF", "nprobe"), ("GPU_IVF", "nprobe"), ("SCANN", "nprobe"), ("DISKANN", "search_list"))
# Candidate lists: with fewer than k of them Milvus refuses the search.
_AT_LEAST_K = ("ef", "search_list")
_LISTS = (1, 4, 8, 16, 32, 64, 128)
_LEAST_CANDIDATES, _DOUBLINGS = 16, 5
_WRITTEN = re.compile(r"(\w+)=(\d{1,9}(?:,\d{1,9})*)", re.ASCII)


@dataclass(frozen=True)
class Sweep:
    """One parameter and its values, ascending."""

    parameter: str
    values: tuple[int, ...]

    def params(self, value: int, served: Params | None) -> dict[str, int]:
        """The other parameters stay as they are served."""
        return {**(served or {}), self.parameter: value}


def parsed(text: str) -> tuple[str, tuple[int, ...]]:
    """`ef=16,32` as a name and its values. Raises UsageError."""
    found = _WRITTEN.fullmatch(text.replace(" ", ""))
    if not found:
        raise UsageError(f"--sweep {text!r} is not understood.", hint="Write ef=16,32,64 or nprobe=1,8,64, or auto.")
    return found[1], tuple(sorted({int(value) for value in found[2].split(",")}))


def of(text: str, target: Target, k: int) -> Sweep:
    """What is tried on this index for k hits; the value that is served is among it. Raises UsageError where the index has no such parameter, and
    where Milvus would refuse a value."""
    own = parameter_of(target.index)
    if own is None:
        why = "it always gives the exact answer" if target.index == "FLAT" else "no parameter of it is known that trades recall for speed"
        raise UsageError(f"There is nothing to sweep on an index of type {target.index}: {why}.")
    least = k if own in _AT_LEAST_K else 1
    most = int(target.build.get("nlist", 0)) if own == "nprobe" else 0
    if text == AUTO:
        values = _candidates(k) if own in _AT_LEAST_K else {value for value in _LISTS if not most or value <= most}
    else:
        name, given = parsed(text)
        if name != own:
            raise UsageError(f"{name} is no search parameter of an index of type {target.index}, which has {own}.")
        _refuse(given, own, k, least, most)
        values = set(given)
    return Sweep(own, tuple(sorted(values | _served(target, own, k))))


def parameter_of(index: str) -> str | None:
    """None where none is known."""
    return next((parameter for beginning, parameter in _PARAMETERS if index.startswith(beginning)), None)


def _candidates(k: int) -> set[int]:
    """As many lengths for any k, each twice the one before."""
    return {max(_LEAST_CANDIDATES, k) << doubling for doubling in range(_DOUBLINGS)}


def _refuse(values: Sequence[int], name: str, k: int, least: int, most: int) -> None:
    if values[0] < least:
        why = f"Milvus refuses a candidate list shorter than the answer, which has {k}" if name in _AT_LEAST_K else "at least one has to be searched"
        raise UsageError(f"--sweep {name}={values[0]}: {why}.")
    if most and values[-1] > most:
        raise UsageError(f"--sweep {name}={values[-1]}: the index has {most} lists (nlist).")


def _served(target: Target, own: str, k: int) -> set[int]:
    served = target.served(k) or {}
    return {served[own]} if own in served else set()
