"""A pair, asked the suite's questions: with its own model, its own prompts and its physical collection, which can never be mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scripts.catalogue import Entry
from scripts.encoding import Encoder, stamped_encoder
from scripts.golden import Suite
from scripts.layout import FieldType
from scripts.ports import Collection, Hit, Parts
from scripts.quality.measures import Measured, Run, measure

SHOWN = 10
# Hits are many: 10,000 queries by R@1000 would be gigabytes.
MEASURED_AT_ONCE = 500
_TITLES = ("title", "name")


@dataclass(frozen=True)
class Side:
    """One pair of the comparison, asked. `vectors`, float32 [queries, dimension], follow `queries`, the ids of the judged queries."""

    entry: Entry
    collection: Collection
    encoder: Encoder
    queries: tuple[str, ...]
    vectors: np.ndarray
    measured: Measured

    def shown(self, queries: Sequence[str], title: str) -> dict[str, list[tuple[str, str]]]:
        """For each of these queries its first ten results, key and title. Asked again, because titles of everything would cost more."""
        at = {query: position for position, query in enumerate(self.queries)}
        column = title_column(self.entry, title)
        fields = [column] if column else []
        answers = self.collection.search(self.vectors[[at[query] for query in queries]], SHOWN, fields=fields) if queries else []
        return {
            query: [(str(hit.key), str(hit.fields.get(column) or "") if column else "") for hit in hits]
            for query, hits in zip(queries, answers, strict=True)
        }


@dataclass(frozen=True)
class Questions:
    """The suite's judged queries, encoded by a pair's own model. `vectors`, float32 [queries, dimension], follow `queries`, their ids."""

    encoder: Encoder
    queries: tuple[str, ...]
    vectors: np.ndarray

    def asked_of(self, collection: Collection, suite: Suite) -> Measured:
        """Raises what the collection raises."""
        measured = Measured()
        for start in range(0, len(self.queries), MEASURED_AT_ONCE):
            some = slice(start, start + MEASURED_AT_ONCE)
            answers = collection.search(self.vectors[some], suite.depth)
            measured = measured.joined(measure(suite, _run(self.queries[some], answers), self.queries[some]))
        return measured


def questions(entry: Entry, suite: Suite, parts: Parts) -> Questions:
    """Raises what the registry and the model raise."""
    encoder = stamped_encoder(parts.registry, entry.stamp, parts.settings.model_cache)
    queries = tuple(suite.judged)
    if not queries:
        return Questions(encoder, (), np.empty((0, entry.stamp.layout.dimension), dtype=np.float32))
    return Questions(encoder, queries, encoder.queries([suite.queries[query].text for query in queries]))


def ask(entry: Entry, suite: Suite, parts: Parts) -> Side:
    """Raises what the registry, the model and the collection raise."""
    asked = questions(entry, suite, parts)
    collection = parts.store.open(entry.pair.collection)
    return Side(entry, collection, asked.encoder, asked.queries, asked.vectors, asked.asked_of(collection, suite))


def _run(queries: Sequence[str], answers: list[list[Hit]]) -> Run:
    return {query: {str(hit.key): -float(rank) for rank, hit in enumerate(hits)} for query, hits in zip(queries, answers, strict=True)}


def title_column(entry: Entry, title: str) -> str:
    """The stored column that names a document: the suite's, else one that is called so, else the first string; empty where there is none."""
    strings = [column.name for column in entry.stamp.layout.columns if column.type is FieldType.STRING]
    if title in strings:
        return title
    called = [name for word in _TITLES for name in strings if word in name.lower()]
    return next(iter([*called, *strings]), "")
