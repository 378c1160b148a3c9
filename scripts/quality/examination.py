"""`examine`: a candidate's collection, looked at row by row, beside its source, its model and production.

Faults of the index are told apart from those of the model: whether it holds what it should, whether it finds what it holds, and whether its
vectors are this model's of these texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import numpy as np

from scripts import digests, reading
from scripts.catalogue import Entry
from scripts.encoding import Encoder
from scripts.errors import Inconclusive, KitError, Refused
from scripts.flow import Ahead
from scripts.inventory import KeySet
from scripts.pair import Embedding, Stamp
from scripts.ports import Collection, Page, Parts, Readiness, Source
from scripts.quality import reencoding
from scripts.quality.asking import Side
from scripts.quality.exact import ExactSearch
from scripts.quality.facts import Coverage, IndexFacts, Prompts, Recall, Reencoded, SourceFacts
from scripts.quality.origin import Origin
from scripts.quality.sampling import ROWS, Sample
from scripts.quality.stored import StoredRows
from scripts.settings import SourceSettings

T = TypeVar("T")

SAMPLED_VECTORS = 512
"""Stored rows whose vectors are kept: more than the source's sample, so that it is found among them."""
ASKED_QUERIES, K = 100, 10
PAGES_AHEAD, PIECES_AHEAD = 2, 4
EXAMPLES = 5


@dataclass(frozen=True)
class Looking:
    """What an examination works with, besides the collection itself."""

    encoder: Encoder
    """The pair's own model with its own prompts, as `stamped_encoder` gives it."""
    queries: Sequence[str]
    """Ids, for the index' recall; a hundred of them are taken, evenly."""
    query_vectors: np.ndarray
    """Of these queries by the pair's own model, float32 [len(queries), dimension]."""
    source: SourceSettings
    """As configured."""
    open_source: Callable[[SourceSettings], Source]
    configured: Embedding
    """The configuration's embedding, for its prompts."""
    production: Collection | None = None
    sampled_rows: int = ROWS

    @classmethod
    def of(cls, parts: Parts, side: Side, production: Collection | None, sampled_rows: int) -> Looking:
        """What a validation has at hand."""
        settings = parts.settings
        return cls(side.encoder, side.queries, side.vectors, settings.source, parts.open_source, settings.embedding, production, sampled_rows)


def examine(entry: Entry, collection: Collection, looking: Looking) -> IndexFacts:
    """Reads the collection once and its source once, side by side; both again only where they differ. Changes nothing.

    What cannot be looked at is None, with the reason in `unread`. Raises what the candidate's own collection raises, and Refused where that is
    not loaded: without it there is nothing to say.
    """
    if not collection.is_loaded():
        raise Refused(f"{entry.pair} is not loaded.", hint=f"Run `finish --pair {entry.pair}`.")
    return _Examination(entry, collection, looking).facts()


