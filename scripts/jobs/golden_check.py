"""`golden check`: what is wrong with the suite, or weak, before a validation rests on it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from scripts import catalogue, golden
from scripts.errors import KitError, Refused
from scripts.golden import Suite, checking
from scripts.golden.checking import Finding, Severity
from scripts.golden.description import read_description
from scripts.ports import Parts

# A suite that was never meant for this collection lacks every document; the first few say so.
SHOWN = 20


@dataclass(frozen=True)
class Checked:
    """`looked_in` is the collection that was asked for the suite's documents, or `not_looked` says why none was."""

    suite: Suite
    findings: tuple[Finding, ...]
    looked_in: str
    not_looked: str

    @property
    def exit_code(self) -> int:
        return int(any(finding.severity is Severity.ERROR for finding in self.findings))

    def lines(self) -> list[str]:
        judgments = sum(map(len, self.suite.qrels.values()))
        queries, judged = len(self.suite.queries), len(self.suite.judged)
        lines = [f"{self.suite.name}: {queries:,} queries, {judged:,} with a relevant document, {judgments:,} judgments."]
        for findings in self._by_kind().values():
            lines += [str(finding) for finding in findings[:SHOWN]]
            if len(findings) > SHOWN:
                lines.append(f"… and {len(findings) - SHOWN:,} more of this kind (--json has all)")
        where = f"Documents were looked for in {self.looked_in}." if self.looked_in else f"Documents were not looked for: {self.not_looked}"
        return [*lines, where, f"{self._count(Severity.ERROR)}, {self._count(Severity.WARNING)}."]

    def facts(self) -> dict[str, Any]:
        return {
            "suite": self.suite.name,
            "digest": self.suite.digest,
            "queries": len(self.suite.queries),
            "judged": len(self.suite.judged),
            "looked_in": self.looked_in,
            "not_looked": self.not_looked,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def _by_kind(self) -> dict[str, list[Finding]]:
        """Errors first."""
        kinds: dict[str, list[Finding]] = defaultdict(list)
        for finding in sorted(self.findings, key=lambda finding: finding.severity is not Severity.ERROR):
            kinds[finding.kind].append(finding)
        return kinds

    def _count(self, severity: Severity) -> str:
        count = sum(finding.severity is severity for finding in self.findings)
        return f"{count:,} {severity}{'' if count == 1 else 's'}"


def golden_check(parts: Parts, pair: str = "") -> Checked:
    """Reads only. Looks for documents in this pair, or in production; where there is none that can be asked, it checks the rest and says so.

    Raises UsageError where the suite cannot be read, Refused where `pair` does not exist.
    """
    folder = parts.settings.golden_folder
    suite, (_, files) = golden.load(folder), read_description(folder)
    looked_in, absent, why = _look(suite, pair, parts)
    findings = [*checking.check(suite, files), *checking.missing(suite, files, absent, looked_in)]
    return Checked(suite, tuple(findings), looked_in, why)


def _look(suite: Suite, pair: str, parts: Parts) -> tuple[str, dict[str, str], str]:
    """In which collection, which documents it lacks, or why it was not asked."""
    try:
        world = catalogue.read(parts.store, parts.settings)
        entry = world.find(pair) if pair else world.production
        if entry is None:
            return "", {}, f"the alias {world.alias} does not point to a pair."
        name = entry.pair.collection
        collection = parts.store.open(name)
        if not collection.is_loaded():
            return "", {}, f"{name} is not loaded."
        return name, checking.missing_documents(suite, entry.stamp.layout.key.type, collection), ""
    except KitError as error:
        if pair and isinstance(error, Refused):
            raise
        return "", {}, str(error)
