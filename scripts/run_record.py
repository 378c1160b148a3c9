"""What a run of the experiment tracker is told, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Row = Mapping[str, Any]
"""A row of a table: numbers, strings, None. All rows of a table have the same names."""


@dataclass(frozen=True)
class Used:
    """Data that went in."""

    name: str
    digest: str
    source: str
    """Where it comes from, without secrets."""
    context: str
    """What it was used for: `build` or `validation`."""
    table: Sequence[Row] = ()
    """Its rows, where it is small enough to be kept."""


@dataclass(frozen=True)
class RunRecord:
    """One thing that was done to a pair. All records of a pair go to the one run that the pair has."""

    pair: str
    kind: Literal["build", "validation"]
    at: datetime
    params: Mapping[str, str] = field(default_factory=dict)
    """What holds for the pair for good."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    """What may be another the next time."""
    summary: str = ""
    """A few words for whoever opens the run."""
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Content by file name."""
    used: Sequence[Used] = ()
