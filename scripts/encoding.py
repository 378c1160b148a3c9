"""Texts to vectors, with nothing that a model returns taken on trust."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.errors import EncodingFailed, Refused, UnfitModel
from scripts.pair import Embedding, Stamp, identifier
from scripts.ports import Model, ModelVersion, Registry

# Any text will do: the answer's width is what is asked for.
PROBE = "a text of no importance"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Some texts of those that were asked for, with their vectors, float32 [len(positions), dimension]."""

    positions: list[int]
    vectors: np.ndarray
    distinct: int
    """How many texts were encoded for them."""


class Encoder:
    """A model with its prompts and normalisation. Every matrix that leaves it is checked."""

    def __init__(self, model: Model, embedding: Embedding) -> None:
        self._model = model
        self._embedding = embedding
        self.dimension: int | None = None
        self.dimension = self._encode([PROBE], embedding.document_prompt, lambda _: "the probe text").shape[1]

    def documents(self, texts: Sequence[str], place: Callable[[int], str]) -> Iterator[Encoded]:
        """All of these texts, a batch of the model's at a time. Equal texts are encoded once; the longest go first, because texts of like
        length waste the least padding and what does not fit into memory shows at once.

        `place(i)` names text i when its vector is unfit. Raises UnfitModel.
        """
        where: dict[str, list[int]] = {}
        for position, text in enumerate(texts):
            where.setdefault(text, []).append(position)
        distinct = sorted(where, key=len, reverse=True)
        size = self._model.batch_size
        for start in range(0, len(distinct), size):
            batch = distinct[start : start + size]
            vectors = self._encode(batch, self._embedding.document_prompt, lambda i, batch=batch: place(where[batch[i]][0]))
            again = np.repeat(np.arange(len(batch)), [len(where[text]) for text in batch])
            yield Encoded([position for text in batch for position in where[text]], vectors[again], len(batch))

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 [len(texts), dimension], with the query prompt. Raises UnfitModel."""
        size = self._model.batch_size
        batches = [list(texts[start : start + size]) for start in range(0, len(texts), size)]
        return np.concatenate([self._encode(batch, self._embedding.query_prompt, lambda i, batch=batch: f"query {batch[i]!r}") for batch in batches])

    @property
    def declared_prompts(self) -> tuple[str | None, str | None]:
        """The prompts for queries and for documents that the model itself declares; None where it does not say."""
        return self._model.declared_prompts()

    def cut_off(self, texts: Sequence[str]) -> list[int]:
        """Positions of those texts of which the model reads only the beginning; none where it does not say."""
        return self._model.cut_off(texts, self._embedding.document_prompt)

    def _encode(self, batch: list[str], prompt: str, name: Callable[[int], str]) -> np.ndarray:
        try:
            answer = self._model.encode(batch, prompt)
        except EncodingFailed as error:
            if len(batch) == 1:
                raise EncodingFailed(f"{error.what.rstrip('.')}: {name(0)}.") from None
            # In halves: either one text is at fault and gets named, or it was too much at once and now fits.
            half = len(batch) // 2
            return np.concatenate([self._encode(batch[:half], prompt, name), self._encode(batch[half:], prompt, lambda i: name(half + i))])
        vectors = checked(answer, len(batch), self.dimension, name)
        return _normalised(vectors) if self._embedding.normalize else vectors


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
        with np.errstate(over="ignore"):  # of float64: what is too large for float32 is infinite, and told below
            vectors = np.array(answer, dtype=np.float32)  # copied: a model may answer every batch in the same memory
    except Exception:  # torch's RuntimeError of a tensor that requires grad, or whatever the answer's own code raises
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
