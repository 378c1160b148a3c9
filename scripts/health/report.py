"""What one look over one or many clusters found, for a person, a machine and an alert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts.health.statuses import CollectionHealth, Finding, Status, worst

UNREACHABLE = 5


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
            "reachable": not self.failure,
            "failure": self.failure,
            "status": None if self.failure else str(self.status),
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
                lines.append(f"  NOT SEEN: {cluster.failure}")
                if not cluster.collections:
                    continue
            lines += _table(found for found in cluster.collections if not found.is_record)
            lines += [f"  {finding.status}: {finding}" for finding in cluster.findings]
            if cluster.unseen:
                left = f"{len(cluster.unseen)} collections were not looked at within the time-out"
                lines.append(f"  warning: {left}, {cluster.unseen[0]} first. Give it more --timeout.")
        return [*lines, self.summary()]

    def summary(self) -> str:
        counts = self.counts()
        seen = sum(not cluster.failure for cluster in self.clusters)
        records = sum(found.is_record for cluster in self.clusters for found in cluster.collections)
        told = ", ".join(f"{count} {status}" for status, count in counts.items())
        beside = f" ({records} of them ledgers)" if records else ""
        missing = ", ".join(cluster.name for cluster in self.clusters if cluster.failure)
        down = f"; NOT SEEN: {missing}" if missing else ""
        return f"{sum(counts.values())} collections{beside} on {seen} of {len(self.clusters)} clusters: {told}{down}."

    def facts(self) -> dict[str, Any]:
        return {"at": self.at.isoformat(), "summary": self.counts(), "clusters": [cluster.facts() for cluster in self.clusters]}


def _table(collections: Iterable[CollectionHealth]) -> list[str]:
    """The worst first."""
    found = sorted(collections, key=lambda each: (-each.status, not each.serves, each.seen.name))
    if not found:
        return ["no collections"]
    width = max(10, *(len(each.seen.name) for each in found))
    lines = [f"{'status':7}  {'collection':{width}}  {'rows':>11}  {'load':10}  {'segments':>18}  {'state':10}  index"]
    for each in found:
        lines.append(_row(each, width))
        if each.seen.aliases:
            lines.append(f"{'':7}  ← {', '.join(each.seen.aliases)}")
        lines += [f"{'':7}  {finding.status}: {finding}" for finding in each.findings]
        if each.seen.unknown and each.serves:
            lines.append(f"{'':7}  not known: {', '.join(each.seen.unknown)}")
    return lines


def _row(each: CollectionHealth, width: int) -> str:
    seen = each.seen
    rows = f"{seen.rows:,}" if seen.rows is not None else f"~{seen.stored_rows:,}" if seen.stored_rows is not None else "?"
    load = f"loading {seen.progress}%" if seen.progress is not None else seen.load.value
    if seen.replicas is not None and seen.replicas > 1:
        load += f" ×{seen.replicas}"
    segments = "?"
    if seen.segments is not None:
        segments = f"{sum(s.stored for s in seen.segments)}"
        notes = [f"{each.small_segments} small"] if each.small_segments else []
        notes += [f"{seen.growing_rows:,} rows growing"] if seen.growing_rows else []
        segments += f" ({', '.join(notes)})" if notes else ""
    state = each.state.value if each.state else "-"
    indexes = ", ".join(map(str, each.indexes)) or ("?" if seen.indexes is None else "none")
    return f"{each.status!s:7}  {seen.name:{width}}  {rows:>11}  {load:10}  {segments:>18}  {state:10}  {indexes}"
