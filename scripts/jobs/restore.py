"""`restore`: a backed-up pair becomes a collection again, here or on another server, and is proved to be the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from scripts import catalogue
from scripts.backup import standing
from scripts.backup.manifest import Manifest
from scripts.backup.ports import Folder, Show, unseen
from scripts.backup.sampled import Answers, K, ReadBack, SampledRows
from scripts.capacity.admission import Admission
from scripts.errors import Refused, UsageError
from scripts.flow import Ahead, InFlight
from scripts.jobs import finish
from scripts.jobs.capacity_admission import Roomed, readmitted
from scripts.lease import lease
from scripts.pair import PREFIX, Pair, Stamp, State, identifier, require_pair
from scripts.ports import Collection, Parts
from scripts.quality.truth import Truth
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
    admission: Admission | None = None
    """Whether it would fit; None where that was not asked, or is not known."""
    exit_code: int = 0

    def lines(self) -> list[str]:
        made, of = self.manifest, "" if self.pair.collection == self.manifest.pair else f" from {self.manifest.pair}"
        return [
            f"{self.pair} is restored{of}: {made.rows:,} rows, all indexed, loaded, content {made.content.fingerprint}.",
            f"  {self.recall()}",
            *self.room(),
            f"  It is a built pair: `validate --pair {self.pair}` is next.",
        ]

    def recall(self) -> str:
        if self.answers is None:
            return "no rows, so nothing was searched for"
        found = f"{self.answers.restored:.3f} of the exact {K} nearest found, {self.answers.original:.3f} when it was backed up"
        return f"{self.answers.queries} sampled rows searched for: {found}"

    def room(self) -> list[str]:
        return [f"  {self.admission.line}"] if self.admission else []

    def facts(self) -> dict[str, Any]:
        facts = facts_of(self.pair, self.manifest) | {"capacity": self.admission.facts() if self.admission else None}
        if self.answers:
            facts |= {"recall": self.answers.restored, "recall_when_backed_up": self.answers.original, "queries": self.answers.queries}
        return facts


@dataclass(frozen=True)
class RestoredBefore:
    """An earlier run of the same command came to its end."""

    pair: Pair
    manifest: Manifest
    state: State
    exit_code: int = 0

    def lines(self) -> list[str]:
        return [f"{self.pair} was restored from this backup before, and is {self.state} now: nothing is left to do."]

    def facts(self) -> dict[str, Any]:
        return facts_of(self.pair, self.manifest) | {"restored_before": True, "state": self.state.value}


def facts_of(pair: Pair, made: Manifest) -> dict[str, Any]:
    return {
        "pair": str(pair),
        "backup_of": made.pair,
        "begun_at": made.begun_at.isoformat(),
        "rows": made.rows,
        "fingerprint": made.content.fingerprint,
        "sha256": made.digest,
    }


def restore(parts: Roomed, folder: Folder, name: str | None = None, show: Show = unseen) -> Restored | RestoredBefore:
    """Safe to run again: a restore that broke off goes on, and writes every row anew by its key.

    What comes out is a built pair without verdict or evidence, whatever it was when it was backed up. Raises UsageError without a whole backup;
    Refused where a file was changed, where the name is taken by a collection or an alias, where the restored pair is not what was backed up, and where its
    promotion would not fit and the configuration is to refuse that: before anything is made, and not of what an earlier run has begun.
    """
    manifest = standing.whole_backup(folder)
    pair = target(manifest, name, parts)
    if (state := _restored_before(parts, pair, manifest)) is not None:
        return RestoredBefore(pair, manifest, state)
    admission = None if _is_begun(parts, pair, manifest) else readmitted(parts, manifest, "promotion")
    with proved(parts, folder, manifest, pair, show) as (blank, answers):
        content = manifest.read_stamp()
        parts.store.set_properties(pair.collection, blank.changes(state=State.BUILT, shards=content.shards, content=content.content))
    return Restored(pair, manifest, answers, admission)


def target(manifest: Manifest, name: str | None, parts: Parts) -> Pair:
    """A pair's name says its service and its model version, which a backup keeps: only the build may be another."""
    pair, like, service = require_pair(manifest.pair if name is None else name), require_pair(manifest.pair), manifest.read_stamp().service
    if (pair.service, pair.version) != (like.service, like.version):
        raise UsageError(
            f"{pair} would be of another service or model version than {like}.", hint=f"Name it {like.service}_v{like.version}_ and eight hex digits."
        )
    if service != parts.settings.service or pair.service != identifier(service):
        raise UsageError(f"This is a backup of the service {service!r}; the configuration is of {parts.settings.service!r}.", hint="Use --config.")
    return pair


