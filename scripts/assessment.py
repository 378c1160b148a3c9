"""One validation in full: the evidence that promotion holds to, and everything that a person wants to see before approving it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from scripts.evidence import Evidence
from scripts.quality.facts import IndexFacts, Latency, Replayed


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class PairFacts(_Part):
    """One side of the comparison."""

    pair: str
    model: str
    version: int
    model_digest: str
    embedding_fingerprint: str
    index: str
    """Type, metric and parameters, in words: `HNSW COSINE M=16 efConstruction=200`."""
    rows: int
    built_at: datetime
    build_url: str = ""


class ShownHit(_Part):
    """A result as a person judges it. `grade` is None where nobody has."""

    key: str
    title: str
    grade: int | None = None


class QueryRow(_Part):
    """A judged query with its values by measure."""

    id: str
    text: str
    slices: tuple[str, ...] = ()
    weight: float = 1.0
    candidate: dict[str, float]
    production: dict[str, float] | None = None
    floors: tuple[str, ...] = ()
    """Gates that set a floor for each single query, this one among them."""
    below_floor: tuple[str, ...] = ()
    """Those of them that it misses."""


class SideBySide(_Part):
    """A query's first ten results in both pairs."""

    query: str
    """Its id."""
    change: float
    """Of the leading measure; positive where the candidate gained."""
    candidate: tuple[ShownHit, ...]
    production: tuple[ShownHit, ...]


class SliceRow(_Part):
    name: str
    queries: int
    candidate: dict[str, float]
    production: dict[str, float] | None = None


class Assessment(_Part):
    """What the reports are made of. `leading` is the measure by which queries are ordered: the first that the suite names."""

    evidence: Evidence
    candidate: PairFacts
    production: PairFacts | None = None
    production_name: str = ""
    """The pair, or collection that the kit did not build, behind the alias, or that should be there."""
    production_unmeasured: str = ""
    """Why that could not be compared with; empty where it was, or where there is none."""
    leading: str
    queries: tuple[QueryRow, ...]
    improved: tuple[SideBySide, ...] = ()
    """The most improved, most first; at most ten."""
    harmed: tuple[SideBySide, ...] = ()
    """The most harmed, most first; at most ten."""
    slices: tuple[SliceRow, ...] = ()
    index: IndexFacts | None = None
    latency: Latency | None = None
    replayed: Replayed | None = None
    titles: dict[str, str] = {}
    """Titles of documents that the replay shows, by key."""

    def facts(self) -> dict[str, Any]:
        return self.model_dump(mode="json") | {"digest": self.evidence.digest}
