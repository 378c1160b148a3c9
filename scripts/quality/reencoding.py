"""Sampled rows encoded again, and compared with what is stored under their keys.

It is what tells a right vector from a wrong one of the same dimension: another model's, another text's, that of a text's beginning.
"""

from __future__ import annotations

import numpy as np

from scripts.encoding import Encoder
from scripts.ports import Collection
from scripts.quality.facts import Reencoded
from scripts.records import Rows

# The same model gives the same text's vector again to a few millionths, whatever batch it stands in (float32).
ALIKE = 0.9999
NAMED = 5

Held = dict[int | str, tuple[int, np.ndarray]]
"""Text hash and vector by key."""


def compare(rows: Rows, held: Held, collection: Collection, encoder: Encoder) -> Reencoded:
    """Of the rows those that the collection holds with the very same text. `held` are some that were read from it already.

    Raises EncodingFailed and UnfitModel, and what the collection raises.
    """
    positions, stored = _stored(rows, held, collection)
    if not len(positions):
        return Reencoded(compared=0, worst=0.0)
    rows = rows.take(positions)
    again = np.empty((len(rows), encoder.dimension or 0), dtype=np.float32)
    for encoded in encoder.documents(rows.texts, lambda position: f"key {rows.keys[position]}"):
        again[encoded.positions] = encoded.vectors
    likeness = _likeness(stored, again)
    order = np.argsort(likeness, kind="stable")
    unlike = tuple(str(rows.keys[at]) for at in order[:NAMED].tolist() if likeness[at] < ALIKE)
    return Reencoded(compared=len(rows), worst=float(likeness[order[0]]), unlike=unlike)


def _stored(rows: Rows, held: Held, collection: Collection) -> tuple[np.ndarray, np.ndarray]:
    """Positions in `rows`, and the vectors that are stored for the very same texts."""
    missing = np.array([at for at, key in enumerate(rows.keys) if key not in held], dtype=np.int64)
    here = [at for at, key in enumerate(rows.keys) if key in held and held[key][0] == rows.text_hashes[at]]
    vectors = np.array([held[rows.keys[at]][1] for at in here], dtype=np.float32)
    if not len(missing):
        return np.array(here, dtype=np.int64), vectors
    found, more = collection.find(rows.take(missing))
    return np.concatenate([np.array(here, dtype=np.int64), missing[found]]), np.concatenate([vectors, more]) if here else more


def _likeness(stored: np.ndarray, again: np.ndarray) -> np.ndarray:
    """For each row the cosine, or the ratio of the lengths where that is less; -1 where one of them is no vector."""
    stored, again = stored.astype(np.float64), again.astype(np.float64)
    lengths = np.linalg.norm(stored, axis=1), np.linalg.norm(again, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.einsum("ij,ij->i", stored, again) / (lengths[0] * lengths[1])
        ratio = np.minimum(*lengths) / np.maximum(*lengths)
    least = np.minimum(cosine, ratio)
    return np.where(np.isfinite(least), np.clip(least, -1.0, 1.0), -1.0)
