"""`restore`: a backed-up pair becomes a collection again, here or on another server, and is proved to be the same."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts import catalogue
from scripts.backup import standing
from scripts.backup.manifest import Manifest
from scripts.backup.ports import Folder, Show, unseen
from scripts.backup.sampled import Answers, Held, K, SampledRows
from scripts.errors import Refused, UsageError
from scripts.flow import Ahead, InFlight
from scripts.jobs import finish
from scripts.lease import lease
from scripts.pair import PREFIX, Pair, Stamp, State, identifier, require_pair
from scripts.ports import Collection, Parts
from scripts.quality.exact import ExactSearch
from scripts.shards import Shard

RESTORED = f"{PREFIX}restored"
"""The property that says which backup a collection was made from: the digest of its manifest."""
PAGES_AHEAD = 2


@dataclass(frozen=True)
class Restored:
    pair: Pair
    manifest: Manifest
    answers: Answers | None
    """None where there was no row to ask for."""
    exit_code: int = 0

    def lines(self) -> list[str]:
        made, same = self.manifest, self.pair.collection == self.manifest.pair
        return [
            f"{self.pair} is restored{'' if same else f' from {made.pair}'}: {made.rows:,} rows, all indexed, loaded, content {made.content.fingerprint}.",
            f"  {self.recall()}",
            f"  It is a built pair: `validate --pair {self.pair}` is next.",
        ]

    def recall(self) -> str:
        if self.answers is None:
            return "no rows, so nothing was searched for"
        here, there = self.answers.restored, self.answers.original
        return f"{here.queries} sampled rows searched for: {here.mean:.3f} of the exact {here.k} nearest found, {there.mean:.3f} when it was backed up"

    def facts(self) -> dict[str, Any]:
        made = self.manifest
        facts: dict[str, Any] = {"pair": str(self.pair), "backup_of": made.pair, "rows": made.rows, "fingerprint": made.content.fingerprint, "sha256": made.digest}
        if self.answers:
            facts |= {"recall": self.answers.restored.mean, "recall_when_backed_up": self.answers.original.mean, "queries": self.answers.restored.queries}
        return facts


def restore(parts: Parts, folder: Folder, name: str | None = None, show: Show = unseen) -> Restored:
    """Safe to run again: a restore that broke off goes on, and writes every row anew by its key.

    Files are verified before anything is written, the collection after everything is: count, content and a sample search. What comes out is a
    built pair without verdict or evidence, whatever it was when it was backed up. Raises UsageError without a whole backup; Refused where a file
    was changed, where the name is taken by a collection or an alias, and where the restored pair is not what was backed up.
    """
    manifest = standing.whole_backup(folder)
    stamp = manifest.read_stamp()
    pair = _target(manifest, stamp, name, parts)
    taken = _taken_by_this(parts, pair, manifest)
    with show("verify", manifest.rows) as advance:
        standing.refuse_damaged(folder, manifest, advance)
    blank = _adapted(stamp, pair, manifest, parts)
    if not taken:
        parts.store.create(pair.collection, stamp.layout, blank.properties() | {RESTORED: manifest.digest})
    with lease(parts.store, pair.collection, Shard()) as check:
        collection = parts.store.open(pair.collection)
        with show("restore", manifest.rows) as advance:
            sampled = _written(collection, folder, manifest, lambda rows: (check(), advance(rows)))
        finish.made_ready(collection)
        with show("compare", manifest.rows) as advance:
            answers = _compared(collection, manifest, sampled, advance)
        check()
        parts.store.set_properties(pair.collection, blank.changes(state=State.BUILT, shards=stamp.shards, content=stamp.content))
    return Restored(pair, manifest, answers)


def try_out(parts: Parts, folder: Folder, show: Show = unseen) -> TriedOut:
    """The whole way back, under a name of its own that is dropped at the end. Leaves nothing behind, also where it fails. Raises as `restore`."""
    manifest = standing.whole_backup(folder)
    like = require_pair(manifest.pair)
    name = Pair(like.service, like.version, secrets.token_hex(4)).collection
    try:
        return TriedOut(restore(parts, folder, name, show), folder.name)
    finally:
        if parts.store.properties(name) is not None:
            parts.store.drop(name)


@dataclass(frozen=True)
class TriedOut:
    restored: Restored
    folder: str
    exit_code: int = 0

    def lines(self) -> list[str]:
        made = self.restored.manifest
        return [
            f"The backup of {made.pair} in {self.folder} can be restored: {made.rows:,} rows, content {made.content.fingerprint}.",
            f"  {self.restored.recall()}",
            f"  {self.restored.pair}, which it was restored as, is dropped again.",
        ]

    def facts(self) -> dict[str, Any]:
        return self.restored.facts() | {"folder": self.folder, "dropped": True}


def _target(manifest: Manifest, stamp: Stamp, name: str | None, parts: Parts) -> Pair:
    """A pair's name says its service and its model version, which a backup keeps: only the build may be another."""
    pair, like = require_pair(name or manifest.pair), require_pair(manifest.pair)
    if (pair.service, pair.version) != (like.service, like.version):
        raise UsageError(
            f"{pair} would be of another service or model version than {like}.", hint=f"Name it {like.service}_v{like.version}_ and eight hex digits."
        )
    if stamp.service != parts.settings.service or pair.service != identifier(stamp.service):
        raise UsageError(f"This is a backup of the service {stamp.service!r}; the configuration is of {parts.settings.service!r}.", hint="Use --config.")
    return pair


