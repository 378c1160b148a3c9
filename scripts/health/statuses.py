"""Healthy, warning or error, with the reason and the remedy. Only what is production's or has an alias makes anything red."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from scripts.errors import Refused
from scripts.health.indexes import SMALLEST_INDEXED_SEGMENT, IndexHealth, Judgment, judge
from scripts.health.seen import Because, Load, Seen
from scripts.pair import Pair, Stamp, State, production_alias

# So large a share of the rows, searched one by one or missing, is felt by whoever asks.
FELT_SHARE = 0.1
# Each segment is searched by itself: many small ones cost more than a large one.
MANY_SMALL_SEGMENTS = 16
CLAIM = "claim_"


class Status(IntEnum):
    HEALTHY = 0
    WARNING = 1
    ERROR = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    status: Status
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}. {self.remedy}"

    def facts(self) -> dict[str, str]:
        return {"status": str(self.status), "reason": self.reason, "remedy": self.remedy}


@dataclass(frozen=True)
class CollectionHealth:
    seen: Seen
    stamp: Stamp | None
    """None where the collection is not the kit's, or its stamp cannot be read."""
    indexes: tuple[IndexHealth, ...]
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        return worst(self.findings)

    @property
    def serves(self) -> bool:
        return bool(self.seen.aliases)

    @property
    def is_record(self) -> bool:
        """Whether it is one of the kit's ledgers, which hold no rows."""
        return any(field.primary and field.name.startswith(CLAIM) for field in self.seen.fields)

    @property
    def state(self) -> State | None:
        """What is live is what the alias points to; the stamp says the rest."""
        if self.stamp is None:
            return None
        if production_alias(self.stamp.service) in self.seen.aliases:
            return State.PRODUCTION
        return State.RETIRED if self.stamp.has_served else self.stamp.state

    @property
    def small_segments(self) -> int | None:
        return None if self.seen.segments is None else _small(self.seen)

    @property
    def growing_segments(self) -> int | None:
        """None where there must be some, and the server lists none (2.3.5)."""
        if self.seen.segments is None:
            return None
        return sum(s.growing for s in self.seen.segments) or (0 if self.seen.growing_rows == 0 else None)

    def facts(self) -> dict[str, Any]:
        seen, stamp = self.seen, self.stamp
        segments = None
        if seen.segments is not None:
            number = sum(s.stored or s.growing for s in seen.segments)
            segments = {"number": number, "small": self.small_segments, "growing": self.growing_segments}
            segments |= {"growing_rows": seen.growing_rows, "loaded": sum(s.loaded for s in seen.segments)}
        return {
            "collection": seen.name,
            "status": str(self.status),
            "findings": [finding.facts() for finding in self.findings],
            "rows": seen.rows,
            "stored_rows": seen.stored_rows,
            "load": seen.load.value,
            "load_progress": seen.progress,
            "partitions": None if seen.partitions is None else list(seen.partitions),
            "fields": [{"name": f.name, "type": f.type, "dimension": f.dimension, "primary": f.primary} for f in seen.fields],
            "aliases": list(seen.aliases),
            "pair": {"service": stamp.service, "model": stamp.model.name, "version": stamp.model.version} if stamp else None,
            "state": self.state.value if self.state else None,
            "is_record": self.is_record,
            "indexes": [index.facts() for index in self.indexes],
            "segments": segments,
            "replicas": seen.replicas,
            "unknown": list(map(str, seen.unknown)),
        }


def worst(findings: Iterable[Finding]) -> Status:
    return max((finding.status for finding in findings), default=Status.HEALTHY)


def examine(seen: Seen) -> CollectionHealth:
    """What this collection's figures mean."""
    stamp, findings = None, []
    if Pair.parse(seen.name):
        try:
            stamp = _read(seen)
        except Refused as error:
            findings.append(Finding(Status.WARNING, error.what.rstrip("."), error.hint or "Look at its properties."))
    indexes = tuple(judge(seen, index) for index in seen.indexes or ())
    findings += [*_of_indexes(seen, indexes), *_of_failures(seen)]
    if seen.aliases:
        findings += [*_of_load(seen), *_of_what_is_unknown(seen, indexes), *_of_rows(seen, stamp), *_of_coverage(seen, indexes)]
        findings += [*_of_stamp(seen, stamp), *_of_segments(seen)]
    return CollectionHealth(seen, stamp, indexes, tuple(sorted(findings, key=lambda finding: -finding.status)))


def _read(seen: Seen) -> Stamp | None:
    stamp = Stamp.read(seen.name, dict(seen.properties))
    try:
        if stamp:
            stamp.missing_shards  # noqa: B018
    except ValueError:
        raise Refused(f"The stamp of {seen.name} names a shard that cannot be read.") from None
    return stamp


def lost(collections: Iterable[CollectionHealth], aliases: Iterable[str]) -> Iterator[Finding]:
    """Services whose alias points to nothing though pairs of theirs have served: where production was dropped, its retired predecessors tell."""
    there = set(aliases)
    last: dict[str, tuple[bool, datetime, str]] = {}
    for found in collections:
        stamp = found.stamp
        if stamp and stamp.has_served and production_alias(stamp.service) not in there:
            here = (stamp.retired_at is None, stamp.last_active, found.seen.name)
            last[stamp.service] = max(here, last.get(stamp.service, here))
    for service, (_, _, name) in sorted(last.items()):
        what = f"the alias {production_alias(service)} points to nothing, though {name} has served"
        yield Finding(Status.ERROR, what, f"`rollback --to {name}` points it there again.")


