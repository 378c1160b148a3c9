"""`embed`: make the collection equal to the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts import catalogue
from scripts.config import Settings
from scripts.encoding import stamped_encoder
from scripts.errors import Refused
from scripts.jobs.create import refuse_other_ingredients
from scripts.layout import Column, FieldType
from scripts.pair import Content, Pair, Stamp, State
from scripts.ports import Parts
from scripts.sync import SyncReport, sync


@dataclass(frozen=True)
class Embedded:
    pair: Pair
    report: SyncReport
    content: Content
    exit_code: int = 0

    def lines(self) -> list[str]:
        r = self.report
        lines = [
            f"{self.pair} equals the source: {self.content.rows:,} rows. Seen {r.seen:,}, unchanged {r.unchanged:,}, embedded {r.embedded:,}, "
            f"deduplicated {r.deduplicated:,}, copied {r.copied:,}, written {r.written:,}, deleted {r.deleted:,}, skipped {r.skipped:,} "
            f"({r.rate:,.0f} rows/s)."
        ]
        return lines + ([f"Skipped: {r.faults.summary()}."] if r.skipped else [])

    def facts(self) -> dict[str, Any]:
        r = self.report
        counts = {name: getattr(r, name) for name in ("seen", "unchanged", "embedded", "deduplicated", "copied", "written", "deleted", "skipped")}
        faults = {kind.value: {"count": count, "examples": r.faults.examples[kind]} for kind, count in r.faults.counts.items()}
        return {"pair": str(self.pair)} | counts | {"faults": faults, "seconds": r.seconds, "source": self.content.model_dump(mode="json")}


def embed(parts: Parts, pair: str, *, advance: Callable[[int], None] = lambda rows: None) -> Embedded:
    """Safe to run again after any crash: only unfinished work is done again.

    Raises Refused when the pair is not being built, or was made of other things than the configuration asks for.
    """
    settings, store = parts.settings, parts.store
    entry = catalogue.read(store, settings).find(pair)
    if entry.state is not State.BUILDING:
        raise Refused(f"{pair} is {entry.state}, not building: its content is what was validated and stays so.", hint="Run `build` for a new pair.")
    refuse_other_ingredients(pair, entry.stamp, _as_configured(entry.stamp, settings))
    encoder = stamped_encoder(parts.registry, entry.stamp, settings.model_cache)
    store.set_properties(pair, entry.stamp.changes(filled=False))
    report = sync(parts.source, settings.source, encoder, store.open(pair), advance=advance)
    content = report.content(now=parts.now())
    store.set_properties(pair, entry.stamp.changes(content=content, filled=True))
    return Embedded(entry.pair, report, content)


def _as_configured(stamp: Stamp, settings: Settings) -> Stamp:
    """The stamp that the present configuration would give this pair. Index and field types were settled when the collection was created."""
    settled = {column.name: column.type for column in (stamp.layout.key, *stamp.layout.columns)} | settings.source.types

    def column(name: str) -> Column:
        return Column(name=name, type=settled.get(name, FieldType.STRING))

    columns = tuple(map(column, settings.source.columns))
    layout = stamp.layout.model_copy(update={"key": column(settings.source.key), "columns": columns})
    return stamp.changed(
        service=settings.service,
        embedding=settings.embedding,
        layout=layout,
        source=" ".join(settings.source.uri),
    )
