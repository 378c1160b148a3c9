"""Queries, each another: rows of the collection with noise, or a log of real ones encoded by the pair's own model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from scripts import digests
from scripts.encoding import Encoder
from scripts.errors import Refused, UsageError
from scripts.layout import Metric
from scripts.pair import Stamp
from scripts.perf.ports import Key, Searched, Target
from scripts.quality.query_log import Log
from scripts.quality.sampling import Sample

# Vectors whose noise is made at once: in double precision they take twice the memory.
_NOISY_AT_ONCE = 1_000
_TINY = float(np.finfo(np.float64).tiny)
# Of a larger collection the first ones, in order of keys: reading the keys of 100 million rows would take minutes.
POOL_ROWS = 1_000_000


@dataclass(frozen=True)
class Queries:
    """`vectors` float32 [queries, dimension], no two of them alike; `rows` the key of the row that each was made from, empty for those of a log."""

    vectors: np.ndarray
    told: str
    """What they are, in words."""
    rows: tuple[Key, ...] = ()

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class Sampling:
    """How queries are made from rows. `noise` is the length of what is added, in a random direction, to a row's vector of length 1; under L2, where
    vectors may lie anywhere, all of this is seen from the mean of the rows that were sampled.

    Its default makes them as hard as real ones: in a graph of 9,750 movies (MiniLM, M 8) recall@10 at ef 16, 32 and 64 was 0.74, 0.82 and 0.89 for
    300 real queries, the same for rows with noise 1.2, and 0.89, 0.93 and 0.96 for rows as they are (`python -m benchmarks.perf_queries`).
    """

    count: int = 10_000
    noise: float = 1.2
    seed: int = 0


def sampled(searched: Searched, how: Sampling) -> Queries:
    """As many as were asked for: where there are fewer rows, each is taken several times with other noise. Without noise there are no more than rows.

    The same rows and seed give the same queries. The filter of the search is not asked here: people do not know which rows match when they ask.
    """
    metric = searched.target.metric
    sample: Sample[Key] = Sample(how.count, f"perf {how.seed}")
    seen = 0
    for keys in searched.keys():
        sample.add(digests.of_keys(keys), keys.__getitem__)
        seen += len(keys)
        if seen >= POOL_ROWS:
            break
    chosen = sample.items()
    found = searched.vectors(chosen)
    usable = [key for key in chosen if key in found and found[key].any() and np.isfinite(found[key]).all()]
    if not usable:
        return Queries(np.empty((0, searched.target.dimension), np.float32), "no row has a vector that could be searched for")
    rows = usable if not how.noise else [usable[number % len(usable)] for number in range(how.count)]
    vectors = noisy(np.array([found[key] for key in rows], dtype=np.float32), how.noise, metric, how.seed)
    vectors, rows = _distinct(vectors, rows)
    first = f" of the first {seen:,} in order of keys" if seen >= POOL_ROWS else ""
    told = f"{len(rows):,} distinct queries from {len(usable):,} rows{first}, {in_words(how.noise, metric)}"
    return Queries(vectors, told, tuple(rows))


def logged(target: Target, log: Log, encoder_of: Callable[[Stamp], Encoder]) -> Queries:
    """The log's queries, encoded by the very model that made the pair. Raises UsageError where the collection is no pair, so that no model is known;
    Refused where the model's vectors have another dimension; UnfitModel where it cannot encode a query."""
    if target.stamp is None:
        raise UsageError(f"A log is encoded by the model that made the collection, and that of {target} is not known: {target.unstamped}.")
    encoder = encoder_of(target.stamp)
    if encoder.dimension != target.dimension:
        raise Refused(f"The model of {target} gives vectors of dimension {encoder.dimension}; {target.field} has {target.dimension}.")
    encoded = encoder.queries(log.queries)
    vectors, _ = _distinct(encoded, [0] * len(encoded))
    alike = f", {len(vectors):,} of them with vectors of their own" if len(vectors) < len(encoded) else ""
    return Queries(vectors, f"{log.told()}{alike}, encoded by {target.stamp.model.name} version {target.stamp.model.version}")


def noisy(vectors: np.ndarray, noise: float, metric: Metric, seed: int) -> np.ndarray:
    """Each vector, float32, with a random one of `noise` times its length added. Under COSINE what comes out has length 1, under IP the length that
    the row had: among rows of one length no query stands out by its own. L2 is the same wherever the origin is, so there lengths and directions are
    seen from the mean of the vectors."""
    made, random = np.empty_like(vectors), np.random.default_rng(seed)
    centre = vectors.mean(axis=0, dtype=np.float64) if noise and metric is Metric.L2 and (vectors != vectors[0]).any() else 0.0
    for start in range(0, len(vectors), _NOISY_AT_ONCE):
        exact = vectors[start : start + _NOISY_AT_ONCE].astype(np.float64) - centre
        lengths = np.linalg.norm(exact, axis=1, keepdims=True)
        if noise:
            aside = random.normal(size=exact.shape)
            exact += noise * lengths * aside / np.linalg.norm(aside, axis=1, keepdims=True)
            exact *= lengths / np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), _TINY)
        made[start : start + len(exact)] = exact / lengths if metric is Metric.COSINE else exact + centre
    return made


def in_words(noise: float, metric: Metric) -> str:
    """What the noise does: a random direction is all but at right angles to the row's."""
    if not noise:
        return "without noise: each is a row of the collection, and finds itself"
    seen = ", seen from the mean of these rows" if metric is Metric.L2 else ""
    return f"noise {noise:g}: cosine to its own row about {1 / (1 + noise**2) ** 0.5:.2f}{seen}"


def _distinct(vectors: np.ndarray, rows: Sequence[Key]) -> tuple[np.ndarray, list[Key]]:
    first: dict[bytes, int] = {}
    for position, vector in enumerate(vectors):
        first.setdefault(vector.tobytes(), position)
    kept = list(first.values())
    return vectors[kept], [rows[position] for position in kept]