@contextmanager
def proved(
    parts: Parts, folder: Folder, manifest: Manifest, pair: Pair, show: Show, marks: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[Stamp, Answers | None]]:
    """Within the block the collection holds what the backup does, nobody else writes to it, and it is still stamped as being built.

    Files are verified before anything is written, the collection after everything is: count, content and a sample search. `marks` are properties that
    it has from its beginning. Gives its stamp as well.
    """
    taken = _is_begun(parts, pair, manifest)
    with show("verify", manifest.rows) as advance:
        standing.refuse_damaged(folder, manifest, advance)
    blank = _adapted(manifest, pair, parts)
    if not taken:
        parts.store.create(pair.collection, blank.layout, blank.properties() | {RESTORED: manifest.digest} | marks)
    with lease(parts.store, pair.collection, Shard()) as check:
        if not _is_begun(parts, pair, manifest):  # while the files were read and the lease was waited for, somebody may have been faster
            raise Refused(f"{pair} is gone: another process dropped it.", hint="Run the same command again.")
        collection = parts.store.open(pair.collection)
        with show("restore", manifest.rows) as advance:
            sampled = _written(collection, folder, manifest, lambda rows: (check(), advance(rows)))
        finish.made_ready(collection)
        with show("compare", manifest.rows) as advance:
            answers = _compared(collection, manifest, sampled, advance)
        check()
        yield blank, answers


def _restored_before(parts: Parts, pair: Pair, manifest: Manifest) -> State | None:
    """In which state the pair is that an earlier restore made, and that still holds what was backed up; None where there is none."""
    found = parts.store.properties(pair.collection)
    if found is None or found.get(RESTORED) != manifest.digest or parts.store.target(pair.collection) is not None:
        return None
    entry = catalogue.read(parts.store, parts.settings).find(pair.collection)
    content, made = entry.stamp.content, manifest.content
    return entry.state if content and (content.rows, content.fingerprint) == (made.rows, made.fingerprint) else None


def _is_begun(parts: Parts, pair: Pair, manifest: Manifest) -> bool:
    """Whether a restore of this backup has begun to make the collection. Raises Refused where the name is anybody else's."""
    name = pair.collection
    if (properties := parts.store.properties(name)) is None:
        return False
    if (behind := parts.store.target(name)) is not None:
        raise Refused(f"{name} is an alias of {behind}; nothing is restored over it.", hint="Restore it --as another name.")
    if properties.get(RESTORED) == manifest.digest and catalogue.read(parts.store, parts.settings).find(name).state is State.BUILDING:
        return True
    raise Refused(f"There is a collection {name} already; nothing is restored over it.", hint="Restore it --as another name.")


def _adapted(manifest: Manifest, pair: Pair, parts: Parts) -> Stamp:
    """What is true of the collection from its first row on: ingredients are kept; nothing that was seen, decided or done with the original is.

    It is as old as it is here, or the next cleanup would take it for a pair that nobody wanted for months.
    """
    stamp = manifest.read_stamp()
    name = {} if pair.collection == manifest.pair else {"id": f"restored-{pair.build}"}
    build = stamp.build.model_copy(update={"created_at": parts.now(), "url": parts.settings.environment.build_url} | name)
    return Stamp(service=stamp.service, model=stamp.model, embedding=stamp.embedding, layout=stamp.layout, source=stamp.source, build=build)


def _written(collection: Collection, folder: Folder, manifest: Manifest, advance: Callable[[int], Any]) -> SampledRows:
    """Everything that the files hold, and the sample of it. However many rows that are, four pages are in memory, as large as they were written, and up
    to four more on their way to the server, each as its request and as its message as well."""
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
    back = ReadBack(manifest.pair, _truth(collection, manifest, sampled))
    for page in collection.vectors():
        back.add(page)
        advance(len(page.keys))
    content, count = manifest.content, collection.count()
    wrong = ""
    if (count, back.rows) != (content.rows, content.rows):
        wrong = f"it holds {count:,} rows, of which {back.rows:,} can be read, not {content.rows:,}"
    elif back.fingerprint != content.fingerprint:
        wrong = f"its content is {back.fingerprint}, not {content.fingerprint}"
    elif unlike := sampled.unlike(back.sampled):
        wrong = f"{len(unlike)} of {len(sampled.keys)} sampled vectors are not what was written, that of key {unlike[0]} first"
    elif back.answers and not back.answers.are_as_good:
        wrong = f"its index finds {back.answers.restored:.3f} of the exact {K} nearest, and found {back.answers.original:.3f} when it was backed up"
    if wrong:
        hint = "It stays unfinished, so nobody can promote it. Restore it --as another name."
        raise Refused(f"{collection.name} is not what was backed up: {wrong}.", hint=hint)
    return back.answers


def _truth(collection: Collection, manifest: Manifest, sampled: SampledRows) -> Truth | None:
    """Of what the sampled rows find here, and of what they found when they were backed up."""
    if not manifest.asked:
        return None
    recorded = {one.key: one.answers for one in manifest.asked}
    answers = [one.answers for one in sampled.ask(collection)], [recorded.get(key, ()) for key in sampled.keys]
    return Truth(sampled.vectors, answers, collection.layout.index.metric, K)
