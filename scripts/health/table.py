"""Collections as lines of a table: the worst first, and what is quiet last and shortened."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.health.seen import Load
from scripts.health.statuses import CollectionHealth, Status

_COLUMNS = "{:7}  {:{width}}  {:>11}  {:11}  {:>24}  {:>6}  {:>5}  {:>6}  {:10}  {}"
_HEADINGS = ("rows", "load", "segments", "copies", "parts", "fields", "state", "index")


def table(collections: Sequence[CollectionHealth], quiet_lines: int) -> list[str]:
    """Everything that has an alias or is not healthy has its line; of all others so many, and a last line counts the rest."""
    if not collections:
        return ["no collections"]
    found = sorted(collections, key=lambda each: (-each.status, not each.serves, each.seen.name))
    loud = [each for each in found if each.serves or each.status is not Status.HEALTHY]
    quiet = [each for each in found if not each.serves and each.status is Status.HEALTHY]
    shown = [*loud, *quiet[:quiet_lines]]
    width = max(10, *(len(each.seen.name) for each in shown))
    lines = [_COLUMNS.format("status", "collection", *_HEADINGS, width=width)]
    for each in shown:
        lines.append(_row(each, width))
        if each.seen.aliases:
            lines.append(f"{'':7}  ← {', '.join(each.seen.aliases)}")
        lines += [f"{'':7}  {finding.status}: {finding}" for finding in each.findings]
    if (left := len(quiet) - quiet_lines) > 0:
        lines.append(f"… and {left:,} more that are healthy and have no alias: --all lists them.")
    return lines


def _row(each: CollectionHealth, width: int) -> str:
    seen = each.seen
    rows = f"{seen.rows:,}" if seen.rows is not None else f"~{seen.stored_rows:,}" if seen.stored_rows is not None else "?"
    load = f"loading {seen.progress}%" if seen.progress is not None else seen.load.value
    state = each.state.value if each.state else "-"
    indexes = ", ".join(map(str, each.indexes)) or ("?" if seen.indexes is None else "none")
    copies = "-" if seen.load is Load.NOT_LOADED else "?" if seen.replicas is None else seen.replicas
    parts = "?" if seen.partitions is None else len(seen.partitions)
    fields = len(seen.fields) or "?"
    return _COLUMNS.format(str(each.status), seen.name, rows, load, _segments(each), copies, parts, fields, state, indexes, width=width)


def _segments(each: CollectionHealth) -> str:
    if each.seen.segments is None:
        return "?"
    notes = [f"{each.small_segments} small"] if each.small_segments else []
    notes += [f"{each.seen.growing_rows:,} rows growing"] if each.seen.growing_rows else []
    return f"{sum(s.stored for s in each.seen.segments)}" + (f" ({', '.join(notes)})" if notes else "")