def _of_indexes(seen: Seen, indexes: tuple[IndexHealth, ...]) -> Iterator[Finding]:
    bad = Status.ERROR if seen.aliases else Status.WARNING
    for each in indexes:
        if each.index.state == "Failed":
            what = f"the {each.index.type} index of {each.index.field} has failed"
            yield Finding(bad, what, "Look at the index nodes' log, drop the index and create it again.")
    if not seen.aliases or seen.indexes is None or not (seen.rows or seen.stored_rows):
        return
    covered = {index.field for index in seen.indexes}
    for field in seen.fields:
        if field.vector and field.name not in covered:
            yield Finding(Status.ERROR, f"{field.name} has no index", "Create one: a server searches nothing without, and milvus-lite every row.")


def _of_load(seen: Seen) -> Iterator[Finding]:
    if seen.load is Load.NOT_LOADED:
        yield Finding(Status.ERROR, "it is not loaded, and every search fails", "`ensure-loaded` loads pairs; load others by hand.")
    elif seen.load is Load.LOADING:
        far = f" ({seen.progress}%)" if seen.progress is not None else ""
        what = f"it is being loaded{far}, and searches fail until then"
        yield Finding(Status.ERROR, what, "Wait; if it stands still, look at the query nodes and their memory.")


def _of_failures(seen: Seen) -> Iterator[Finding]:
    failed = [gap for gap in seen.unknown if gap.because is Because.FAILED]
    if failed:
        what = f"not known: {', '.join(gap.what for gap in failed)} ({failed[0].why})"
        yield Finding(Status.ERROR if seen.aliases else Status.WARNING, what, "Searches may fail as well: ask it one, and look at the server's log.")


def _of_what_is_unknown(seen: Seen, indexes: Iterable[IndexHealth]) -> Iterator[Finding]:
    """What is not known of a collection that serves is never taken to be well."""
    reasons = {gap.because for gap in seen.unknown}
    if Because.NOT_PERMITTED in reasons:
        denied = ", ".join(str(gap) for gap in seen.unknown if gap.because is Because.NOT_PERMITTED)
        yield Finding(Status.WARNING, f"not known: {denied}", "Give this user the role `reader` (`roles setup`).")
    if reasons & {Because.NOT_PERMITTED, Because.FAILED}:
        return
    if seen.load is Load.UNKNOWN:
        yield Finding(Status.WARNING, "it is not known whether it is loaded", "Look at the query coordinator's log.")
    for each in indexes:
        if each.judgment is Judgment.UNKNOWN:
            yield Finding(Status.WARNING, f"how far the index of {each.index.field} covers the rows is not known", "Look again in a minute.")


def _of_rows(seen: Seen, stamp: Stamp | None) -> Iterator[Finding]:
    if seen.rows is None:
        return
    proved = stamp.content.rows if stamp and stamp.content else None
    if seen.rows == 0 and proved != 0:
        what = f"it has no rows{f'; {proved:,} were proved' if proved else ''}"
        remedy = f"`rollback` leaves it; `catch-up {seen.name}` fills it." if stamp else "Fill it."
        yield Finding(Status.ERROR if proved else Status.WARNING, what, remedy)
    elif proved is not None and stamp and stamp.read_content == stamp.content and seen.rows != proved:
        what = f"it has {seen.rows:,} rows; {proved:,} were proved"
        status = Status.ERROR if seen.rows <= (1 - FELT_SHARE) * proved else Status.WARNING
        yield Finding(status, what, f"`catch-up {seen.name}` makes it equal to the source again.")


def _of_coverage(seen: Seen, indexes: tuple[IndexHealth, ...]) -> Iterator[Finding]:
    for each in indexes:
        if not each.index.vector or each.judgment is not Judgment.BUILDING or each.uncovered_rows is None or each.coverage is None:
            continue
        if each.uncovered_rows < SMALLEST_INDEXED_SEGMENT:  # fewer a server never indexes
            continue
        status = Status.ERROR if each.coverage <= 100 * (1 - FELT_SHARE) else Status.WARNING
        what = f"the index of {each.index.field} covers {each.coverage:g}% of the rows: {each.uncovered_rows:,} are searched one by one"
        remedy = f"Write less for a while: it catches up by itself. If not, `compact {seen.name}` seals and merges; then look at the index nodes."
        yield Finding(status, what, remedy)


def _of_stamp(seen: Seen, stamp: Stamp | None) -> Iterator[Finding]:
    if stamp is None or not seen.indexes:
        return
    wanted = stamp.layout.index
    for index in seen.indexes:
        if index.vector and wanted.type != "AUTOINDEX" and index.type and (index.type, index.metric) != (wanted.type.value, wanted.metric.value):
            what = f"its index is {index.type}/{index.metric}, and {wanted.type}/{wanted.metric} was stamped"
            yield Finding(Status.WARNING, what, "Build a new pair: evidence was gathered on the stamped one.")


def _small(seen: Seen) -> int:
    return sum(segment.stored and not segment.growing and segment.rows < SMALLEST_INDEXED_SEGMENT for segment in seen.segments or ())


def _of_segments(seen: Seen) -> Iterator[Finding]:
    small = _small(seen)
    if small >= MANY_SMALL_SEGMENTS:
        yield Finding(Status.WARNING, f"it has {small} small segments, each searched without an index", f"`compact {seen.name}` merges them.")
