"""Releases: which model versions were handed to a pipeline. One pipeline for each, whoever asks, from however many machines, however often.

They are written down in a ledger of the service's own, `{alias}_requests_ledger_{n}`, and asked for under its lock: receivers that hear of a version
at the same moment take turns, and only the first finds nothing there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from scripts import ledger, lock
from scripts.errors import Refused
from scripts.ledger import Act, ActKind, Holder
from scripts.lock import Lock
from scripts.pipelines import Pipeline
from scripts.ports import ModelVersion, VectorStore

ASKED, STARTED = "asked", "started"
"""Whoever asks writes that down first. Where that is all that is written, nobody knows whether a pipeline was started: asking again, for the same
request, is safe, because of two pipelines with one request the first keeps it (see `keep`)."""


def ledger_of(alias: str) -> str:
    """What the ledger of requests is named after."""
    return f"{alias}_requests"


@contextmanager
def turn(store: VectorStore, alias: str, holder: Holder, *, patience: float = 15) -> Iterator[Lock]:
    """One at a time. Raises Refused after `patience` seconds in which others had it."""
    deadline = time.monotonic() + patience
    with ExitStack() as held:
        while True:
            try:
                mine = held.enter_context(lock.held(store, ledger_of(alias), holder))
                break
            except Refused as taken:
                if time.monotonic() > deadline:
                    raise Refused(f"Another process is starting a pipeline of {alias}: {taken.what}", hint="Try again in a moment.") from None
        yield mine


def of_version(acts: tuple[Act, ...], model: ModelVersion) -> Act | None:
    """The newest release of this version."""
    wanted = (model.name, str(model.version))
    return next((act for act in reversed(acts) if (act.details.get("model"), act.details.get("model_version")) == wanted), None)


def read(store: VectorStore, alias: str) -> tuple[Act, ...]:
    """The oldest first."""
    found = ledger.read(store, ledger_of(alias))
    return found.acts if found else ()


def pipeline_of(act: Act) -> Pipeline | None:
    """The one that has it; None where that is not known."""
    number = act.details.get("number", "")
    return Pipeline(act.details["pipeline"], int(number) if number.isdecimal() else 0, act.url) if act.details.get("pipeline") else None


def asked(alias: str, model: ModelVersion, holder: Holder, why: str) -> Act:
    return Act(
        kind=ActKind.RELEASE,
        id=Act.new_id(ActKind.RELEASE, holder.since, _subject(alias, model)),
        at=holder.since,
        by=holder.by,
        alias=alias,
        why=why,
        outcome=ASKED,
        details={"model": model.name, "model_version": str(model.version)},
    )


def _subject(alias: str, model: ModelVersion) -> str:
    """What a request's id ends with, so that nobody takes one of another service or version for its own."""
    return f"{alias}_v{model.version}"


def started(act: Act, pipeline: Pipeline) -> Act:
    """Safe to repeat."""
    details = act.details | {"pipeline": pipeline.id, "number": str(pipeline.number or "")}
    return act.model_copy(update={"outcome": STARTED, "url": pipeline.url, "details": details})


@dataclass(frozen=True)
class Kept:
    """What a pipeline answers: a `request`, or none where a person started it by hand."""

    request: str | None
    pipeline: str


def keep(store: VectorStore, alias: str, model: ModelVersion, holder: Holder, kept: Kept) -> None:
    """For a pipeline that begins. Safe to run again. Raises Refused where another pipeline has its request, which happens when whoever asked was killed,
    or cut off, before it knew that a pipeline had been started; and where the request is of another service or version."""
    if kept.request and not kept.request.endswith(f"_{_subject(alias, model)}"):
        raise Refused(f"The request {kept.request} is not for {alias}, model version {model.version}.", hint="Is this the service's promotion.yaml?")
    if _is_kept(read(store, alias), kept):
        return
    with turn(store, alias, holder, patience=60) as mine:
        acts = mine.acts()
        if not _is_kept(acts, kept):
            act = next((act for act in acts if act.id == kept.request), None) or asked(alias, model, holder, "begun by its pipeline")
            act = act.model_copy(update={"id": kept.request or act.id})
            mine.record(started(act, Pipeline(kept.pipeline, 0, holder.url)))


def _is_kept(acts: tuple[Act, ...], kept: Kept) -> bool:
    """Whether it is written down that this pipeline has it. Raises Refused where another has."""
    for act in acts:
        known = pipeline_of(act)
        if known and known.id == kept.pipeline:
            return True
        if known and act.id == kept.request:
            version = f"{act.details.get('model')} version {act.details.get('model_version')}"
            raise Refused(f"Model {version} is being released by another pipeline already: {known.url or known.id}.", hint="Nothing is left to do in this one.")
    return False