class _Examination:
    def __init__(self, entry: Entry, collection: Collection, looking: Looking) -> None:
        self._stamp = entry.stamp
        self._collection = collection
        self._looking = looking
        self._unread: dict[str, str] = {}
        # One seed for both samples: what is in the source's is in the other, which is larger, where both hold the same rows.
        seed = str(entry.pair)
        self._origin = Origin(looking.open_source, reading.as_of(looking.source, entry.stamp), entry.stamp, Sample(looking.sampled_rows, seed))
        self._sample = Sample(max(SAMPLED_VECTORS, 2 * looking.sampled_rows), seed)

    def facts(self) -> IndexFacts:
        with ExitStack() as stack:
            # All begin at once: a strong read alone waits for 200 to 400 ms (2.3.5).
            pages = stack.enter_context(Ahead(self._collection.vectors(), PAGES_AHEAD))
            pieces = stack.enter_context(Ahead(self._origin.read(), PIECES_AHEAD))
            production = stack.enter_context(Ahead(_pages(self._looking.production, self._stamp), PAGES_AHEAD))
            exact = self._try("recall", self._ask)
            readiness = self._collection.readiness()
            stored = StoredRows(exact, self._sample)
            for page, _ in zip_longest(pages, pieces):
                if page is not None:
                    stored.add(page)
            coverage = self._try("coverage", lambda: _coverage(production, stored.keys))
        return self._told(
            stored,
            readiness,
            recall=self._try("recall", lambda: _recall(exact, stored)) if exact else None,
            reencoded=self._try("reencoded", lambda: self._reencoded(stored)),
            source=self._try("source", lambda: self._source(stored)),
            coverage=coverage,
        )

    def _try(self, part: str, look: Callable[[], T]) -> T | None:
        try:
            return look()
        except KitError as error:
            self._unread[part] = str(error)
            return None

    def _ask(self) -> ExactSearch:
        """The index' own answers to some distinct queries; what they should be is yet to be seen."""
        looking, metric = self._looking, self._stamp.layout.index.metric
        distinct = list({vector.tobytes(): at for at, vector in enumerate(looking.query_vectors)}.values())
        if not distinct:
            raise Inconclusive("there is no query to ask")
        asked = [distinct[at] for at in np.linspace(0, len(distinct) - 1, min(ASKED_QUERIES, len(distinct))).astype(int).tolist()]
        vectors = looking.query_vectors[asked]
        answers = [[hit.key for hit in hits] for hits in self._collection.search(vectors, K)]
        return ExactSearch([looking.queries[at] for at in asked], vectors, answers, metric, K)

    def _reencoded(self, stored: StoredRows) -> Reencoded:
        if self._origin.trouble:
            raise Inconclusive(self._origin.trouble)
        rows = self._origin.sampled()
        if rows is None:
            raise Inconclusive("the source has no usable row")
        if stored.dimension != self._looking.encoder.dimension:
            raise Inconclusive(f"the stored vectors are of dimension {stored.dimension}, the model's of {self._looking.encoder.dimension}")
        held = {key: (text_hash, vector) for key, text_hash, vector in stored.sample.items()}
        return reencoding.compare(rows, held, self._collection, self._looking.encoder)

    def _source(self, stored: StoredRows) -> SourceFacts:
        if self._origin.trouble:
            raise Inconclusive(self._origin.trouble)
        return self._origin.compared(stored, self._collection)

    def _told(
        self,
        stored: StoredRows,
        readiness: Readiness,
        *,
        recall: Recall | None,
        reencoded: Reencoded | None,
        source: SourceFacts | None,
        coverage: Coverage | None,
    ) -> IndexFacts:
        stamp, content = self._stamp, self._stamp.content
        return IndexFacts(
            rows=readiness.rows,
            stamped_rows=content.rows if content else 0,
            distinct_keys=len(stored.keys),
            content_as_stamped=content is not None and content.fingerprint == stored.fingerprint,
            dimension=stamp.layout.dimension if stored.dimension is None else stored.dimension,
            stamped_dimension=stamp.layout.dimension,
            not_finite=stored.not_finite,
            zero=stored.zero,
            unlike_one=stored.unlike_one / max(stored.rows, 1),
            shortest=stored.shortest if stored.longest else 0.0,
            longest=stored.longest,
            parallel=stored.parallel(),
            metric=readiness.metric,
            stamped_metric=stamp.layout.index.metric.value,
            loaded=readiness.loaded,
            unindexed=readiness.unindexed_rows,
            recall=recall,
            reencoded=reencoded,
            source=source,
            coverage=coverage,
            prompts=_prompts(stamp.embedding, self._looking),
            unread=self._unread,
        )


def _recall(exact: ExactSearch, stored: StoredRows) -> Recall:
    if not exact.rows:
        raise Inconclusive(f"none of {stored.rows:,} stored vectors can be searched")
    return exact.recall()


def _pages(production: Collection | None, stamp: Stamp) -> Iterator[Page]:
    if production is None:
        raise Inconclusive("there is no collection of production's to compare with")
    if production.layout.key.type is not stamp.layout.key.type:
        raise Inconclusive(f"the keys of production {production.name} are {production.layout.key.type}, the candidate's {stamp.layout.key.type}")
    if not production.is_loaded():  # to read it would load it
        raise Inconclusive(f"production {production.name} is not loaded")
    yield from production.contents()


def _coverage(production: Iterable[Page], keys: KeySet) -> Coverage:
    rows = missing = 0
    examples: list[str] = []
    for page in production:
        absent = np.flatnonzero(~keys.contains(digests.of_keys(page.keys)))
        rows, missing = rows + len(page.keys), missing + len(absent)
        examples += [str(page.keys[at]) for at in absent[: EXAMPLES - len(examples)].tolist()]
    return Coverage(production_rows=rows, missing=missing, examples=tuple(examples))


def _prompts(stamped: Embedding, looking: Looking) -> Prompts:
    query, document = looking.encoder.declared_prompts
    return Prompts(
        query=stamped.query_prompt,
        document=stamped.document_prompt,
        configured_query=looking.configured.query_prompt,
        configured_document=looking.configured.document_prompt,
        declared_query=query,
        declared_document=document,
    )
