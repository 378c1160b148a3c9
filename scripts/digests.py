"""Digests with one meaning each: of a JSON value, of a folder, of a text, of a multiset of rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def of_json(value: Any) -> str:
    """The same value always gives the same digest, whatever the order of its keys. SHA-256, hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def of_folder(folder: Path, *, ignore: frozenset[str] = frozenset()) -> str:
    """Changes when any file's name or content does. SHA-256 over sorted relative names and contents, hex."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ignore):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return whole.hexdigest()


def of_texts(texts: Iterable[str]) -> np.ndarray:
    """One int64 per text: 64 bits of BLAKE2b.

    Compared key by key only, never looked up across keys, so two different texts pass for one with probability 2**-64.
    """
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<i8")


def of_keys(keys: Sequence[int] | Sequence[str]) -> np.ndarray:
    """Fixed-size, sortable stand-ins for primary keys: int64 keys as they are, strings as 128 bits of BLAKE2b.

    128 bits, because these are compared *across* keys: a collision would drop a row. 100 million keys collide with probability 1e-23.
    """
    if len(keys) and isinstance(keys[0], str):
        digests = b"".join(hashlib.blake2b(key.encode(), digest_size=16).digest() for key in keys)
        return np.frombuffer(digests, dtype="S16")
    return np.asarray(keys, dtype=np.int64)


def of_rows(key_ids: np.ndarray, text_hashes: np.ndarray, column_hashes: np.ndarray) -> int:
    """A 64-bit digest of a *set* of rows: the sum of mixed row digests, modulo 2**64.

    It does not depend on the order of rows, so digests of windows, files and shards add up to that of the whole source.
    """
    mixed = _mix(_folded(key_ids) ^ _mix(text_hashes.view(np.uint64) ^ _mix(column_hashes.view(np.uint64))))
    return int(mixed.sum(dtype=np.uint64))


def spread(key_ids: np.ndarray) -> np.ndarray:
    """Key ids as evenly spread uint64, to divide them into shares: neighbouring keys, or all even ones, fall anywhere."""
    return _mix(_folded(key_ids))


def _folded(key_ids: np.ndarray) -> np.ndarray:
    """Key ids as uint64: int64 ones as they are, of the 128 bits of others the two halves combined."""
    if key_ids.dtype == np.int64:
        return key_ids.view(np.uint64)
    halves = np.ascontiguousarray(key_ids).view(np.uint64).reshape(-1, 2)
    return halves[:, 0] ^ _mix(halves[:, 1])


def _mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014), so that equal bits of neighbours do not cancel out in a sum."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
