"""Texts to vectors, with nothing that a model returns taken on trust."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from scripts.errors import Refused, UnfitModel
from scripts.pair import Embedding, Stamp, identifier
from scripts.ports import Model, ModelVersion, Registry

# Any text will do: the answer's width is what is asked for.
PROBE = "a text of no importance"


class Encoder:
    """A model with its prompts and normalisation. Every matrix that leaves it is checked."""

    def __init__(self, model: Model, embedding: Embedding) -> None:
        self._model = model
        self._embedding = embedding
        self.dimension: int | None = None
        self.dimension = self._encode([PROBE], embedding.document_prompt, lambda _: "the probe text").shape[1]

    def documents(self, texts: Sequence[str], places: Sequence[str]) -> np.ndarray:
        """Float32 [len(texts), dimension]. Equal texts are encoded once; encoding goes by length, which wastes the least padding.

        `places[i]` names text i when its vector is unfit. Raises UnfitModel.
        """
        distinct = dict.fromkeys(sorted(texts, key=len))
        order = {text: position for position, text in enumerate(distinct)}
        where = {order[text]: place for text, place in zip(texts, places, strict=True)}
        vectors = self._encode(list(distinct), self._embedding.document_prompt, where.__getitem__)
        return vectors[[order[text] for text in texts]]

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 [len(texts), dimension], with the query prompt. Raises UnfitModel."""
        return self._encode(list(texts), self._embedding.query_prompt, lambda i: f"query {texts[i]!r}")

    def _encode(self, texts: list[str], prompt: str, name: Callable[[int], str]) -> np.ndarray:
        size = self._model.batch_size
        parts: list[np.ndarray] = []
        for start in range(0, len(texts), size):
            batch = texts[start : start + size]
            vectors = checked(self._model.encode(batch, prompt), len(batch), self.dimension, lambda i, start=start: name(start + i))
            parts.append(_normalised(vectors) if self._embedding.normalize else vectors)
        return np.concatenate(parts)


def _normalised(vectors: np.ndarray) -> np.ndarray:
    """Each of length 1. In double precision, because the squares of small float32 numbers vanish and those of large ones are infinite."""
    exact = vectors.astype(np.float64)
    return (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32)


def fetch(registry: Registry, version: ModelVersion, cache: Path) -> tuple[Path, str]:
    """The folder with this version's files, fetched anew, and their digest."""
    folder = cache / f"{identifier(version.name)}_v{version.version}"
    return folder, registry.download(version, folder)


def stamped_encoder(registry: Registry, stamp: Stamp, cache: Path) -> Encoder:
    """The very model that made a pair, with the pair's own prompts. Fetched only where the cache does not hold it.

    Raises Refused when the registry's files are not those that the pair was built with: its vectors would mean something else.
    """
    folder = cache / f"{identifier(stamp.model.name)}_v{stamp.model.version}"
    if not folder.is_dir() or registry.digest(folder) != stamp.model.digest:
        folder, digest = fetch(registry, ModelVersion(stamp.model.name, stamp.model.version), cache)
        if digest != stamp.model.digest:
            raise Refused(
                f"Model {stamp.model.name} version {stamp.model.version} has changed in the registry since the pair was built "
                f"(digest {digest[:12]}, stamped {stamp.model.digest[:12]}).",
                hint="Register it as a new version and build that.",
            )
    return Encoder(registry.load(folder), stamp.embedding)


def checked(answer: object, count: int, dimension: int | None, name: Callable[[int], str]) -> np.ndarray:
    """The model's answer as a float32 matrix [count, dimension]. Raises UnfitModel on the wrong shape, NaN, infinity or a zero vector.

    milvus-lite takes NaN without a word, and a zero vector is nearest to nothing: both must stop here.
    """
    try:
        vectors = np.asarray(answer, dtype=np.float32)
    except (TypeError, ValueError):
        raise UnfitModel(f"The model returned {type(answer).__name__}, which is not a matrix of numbers.") from None
    if vectors.ndim != 2 or vectors.shape[0] != count or vectors.shape[1] == 0:
        raise UnfitModel(f"The model returned shape {vectors.shape} for {count} texts; expected ({count}, dimension).")
    if dimension is not None and vectors.shape[1] != dimension:
        raise UnfitModel(f"The model returned vectors of dimension {vectors.shape[1]}; they had {dimension} before.")
    if not (finite := np.isfinite(vectors).all(axis=1)).all():
        raise UnfitModel(f"The model returned NaN or infinity for {name(int(np.argmin(finite)))}.")
    if not (nonzero := vectors.any(axis=1)).all():
        raise UnfitModel(f"The model returned a zero vector for {name(int(np.argmin(nonzero)))}.")
    return vectors
