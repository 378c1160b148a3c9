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
class RunKey:
    """Which run: the one that has this value in this tag. `name` is what people see."""

    tag: str
    value: str
    name: str

    @classmethod
    def of_pair(cls, pair: str) -> RunKey:
        """A pair has one run, for its build and every validation."""
        return cls("promotion.pair", pair, pair)

    @classmethod
    def of_act(cls, act_id: str, name: str) -> RunKey:
        """An act has a run of its own, because a pair may be promoted more than once."""
        return cls("promotion.act", act_id, name)


@dataclass(frozen=True)
class RunRecord:
    """One thing that was done. All records with the same key go to the same run."""

    run: RunKey
    kind: Literal["build", "validation", "promotion", "rollback", "cleanup", "unlock"]
    at: datetime
    params: Mapping[str, str] = field(default_factory=dict)
    """What holds for good."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    """What may be another the next time."""
    summary: str = ""
    """A few words for whoever opens the run."""
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Content by file name."""
    used: Sequence[Used] = ()
