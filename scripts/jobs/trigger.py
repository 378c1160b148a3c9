"""`trigger`: have a model version built by a pipeline, unless one has been already."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scripts import catalogue, releases
from scripts.environment import Environment
from scripts.errors import UsageError
from scripts.jobs.acts import holder
from scripts.ledger import Act
from scripts.pipelines import Parameters, Pipeline
from scripts.ports import ModelVersion, Parts
from scripts.settings import Settings
from scripts.switch import fit_reason

# As the pipeline checks it (.circleci/config.yml, use-service).
_SELECTOR = re.compile(r"[A-Za-z0-9_-]*")


class Outcome(StrEnum):
    STARTED = "started"
    FOUND = "found"
    NOT_CANDIDATE = "not_candidate"


@dataclass(frozen=True)
class Triggered:
    """`pipeline` is the one that has the version, where that is known. `pair` is what it has come to so far."""

    outcome: Outcome
    service: str
    model: ModelVersion
    pipeline: Pipeline | None = None
    pair: str = ""
    why: str = ""
    exit_code: int = 0

    def lines(self) -> list[str]:
        version = f"model {self.model.name} version {self.model.version}"
        match self.outcome:
            case Outcome.STARTED:
                return [f"{self.service}: started pipeline {_page(self.pipeline)} for {version}."]
            case Outcome.FOUND if self.pair:
                return [f"{self.service}: {version} has a pair already: {self.pair}. `trigger --again` builds another."]
            case Outcome.FOUND:
                return [f"{self.service}: {version} has a pipeline already, and no pair now: {_page(self.pipeline)}. If it failed, rerun it; or `trigger --again`."]
            case _:
                return [f"{self.service}: {version} is not the candidate: {self.why}."]

    def facts(self) -> dict[str, Any]:
        pipeline = self.pipeline
        return {
            "outcome": self.outcome.value,
            "service": self.service,
            "model": self.model.name,
            "model_version": self.model.version,
            "pipeline": {"id": pipeline.id, "number": pipeline.number, "url": pipeline.url} if pipeline else None,
            "pair": self.pair,
            "why": self.why,
        }


def _page(pipeline: Pipeline | None) -> str:
    return (pipeline.url or pipeline.id) if pipeline else "an unknown one"


def announced(parts: Parts, version: int, *, why: str) -> Triggered:
    """What an event leads to. Safe to repeat, from any number of processes at once: one pipeline is started for a version, and only while that is the
    candidate. Raises as `trigger`."""
    model, selector = ModelVersion(parts.settings.model.name, version), parts.settings.model.candidate
    now = parts.registry.at(model.name, selector)
    if now != version:
        at = f"version {now} is at {selector}" if now else f"no version is at {selector}"
        return Triggered(Outcome.NOT_CANDIDATE, parts.settings.service, model, why=at)
    return trigger(parts, version, why=why)


def trigger(parts: Parts, version: int | None = None, *, why: str, again: bool = False) -> Triggered:
    """Safe to repeat, from any number of processes at once: a version that has a pipeline, or a pair, gets no other one but `again`. Without a version
    it is the candidate.

    Raises UsageError where there is no such version, Unreachable where MLflow, Milvus or the CI system is, Refused where the CI system says no or
    other processes do not let go of the service's requests in time.
    """
    settings, registry = parts.settings, parts.registry
    refuse_embedded(settings.environment)
    _refuse_unselectable(settings)
    why = fit_reason(why)
    name = settings.model.name
    model = registry.version(name, version) if version else registry.candidate(name, settings.model.candidate)
    if not again and (found := _found(parts, model, releases.read(parts.store, settings.alias))):
        return found
    mine = holder(parts, f"release of {model.name} version {model.version}")
    with releases.turn(parts.store, settings.alias, mine) as held:
        acts = held.acts()
        if not again and (found := _found(parts, model, acts)):
            return found
        act = _open(acts, model) or releases.asked(settings.alias, model, mine, why)
        held.record(act)
        pipeline = parts.pipelines.start(_parameters(settings.selector, act))
        held.record(releases.started(act, pipeline))
    return Triggered(Outcome.STARTED, settings.service, model, pipeline)


def keep(parts: Parts, request: str | None, pinned: int | None) -> None:
    """For the pipeline that this is a part of, before it begins: the version is its own, so that nobody starts another one for it. Safe to run again.
    Raises Refused where another pipeline has the same request."""
    settings = parts.settings
    if not settings.environment.build_id or (settings.pipeline is None and request is None):
        return
    name = settings.model.name
    model = parts.registry.version(name, pinned) if pinned else parts.registry.candidate(name, settings.model.candidate)
    kept = releases.Kept(request, settings.environment.build_id)
    releases.keep(parts.store, settings.alias, model, holder(parts, f"release of {name} version {model.version}"), kept)


def refuse_embedded(environment: Environment) -> None:
    """Raises UsageError where what all who ask have in common would be a file of this machine."""
    if environment.embedded:
        names = " and ".join(environment.embedded)
        raise UsageError(f"{names} is not set: who starts pipelines needs the servers that the pipelines use.", hint="Set it, as in the pipeline's contexts.")


def _refuse_unselectable(settings: Settings) -> None:
    if not _SELECTOR.fullmatch(settings.selector):
        raise UsageError(f"The folder services/{settings.selector} cannot be named to a pipeline.", hint="Rename it: letters, digits, _ and - only.")


def _found(parts: Parts, model: ModelVersion, acts: tuple[Act, ...]) -> Triggered | None:
    act = releases.of_version(acts, model)
    pipeline = releases.pipeline_of(act) if act else None
    pairs = [each for each in catalogue.read(parts.store, parts.settings).entries if (each.stamp.model.name, each.stamp.model.version) == (model.name, model.version)]
    if not pairs and pipeline is None:
        return None
    pair = f"{pairs[-1].pair}, {pairs[-1].state}" if pairs else ""
    return Triggered(Outcome.FOUND, parts.settings.service, model, pipeline, pair)


def _open(acts: tuple[Act, ...], model: ModelVersion) -> Act | None:
    """A request of which nobody knows what came: it is asked again, not another one."""
    act = releases.of_version(acts, model)
    return act if act and releases.pipeline_of(act) is None else None


def _parameters(selector: str, act: Act) -> Parameters:
    """As `.circleci/config.yml` declares them."""
    return {"action": "release", "service": selector, "model_version": act.details["model_version"], "request": act.id}
