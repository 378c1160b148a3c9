"""`embed`: make a pair's collection, or one shard of it, equal to the source."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from scripts import catalogue, reading
from scripts.catalogue import Entry
from scripts.encoding import Encoder, stamped_encoder
from scripts.errors import Refused
from scripts.jobs.create import refuse_other_ingredients
from scripts.layout import Column, FieldType
from scripts.lease import lease
from scripts.pair import Content, Pair, Stamp, State
from scripts.ports import Collection, Parts, VectorCache
from scripts.settings import Settings
from scripts.shards import Shard
from scripts.supply import OpenedWhenAsked, Supply
from scripts.sync import Pass, sync
from scripts.sync_report import SyncReport


@dataclass(frozen=True)
class Embedded:
    pair: Pair
    shard: Shard
    report: SyncReport
    content: Content
    notes: tuple[str, ...] = ()
    exit_code: int = 0

    def lines(self) -> list[str]:
        what = "" if self.shard.is_all else f" in shard {self.shard.index}/{self.shard.count}"
        return [f"{self.pair} equals the source{what}: {self.content.rows:,} rows.", *self.report.lines(), *(f"  {note}" for note in self.notes)]

    def facts(self) -> dict[str, Any]:
        shard = {} if self.shard.is_all else {"shard": f"{self.shard.index}/{self.shard.count}"}
        return {"pair": str(self.pair)} | shard | self.report.facts() | {"source": self.content.model_dump(mode="json"), "notes": list(self.notes)}


@dataclass(frozen=True)
class Complete:
    """A pair that this pipeline has filled before: its job was run again from the start."""

    pair: Pair
    state: State
    exit_code: int = 0

    def lines(self) -> list[str]:
        return [f"{self.pair} is {self.state} already: nothing is left to embed. What changed in the source since, `promote` brings in."]

    def facts(self) -> dict[str, Any]:
        return {"pair": str(self.pair), "state": self.state.value, "complete": True}


_COMPLETE = (State.BUILT, State.VALIDATED, State.REJECTED)


def embed_again(parts: Parts, pair: str, how: Pass | None = None, *, reuse: bool = False) -> Embedded | Complete:
    """As `embed`; but where this is a job of the pipeline that has filled the pair before, nothing is to be done, and no reason to fail."""
    entry, build = catalogue.read(parts.store, parts.settings).find(pair), parts.settings.environment.build_id
    if build and entry.stamp.build.id == build and entry.state in _COMPLETE:
        return Complete(entry.pair, entry.state)
    return embed(parts, pair, how, reuse=reuse)


def embed(parts: Parts, pair: str, how: Pass | None = None, *, reuse: bool = False) -> Embedded:
    """Safe to run again after any crash: only unfinished work is done again. With `reuse`, vectors of texts that production has as well are
    copied from there, if the same embedding made them.

    Raises Refused when the pair is not being built, is being filled by another process, or was made of other things than the configuration
    asks for.
    """
    world = catalogue.read(parts.store, parts.settings)
    entry = world.find(pair)
    if entry.state is not State.BUILDING:
        raise Refused(
            f"{pair} is {entry.state}, not building: its content is what was validated.", hint=f"`catch-up {pair}` brings it up to date; `build` makes a new pair."
        )
    refuse_other_ingredients(pair, entry.stamp, _as_configured(entry.stamp, parts.settings))
    unlike = _unlike(world.production, entry) if reuse else ""
    donor = parts.store.open(world.production.pair.collection) if reuse and world.production and not unlike else None
    done = fill(parts, entry, how or Pass(), donor)
    return replace(done, notes=(*done.notes, unlike)) if unlike else done


def fill(parts: Parts, entry: Entry, how: Pass, donor: Collection | None = None) -> Embedded:
    """Brings this pair, or one shard of it, up to the source, and stamps what the source had. `finish` then proves that it is ready."""
    store, stamp, name = parts.store, entry.stamp, entry.pair.collection
    source = reading.as_of(parts.settings.source, stamp)

    def load() -> Encoder:
        return stamped_encoder(parts.registry, stamp, parts.settings.model_cache)

    with lease(store, name, how.shard) as check, _cache(parts, stamp) as cache:

        def advance(rows: int) -> None:
            check()
            how.advance(rows)

        began = parts.now()
        stamp = _looked_at_again(parts, entry)
        store.set_properties(name, stamp.changes(shards=_no_longer_true(stamp, how.shard)))
        supply = Supply(load, donors=[donor] if donor else [], cache=cache)
        # A pass stamps its shard before it writes its first row.
        how_now = replace(how, advance=advance, fresh=not stamp.shards)
        report = sync(parts.open_source(source), source, store.open(name), supply, how_now)
        check()
        content = report.content(read_at=began)
        store.set_properties(name, stamp.changes(shards={str(how.shard): content}))
    return Embedded(entry.pair, how.shard, report, content, (cache.trouble,) if cache and cache.trouble else ())


def _looked_at_again(parts: Parts, entry: Entry) -> Stamp:
    """What others stamped while the lease was waited for counts. Raises Refused where they have taken the pair a step further."""
    now = catalogue.read(parts.store, parts.settings).find(entry.pair.collection)
    if (now.state is State.BUILDING) is not (entry.state is State.BUILDING):
        raise Refused(f"{entry.pair} was {entry.state} a moment ago and is {now.state} now: another process was faster.", hint="Look at `status`.")
    return now.stamp


def _cache(parts: Parts, stamp: Stamp) -> AbstractContextManager[VectorCache | None]:
    if parts.settings.cache is None:
        return nullcontext()
    return closing(OpenedWhenAsked(lambda: parts.cache(stamp.fingerprint, stamp.layout.dimension)))


def _no_longer_true(stamp: Stamp, shard: Shard) -> dict[str, None]:
    """What the stamp says of this shard until the pass is complete, and of shards of another division, whose keys it crosses."""
    others = [name for name, content in stamp.shards.items() if content and Shard.named(name).count != shard.count]
    return dict.fromkeys([str(shard), *others])


def _unlike(production: Entry | None, entry: Entry) -> str:
    """Why production's vectors are of no use to this pair; empty where they are."""
    if production is None:
        return "Production is no pair to copy vectors from: every text was encoded."
    if production.stamp.fingerprint != entry.stamp.fingerprint:
        return f"Production {production.pair} has another embedding (model, text template, prompt or normalisation): every text was encoded."
    if production.stamp.layout.key != entry.stamp.layout.key:
        return f"Production {production.pair} has other keys: every text was encoded."
    return ""


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
        source=settings.source.identity,
    )