def _taken_by_this(parts: Parts, pair: Pair, manifest: Manifest) -> bool:
    """Whether an earlier restore of this backup began to make the collection. Raises Refused where the name is anybody else's."""
    name = pair.collection
    if (properties := parts.store.properties(name)) is None:
        return False
    if (target := parts.store.target(name)) is not None:
        raise Refused(f"{name} is an alias of {target}; nothing is restored over it.", hint="Restore it --as another name.")
    if properties.get(RESTORED) == manifest.digest and catalogue.read(parts.store, parts.settings).find(name).state is State.BUILDING:
        return True
    raise Refused(f"There is a collection {name} already; nothing is restored over it.", hint="Restore it --as another name.")


def _adapted(stamp: Stamp, pair: Pair, manifest: Manifest, parts: Parts) -> Stamp:
    """What is true of the collection from its first row on: ingredients are kept; nothing that was seen, decided or done with the original is.

    It is as old as it is here, or the next cleanup would take it for a pair that nobody wanted for months.
    """
    url = parts.settings.environment.build_url
    build = stamp.build.model_copy(update={"created_at": parts.now(), "url": url} | ({} if pair.collection == manifest.pair else {"id": f"restored-{pair.build}"}))
    return Stamp(service=stamp.service, model=stamp.model, embedding=stamp.embedding, layout=stamp.layout, source=stamp.source, build=build)


def _written(collection: Collection, folder: Folder, manifest: Manifest, advance: Callable[[int], Any]) -> SampledRows:
    """Everything that the files hold, and the sample of it."""
    sampled = SampledRows(manifest.pair)
    pages = (page for part in manifest.parts for page in folder.pages(part.name, collection.layout))
    with Ahead(pages, PAGES_AHEAD) as ahead, InFlight(collection.writes_in_flight) as writes:
        for page in ahead:
            sampled.add(page)
            writes.submit(collection.write, page.rows(), page.vectors)
            advance(len(page.keys))
    return sampled


def _compared(collection: Collection, manifest: Manifest, sampled: SampledRows, advance: Callable[[int], None]) -> Answers | None:
    """Raises Refused where it is not what was backed up, saying in what."""
    held = Held(manifest.pair, _searches(collection, manifest, sampled))
    for page in collection.vectors():
        held.add(page)
        advance(len(page.keys))
    content, count = manifest.content, collection.count()
    wrong = ""
    if (count, held.rows) != (content.rows, content.rows):
        wrong = f"it holds {count:,} rows, of which {held.rows:,} can be read, not {content.rows:,}"
    elif held.fingerprint != content.fingerprint:
        wrong = f"its content is {held.fingerprint}, not {content.fingerprint}"
    elif unlike := sampled.unlike(held.sampled):
        wrong = f"{len(unlike)} of {len(sampled.keys)} sampled vectors are not what was written, that of key {unlike[0]} first"
    elif held.answers and not held.answers.are_as_good:
        here, there = held.answers.restored, held.answers.original
        wrong = f"its index finds {here.mean:.3f} of the exact {K} nearest, and found {there.mean:.3f} when it was backed up"
    if wrong:
        raise Refused(f"{collection.name} is not what was backed up: {wrong}.", hint="It stays unfinished, so nobody can promote it. Run the same command again.")
    return held.answers


def _searches(collection: Collection, manifest: Manifest, sampled: SampledRows) -> tuple[ExactSearch, ExactSearch] | None:
    if not manifest.asked:
        return None
    metric = collection.layout.index.metric
    names = [str(key) for key in sampled.keys]
    here = [one.answers for one in sampled.ask(collection)]
    recorded = {one.key: one.answers for one in manifest.asked}
    there = [recorded.get(key, ()) for key in sampled.keys]
    return ExactSearch(names, sampled.vectors, here, metric, K), ExactSearch(names, sampled.vectors, there, metric, K)
