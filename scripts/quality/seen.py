"""What gates judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scripts.quality.facts import IndexFacts, Latency, Missing, Replayed
from scripts.quality.measures import Measured


@dataclass(frozen=True)
class Baseline:
    """Production, measured in the same run, or why it was not. `pair` is empty where there is no production at all."""

    pair: str = ""
    measured: Measured | None = None
    unmeasured_because: str = ""
    foreign: bool = False
    """Whether production is a collection that the kit did not build, which no model of the kit's can query. Its first pair is judged by floors."""

    @property
    def absent(self) -> bool:
        """Nothing to compare with, and nothing that could have been."""
        return not self.pair or self.foreign


@dataclass(frozen=True)
class Seen:
    """All that one validation saw. A part is None where the validation did not look, or could not."""

    candidate: Measured
    baseline: Baseline = field(default_factory=Baseline)
    slices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Query ids by slice."""
    missing: Missing | None = None
    index: IndexFacts | None = None
    latency: Latency | None = None
    replayed: Replayed | None = None
    unseen: Mapping[str, str] = field(default_factory=dict)
    """Why a part is None though it was looked for, by its name."""
