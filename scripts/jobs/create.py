"""`create`: find the candidate, fetch and digest it, create its version-stamped collection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import catalogue
from scripts.capacity.admission import Admission
from scripts.encoding import Encoder, fetch
from scripts.errors import Refused
from scripts.jobs import pair_file
from scripts.jobs.capacity_admission import Roomed, admitted
from scripts.layout import Layout
from scripts.pair import Build, ModelIdentity, Pair, Stamp
from scripts.ports import ModelVersion, Parts, VectorStore
from scripts.settings import Settings


@dataclass(frozen=True)
class Created:
    pair: Pair
    stamp: Stamp
    found_again: bool
    admission: Admission | None = None
    """Whether its promotion would fit; None where that was not asked, or is not known."""
    exit_code: int = 0

    def lines(self) -> list[str]:
        model, layout = self.stamp.model, self.stamp.layout
        verb = "Found again" if self.found_again else "Created"
        return [
            f"{verb} {self.pair}: model {model.name} version {model.version} (digest {model.digest[:12]}), dimension {layout.dimension}, "
            f"{layout.index.type} {layout.index.metric}, key {layout.key.name} ({layout.key.type}).",
            *([self.admission.line] if self.admission else []),
        ]

    def facts(self) -> dict[str, Any]:
        model = self.stamp.model
        return {
            "pair": str(self.pair),
            "model": model.model_dump(),
            "embedding_fingerprint": self.stamp.fingerprint,
            "layout": self.stamp.layout.model_dump(mode="json"),
            "found_again": self.found_again,
            "capacity": self.admission.facts() if self.admission else None,
        }

    def write(self, path: Path) -> None:
        """The pair file that later jobs take."""
        pair_file.write(path, self.facts())


def create(parts: Roomed, *, pinned: int | None, build: Build) -> Created:
    """Safe to run again: the same service, version and build id find the same collection, if it was made of the same things.

    Raises UsageError without a candidate or with an unusable source or model, UnfitModel when the model's vectors are not usable,
    Refused when the name is taken by something else, or when its promotion would not fit and the configuration is to refuse that.
    """
    settings, store = parts.settings, parts.store
    name = settings.model.name
    version = parts.registry.version(name, pinned) if pinned else parts.registry.candidate(name, settings.model.candidate)
    _refuse_clashes(store, settings)
    stamp = _stamp(parts, version, build)
    pair = Pair.of(settings.service, version.version, build.id)
    properties = store.properties(pair.collection)
    if properties is None:
        admission = admitted(parts, stamp.layout)
        store.create(pair.collection, stamp.layout, stamp.properties())
        return Created(pair, stamp, found_again=False, admission=admission)
    found = Stamp.read(pair.collection, properties)
    if found is None:
        raise Refused(f"A collection {pair} exists already and is not stamped by the kit.", hint="Use another --build-id.")
    refuse_other_ingredients(pair.collection, found, stamp)
    return Created(pair, found, found_again=True)


def _stamp(parts: Parts, version: ModelVersion, build: Build) -> Stamp:
    settings, source = parts.settings, parts.source
    folder, digest = fetch(parts.registry, version, settings.model_cache)
    encoder = Encoder(parts.registry.load(folder), settings.embedding)
    return Stamp(
        service=settings.service,
        model=ModelIdentity(name=version.name, version=version.version, digest=digest),
        embedding=settings.embedding,
        layout=Layout(
            key=source.key, columns=source.columns, dimension=encoder.dimension, index=settings.index, consistency=settings.consistency
        ),
        source=settings.source.identity,
        build=build,
    )


def _refuse_clashes(store: VectorStore, settings: Settings) -> None:
    """The alias must be free for this service, or the promotion would fail after hours of embedding."""
    catalogue.read(store, settings)
    if settings.alias in store.collections():
        raise Refused(f"The alias {settings.alias} cannot be: a collection has that name.", hint="Rename the collection or the service.")


def refuse_other_ingredients(collection: str, found: Stamp, expected: Stamp) -> None:
    """Raises Refused when a collection was made of something else than what is asked for now; names what differs."""
    differing = [
        what
        for what, there, here in (
            ("service", found.service, expected.service),
            ("model", found.model, expected.model),
            ("text template, prompts or normalisation", found.embedding, expected.embedding),
            ("fields, dimension or index", found.layout, expected.layout),
            ("source", found.source, expected.source),
        )
        if there != here
    ]
    if differing:
        raise Refused(f"{collection} was made with another {', another '.join(differing)}.", hint="Start a new build (another --build-id).")
