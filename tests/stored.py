"""What a collection holds, for tests to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.adapters.milvus.collection import MilvusCollection


def stored_vectors(collection: MilvusCollection, keys: Sequence[int] | Sequence[str]) -> np.ndarray:
    """Float32 [len(keys), dimension], in the order of `keys`. A key that is not there fails the test."""
    found, _, vectors = collection._held(keys)
    at = {key: position for position, key in enumerate(found)}
    return vectors[[at[key] for key in keys]]
