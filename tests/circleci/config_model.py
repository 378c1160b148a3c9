"""`.circleci/config.yml` → what a pipeline is to run: parameters, executors, commands and conditions are resolved here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.circleci.logic import holds, wanted
from tests.circleci.plan import TERMINAL, JobPlan, Requirement, Step, WorkflowPlan
from tests.circleci.values import ConfigFault, Scope, arguments, as_scope, fill, in_environment

_BUILT_IN = {
    "run",
    "checkout",
    "persist_to_workspace",
    "attach_workspace",
    "store_artifacts",
    "store_test_results",
    "save_cache",
    "restore_cache",
}
_SCHEDULED = {"requires", "context", "name", "type", "filters", "serial-group", "pre-steps", "post-steps"}
_NO_SUCH_TOP_LEVEL = {"orbs", "setup"}
_OF_A_GROUP = {"requires", "serial-group", "filters"}


class Config:
    """One configuration, as it is in the repository.

    Raises ConfigFault, here or in `workflows`, where CircleCI would not run it or this runner does not know what it means.
    """

    def __init__(self, raw: dict[str, Any]) -> None:
        if raw.get("version") not in (2.1, "2.1"):
            raise ConfigFault(f"version is {raw.get('version')!r}, not 2.1")
        if unknown := _NO_SUCH_TOP_LEVEL & raw.keys():
            raise ConfigFault(f"{', '.join(sorted(unknown))}: the runner has none")
        self._raw = raw
        self._pipeline: Scope = {}

    def parameters(self, given: dict[str, Any]) -> dict[str, Any]:
        """The pipeline's parameters, with their defaults."""
        return arguments(self._raw.get("parameters", {}), given)

    def workflows(self, given: dict[str, Any], pipeline: Scope) -> list[WorkflowPlan]:
        """Those that these parameters and pipeline values (`pipeline.id`, …) select."""
        self._pipeline = {**pipeline, **as_scope("pipeline.parameters", self.parameters(given))}
        workflows = {name: fill(node, self._pipeline) for name, node in self._raw.get("workflows", {}).items() if name != "version"}
        return [self._workflow(name, node) for name, node in workflows.items() if wanted(node)]

    def _workflow(self, name: str, node: dict[str, Any]) -> WorkflowPlan:
        entries = [_named(entry) for entry in node["jobs"] if _on_branch(_named(entry)[1], self._pipeline["pipeline.git.branch"])]
        jobs = tuple(job for entry in entries for job in self._jobs(*entry))
        jobs = tuple(replace(job, requires=tuple(_without_groups(job, jobs))) for job in jobs)
        _refuse_tangles(name, jobs)
        return WorkflowPlan(name, jobs, node.get("max_auto_reruns", 0))

    def _jobs(self, called: str, scheduled: dict[str, Any]) -> Iterator[JobPlan]:
        """A job, or those of a job group: what the group requires, each of them waits for."""
        if called not in self._raw.get("job-groups", {}):
            yield self._job(called, scheduled)
            return
        if unknown := scheduled.keys() - _OF_A_GROUP:
            raise ConfigFault(f"job group {called}: the runner knows no {', '.join(sorted(unknown))} there")
        required = tuple(_requirement(entry) for entry in scheduled.get("requires", []))
        for entry in fill(self._raw["job-groups"][called]["jobs"], self._pipeline):
            job = self._job(*_named(entry))
            yield replace(job, group=called, requires=(*required, *job.requires), serial_group=scheduled.get("serial-group", ""))

    def _job(self, called: str, scheduled: dict[str, Any]) -> JobPlan:
        context = scheduled.get("context", [])
        common = {
            "name": scheduled.get("name", called),
            "requires": tuple(_requirement(entry) for entry in scheduled.get("requires", [])),
            "contexts": tuple([context] if isinstance(context, str) else context),
            "serial_group": scheduled.get("serial-group", ""),
        }
        if scheduled.get("type") == "approval":
            return JobPlan(type="approval", **common)
        if called not in self._raw["jobs"]:
            raise ConfigFault(f"Cannot find a definition for job named {called}")
        raw = self._raw["jobs"][called]
        given = {name: value for name, value in scheduled.items() if name not in _SCHEDULED}
        scope = self._scope(raw, given)
        job = fill({name: value for name, value in raw.items() if name != "parameters"}, scope)
        executor = self._executor(job)
        steps = [*scheduled.get("pre-steps", []), *job["steps"], *scheduled.get("post-steps", [])]
        environment = _environment(executor) | _environment(job)
        return JobPlan(
            type="build",
            steps=tuple(step for entry in steps for step in self._steps(entry)),
            environment={name: in_environment(value) for name, value in environment.items()},
            working_directory=job.get("working_directory", executor.get("working_directory", JobPlan.working_directory)),
            shell=job.get("shell", executor.get("shell", JobPlan.shell)),
            parallelism=int(job.get("parallelism", 1)),
            **common,
        )

    def _executor(self, job: dict[str, Any]) -> dict[str, Any]:
        """Of which environment, working directory and shell count here; images do not."""
        if "executor" not in job:
            if not {"docker", "machine"} & job.keys():
                raise ConfigFault("A job has neither executor nor docker nor machine")
            return {}
        called = job["executor"]
        given = {} if isinstance(called, str) else {name: value for name, value in called.items() if name != "name"}
        name = called if isinstance(called, str) else called["name"]
        if name not in self._raw.get("executors", {}):
            raise ConfigFault(f"Cannot find a definition for executor named {name}")
        raw = self._raw["executors"][name]
        return fill({key: value for key, value in raw.items() if key != "parameters"}, self._scope(raw, given))

    def _steps(self, entry: Any) -> Iterator[Step]:
        """The built-in steps that one entry comes to; commands and conditions are gone."""
        kind, settings = _named(entry)
        if kind in ("when", "unless"):
            if holds(settings["condition"]) is (kind == "when"):
                for inner in settings["steps"]:
                    yield from self._steps(inner)
        elif kind in self._raw.get("commands", {}):
            raw = self._raw["commands"][kind]
            for inner in fill(raw["steps"], self._scope(raw, settings)):
                yield from self._steps(inner)
        elif kind in _BUILT_IN:
            yield Step(kind, settings)
        else:
            raise ConfigFault(f"Cannot find a definition for command named {kind}")

    def _scope(self, element: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """What job, command or executor sees: the pipeline, and its own parameters alone."""
        return {**self._pipeline, **as_scope("parameters", arguments(element.get("parameters", {}), given))}


def _named(entry: Any) -> tuple[str, dict[str, Any]]:
    """`- checkout`, `- run: text` or `- name: {…}`."""
    if isinstance(entry, str):
        return entry, {}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise ConfigFault(f"Neither a name nor a mapping with one name: {entry!r}")
    ((name, settings),) = entry.items()
    return name, {"command": settings} if isinstance(settings, str) else settings or {}


def _requirement(entry: Any) -> Requirement:
    if isinstance(entry, str):
        return Requirement(entry, frozenset({"success"}))
    ((job, statuses),) = entry.items()
    named = {statuses} if isinstance(statuses, str) else set(statuses)
    if "terminal" in named:
        named = set(TERMINAL)
    if unknown := named - TERMINAL:
        raise ConfigFault(f"requires {job}: no status {', '.join(sorted(unknown))}")
    return Requirement(job, frozenset(named))


def _without_groups(job: JobPlan, jobs: tuple[JobPlan, ...]) -> Iterator[Requirement]:
    """Whoever requires a group requires each job in it."""
    for needed in job.requires:
        members = [other.name for other in jobs if other.group == needed.job]
        yield from (Requirement(member, needed.statuses) for member in members or [needed.job])


def _refuse_tangles(workflow: str, jobs: tuple[JobPlan, ...]) -> None:
    needed = {job.name: {requirement.job for requirement in job.requires} for job in jobs}
    if len(needed) != len(jobs):
        raise ConfigFault(f"{workflow}: two jobs of one name")
    for name, others in needed.items():
        if unknown := others - needed.keys():
            raise ConfigFault(f"{workflow}: {name} requires {', '.join(sorted(unknown))}, which is no job of this workflow")
    while needed:
        free = {name for name, others in needed.items() if not others & needed.keys()}
        if not free:
            raise ConfigFault(f"{workflow}: {', '.join(sorted(needed))} wait for one another")
        needed = {name: others for name, others in needed.items() if name not in free}


def _environment(node: dict[str, Any]) -> dict[str, Any]:
    images = node.get("docker", [])
    return {**(images[0].get("environment", {}) if images else {}), **node.get("environment", {})}


def _on_branch(settings: dict[str, Any], branch: str) -> bool:
    """Only plain names; a pipeline of a tag is not run here."""
    rules = settings.get("filters", {}).get("branches", {})
    only, ignore = rules.get("only", branch), rules.get("ignore", [])
    return branch in ([only] if isinstance(only, str) else only) and branch not in ([ignore] if isinstance(ignore, str) else ignore)
