"""`golden import`: a suite out of what BEIR, TREC or Quepid have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from scripts.errors import UsageError
from scripts.golden.imports import Imported
from scripts.golden.imports.beir import read_beir
from scripts.golden.imports.quepid import read_quepid
from scripts.golden.imports.trec import read_trec
from scripts.golden.writing import write_suite


class Origin(StrEnum):
    BEIR = "beir"
    TREC = "trec"
    QUEPID = "quepid"


@dataclass(frozen=True)
class ImportedSuite:
    folder: Path
    imported: Imported
    exit_code: int = 0

    def lines(self) -> list[str]:
        lowest, highest = self.imported.grades
        return [
            f"{self.folder}: {len(self.imported.queries):,} queries, {self.imported.judgments:,} judgments with grades from {lowest} to {highest}.",
            *(f"Left out, {reason}: {dropped.count:,} ({'; '.join(dropped.examples)})." for reason, dropped in self.imported.dropped.items()),
            "Set the gates in its suite.yaml, name it under `golden:` in the configuration, then run `golden check`.",
        ]

    def facts(self) -> dict[str, Any]:
        lowest, highest = self.imported.grades
        return {
            "suite": str(self.folder),
            "source": self.imported.source,
            "queries": len(self.imported.queries),
            "judgments": self.imported.judgments,
            "grades": {"lowest": lowest, "highest": highest},
            "dropped": {reason: {"count": dropped.count, "examples": dropped.examples} for reason, dropped in self.imported.dropped.items()},
        }


def golden_import(source: Path, origin: Origin, into: Path, *, split: str = "test", qrels: Path | None = None) -> ImportedSuite:
    """Writes a new suite or nothing. Raises Refused where there is one already, UsageError naming what cannot be read."""
    match origin:
        case Origin.BEIR:
            imported = read_beir(source, split)
        case Origin.QUEPID:
            imported = read_quepid(source)
        case Origin.TREC:
            if qrels is None:
                raise UsageError("TREC has topics and judgments in two files.", hint="Name the second with --qrels.")
            imported = read_trec(source, qrels)
    write_suite(into, imported)
    return ImportedSuite(into, imported)
