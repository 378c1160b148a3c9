"""What a validation may have seen, made up: a sound pair beside its production, and whatever of it a test changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scripts.quality.facts import Coverage, IndexFacts, Latency, Metered, Missing, Prompts, Recall, Reencoded, Replayed, SourceFacts
from scripts.quality.measures import Measured
from scripts.quality.seen import Baseline, Seen
from scripts.quality.statistics import MIN_QUERIES

QUERIES = MIN_QUERIES
NAMES = tuple(f"q{number}" for number in range(QUERIES))

PROMPTS = Prompts(query="", document="", configured_query="", configured_document="")
INDEX = IndexFacts(
    rows=1000,
    stamped_rows=1000,
    distinct_keys=1000,
    content_as_stamped=True,
    dimension=8,
    stamped_dimension=8,
    not_finite=0,
    zero=0,
    unlike_one=0.0,
    shortest=1.0,
    longest=1.0,
    parallel=0.2,
    metric="IP",
    stamped_metric="IP",
    loaded=True,
    unindexed=0,
    recall=Recall(k=10, queries=QUERIES, mean=1.0, worst=1.0),
    reencoded=Reencoded(compared=100, worst=1.0),
    source=SourceFacts(rows=1000, new=0, changed=0, vanished=0),
    coverage=Coverage(production_rows=1000, missing=0),
    prompts=PROMPTS,
)
LATENCY = Latency(queries=QUERIES, depth=10, candidate=Metered(p50=2, p95=4, p99=8), production=Metered(p50=2, p95=4, p99=8))
REPLAYED = Replayed(queries=100, k=10, overlap=0.9, rbo=0.9, top_changed=0.1, empty=0.01, production_empty=0.01)


def measured(value: float | Sequence[float], measure: str = "nDCG@10", weights: Sequence[float] | None = None) -> Measured:
    """Of every query: one value for all, or one for each."""
    values = [value] * QUERIES if isinstance(value, int | float) else value
    names = [f"q{number}" for number in range(len(values))]
    return Measured({measure: dict(zip(names, values, strict=True))}, dict(zip(names, weights or [1.0] * len(values), strict=True)))


def baseline(value: float | Sequence[float] = 0.5, **how: Any) -> Baseline:
    return Baseline("production", measured(value, **how))


def seen(candidate: Measured | None = None, **parts: Any) -> Seen:
    """A pair that is as good as production in everything, but for `parts`."""
    whole = Seen(measured(0.5), baseline(), missing=Missing(relevant=100, missing=0), index=INDEX, latency=LATENCY, replayed=REPLAYED)
    return replace(whole, **({"candidate": candidate} if candidate else {}), **parts)


def index(**changes: Any) -> IndexFacts:
    return INDEX.model_copy(update=changes)
