"""What one look over one or many clusters found, for a person, a machine and an alert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts.health.seen import Because
from scripts.health.statuses import CollectionHealth, Finding, Status, worst
from scripts.health.table import table

UNREACHABLE = 5
# Of those that are healthy and have no alias, so many of a cluster are listed: thousands would bury what is wrong.
QUIET_LINES = 50


@dataclass(frozen=True)
class ClusterHealth:
    """`failure` says why nothing is known of it, or not all that serves. `unseen` are collections that the time-out left no time
    for; what serves is looked at first."""

    name: str
    address: str
    collections: tuple[CollectionHealth, ...] = ()
    findings: tuple[Finding, ...] = ()
    failure: str = ""
    unseen: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def status(self) -> Status:
        return max(worst(self.findings), *(found.status for found in self.collections), Status.WARNING if self.unseen else Status.HEALTHY)

    def facts(self) -> dict[str, Any]:
        return {
            "cluster": self.name,
            "address": self.address,
            "reachable": bool(self.collections) or not self.failure,
            "complete": not self.failure and not self.unseen,
            "failure": self.failure,
            "status": None if self.failure and not self.collections else str(self.status),
            "findings": [finding.facts() for finding in self.findings],
            "collections": [found.facts() for found in self.collections],
            "unseen": list(self.unseen),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class HealthReport:
    """Implements jobs.result.Result."""

    clusters: tuple[ClusterHealth, ...]
    at: datetime
    quiet_lines: int = QUIET_LINES

    @property
    def exit_code(self) -> int:
        """5 where a cluster was not seen, because then the answer is not complete; else 1 for an error, and 0."""
        if any(cluster.failure for cluster in self.clusters):
            return UNREACHABLE
        return int(any(cluster.status is Status.ERROR for cluster in self.clusters))

    def counts(self) -> dict[str, int]:
        """Of the collections, by status."""
        found = Counter(collection.status for cluster in self.clusters for collection in cluster.collections)
        return {str(status): found[status] for status in Status}

    def lines(self) -> list[str]:
        lines: list[str] = []
        for cluster in self.clusters:
            if len(self.clusters) > 1 or cluster.failure:
                lines.append(f"{cluster.name} ({cluster.address})")
            if cluster.failure:
                lines.append(f"  {'NOT ALL SEEN' if cluster.collections else 'NOT SEEN'}: {cluster.failure}")
                if not cluster.collections:
                    continue
            lines += table([found for found in cluster.collections if not found.is_record], self.quiet_lines)
            lines += [f"  {finding.status}: {finding}" for finding in cluster.findings]
            lines += [f"  not known{where}: {what}" for what, where in _gaps(cluster.collections)]
            if cluster.unseen:
                left = f"{len(cluster.unseen):,} collections were not looked at within the time-out"
                lines.append(f"  warning: {left}, {cluster.unseen[0]} first. Give it more --timeout.")
        return [*lines, self.summary()]

    def summary(self) -> str:
        counts = self.counts()
        seen = sum(not cluster.failure for cluster in self.clusters)
        records = sum(found.is_record for cluster in self.clusters for found in cluster.collections)
        told = ", ".join(f"{count:,} {status}" for status, count in counts.items())
        beside = f" ({records:,} of them ledgers)" if records else ""
        missing = ", ".join(cluster.name for cluster in self.clusters if cluster.failure)
        down = f"; NOT SEEN: {missing}" if missing else ""
        lost = sum(finding.status is Status.ERROR for cluster in self.clusters for finding in cluster.findings)
        told += f"; {lost} error{'' if lost == 1 else 's'} of a whole cluster" if lost else ""
        return f"{sum(counts.values()):,} collections{beside} on {seen} of {len(self.clusters)} clusters: {told}{down}."

    def facts(self) -> dict[str, Any]:
        return {"at": self.at.isoformat(), "summary": self.counts(), "clusters": [cluster.facts() for cluster in self.clusters]}


def _gaps(collections: Iterable[CollectionHealth]) -> Iterator[tuple[str, str]]:
    """What is not known, once for all that have no alias: where one has, it is among its findings."""
    found = Counter(gap for each in collections for gap in each.seen.unknown if gap.because is Because.ABSENT or not each.serves)
    for gap, count in found.items():
        if gap.because is not Because.FAILED:
            yield str(gap), "" if gap.because is Because.ABSENT else f" of {count:,} without an alias"
