"""What validation saw of a candidate, as figures that gates judge and reports show. Plain data: nothing here measures or judges."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Metered(_Facts):
    """Milliseconds of single searches, each for another query."""

    p50: float
    p95: float
    p99: float


class Latency(_Facts):
    """Both pairs searched in turn in the same run, after a warm-up."""

    queries: int
    depth: int
    """Hits asked for."""
    candidate: Metered
    production: Metered | None = None


class Recall(_Facts):
    """How much of the exact answer over the same vectors the index gives. A hit that is as near as the last exact one counts as right."""

    k: int
    queries: int
    mean: float
    worst: float
    worst_query: str = ""


class Reencoded(_Facts):
    """Rows of the source encoded again, and compared with what is stored under their keys."""

    compared: int
    worst: float
    """The least similar: the cosine of stored and new vector, or the ratio of their lengths where that is further from 1."""
    unlike: tuple[str, ...] = ()
    """Keys of the least similar, worst first."""


class SourceFacts(_Facts):
    """The source as it is now, compared row by row with what the collection holds."""

    rows: int
    """Distinct good keys."""
    new: int
    changed: int
    vanished: int
    skipped: dict[str, int] = Field(default_factory=dict)
    """Bad rows by kind, as `records` counts them."""
    examples: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @property
    def stale(self) -> float:
        """The share of rows that a catch-up would write or delete."""
        return (self.new + self.changed + self.vanished) / max(self.rows, self.rows - self.new + self.vanished, 1)


class Coverage(_Facts):
    """Documents that production has and the candidate lacks."""

    production_rows: int
    missing: int
    examples: tuple[str, ...] = ()


class Missing(_Facts):
    """Relevant documents of the judgments that the candidate's collection does not hold."""

    relevant: int
    missing: int
    examples: tuple[str, ...] = ()
    """Each with a query that it is relevant to, in words."""


class Prompts(_Facts):
    """The prompts that the pair is stamped with, those of the configuration, and those that the model itself declares (None: it does not say)."""

    query: str
    document: str
    configured_query: str
    configured_document: str
    declared_query: str | None = None
    declared_document: str | None = None


class IndexFacts(_Facts):
    """The candidate's collection, looked at row by row. Empty or None where something was not looked at; `unread` says why."""

    rows: int
    """The true count."""
    stamped_rows: int
    distinct_keys: int
    content_as_stamped: bool
    """Whether keys and content hashes add up to the stamped fingerprint."""
    dimension: int
    stamped_dimension: int
    not_finite: int
    zero: int
    unlike_one: float
    """The share of vectors whose length is more than a hundredth away from 1."""
    shortest: float
    longest: float
    parallel: float
    """The mean cosine of random pairs of rows: near 1 where a model says the same of everything."""
    metric: str
    stamped_metric: str
    loaded: bool
    unindexed: int
    """Rows that no index covers."""
    recall: Recall | None = None
    reencoded: Reencoded | None = None
    source: SourceFacts | None = None
    coverage: Coverage | None = None
    prompts: Prompts
    unread: dict[str, str] = Field(default_factory=dict)
    """Why `recall`, `reencoded`, `source` or `coverage` is None, by that name."""


class Change(_Facts):
    """A logged query whose answer differs. Results are keys, best first."""

    text: str
    overlap: float
    rbo: float
    candidate: tuple[str, ...]
    production: tuple[str, ...]


class Replayed(_Facts):
    """Logged queries asked of both pairs, each with its own model."""

    log: str = ""
    """The file's name."""
    log_digest: str = ""
    """Of its distinct queries, in order."""
    queries: int
    k: int
    overlap: float
    """The mean share of the top k that both have."""
    rbo: float
    """The mean rank-biased overlap."""
    top_changed: float
    """The share of queries whose first result is another."""
    empty: float
    """The share of queries without any result in the candidate."""
    production_empty: float
    latency: Latency | None = None
    most_changed: tuple[Change, ...] = ()
