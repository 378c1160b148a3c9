"""What CircleCI's schema lets pass in a configuration and CircleCI, or a stranger, would not. Each check returns its findings, one line each.

Nothing is run and nobody is asked. What is known of CircleCI is from its configuration reference (August 2026).
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import Any

from tests.circleci.outline import Config, Found, all_steps, declarations, entries_of, plans, required_by, steps_of
from tests.circleci.references import references

STATUSES = {"success", "failed", "canceled", "unauthorized", "not_run", "terminal"}
BUILT_IN_STEPS = {
    *("run", "checkout", "setup_remote_docker", "save_cache", "restore_cache", "store_artifacts", "store_test_results"),
    *("persist_to_workspace", "attach_workspace", "add_ssh_keys", "when", "unless"),
}
WORKFLOW_KEYS = {"jobs", "when", "unless", "max_auto_reruns", "triggers"}
OF_ANY_ENTRY = {"name", "requires", "filters"}
OF_APPROVALS = OF_ANY_ENTRY | {"type"}
OF_GROUPS = OF_ANY_ENTRY | {"serial-group"}
OF_JOBS = OF_ANY_ENTRY | {"context", "serial-group", "matrix", "pre-steps", "post-steps", "type"}
RUN_KEYS = {"name", "command", "shell", "environment", "background", "working_directory", "no_output_timeout", "when", "max_auto_reruns", "auto_rerun_delay"}
ONE_AT_A_TIME = {"promote", "rollback", "cleanup"}
PINNED = re.compile(r"[^:\s<]+:v?\d+\.\d+\.\d+[\w.-]*|[^@\s<]+@sha256:[0-9a-f]{64}")


def findings(config: Config) -> list[str]:
    """Everything that is wrong with a configuration by itself."""
    checks = (parameters, workflows, requirements, cycles, executors, steps, references, conditions, images, serial_groups, caches, workspaces)
    return [found for check in checks for found in check(config)]


def parameters(config: Config) -> Found:
    """Defaults that their own declaration does not allow."""
    types = {"string": str, "boolean": bool, "integer": int, "enum": str}
    for where, declared in declarations(config):
        for name, each in declared.items():
            default = each.get("default")
            if each["type"] == "enum" and "default" in each and default not in each.get("enum", []):
                yield f"{where}: parameter {name} is {default!r} by default, which is not in its list"
            elif default is not None and not isinstance(default, types.get(each["type"], object)):
                yield f"{where}: parameter {name} is {default!r} by default, which is no {each['type']}"
            if where == "pipeline" and "default" not in each:
                yield f"{where}: parameter {name} has no default, and a push gives none"


def workflows(config: Config) -> Found:
    """Jobs that do not exist, keys that nobody reads, and parameters that a job does not have."""
    for workflow, body in config["workflows"].items():
        if workflow != "version":
            yield from (f"{workflow}: unknown key {key}" for key in sorted(body.keys() - WORKFLOW_KEYS))
            if not body.keys() & {"when", "unless"}:
                yield f"{workflow}: has no `when`, so it runs in every pipeline"
    for group in config.get("job-groups", {}).keys() & config["jobs"].keys():
        yield f"{group}: is a job and a group of jobs"
    for where, entries in plans(config):
        names = [name for name, _, _ in entries]
        yield from (f"{where}: two jobs are called {name}" for name in sorted(set(names)) if names.count(name) > 1)
        for name, called, entry in entries:
            yield from (f"{where}: {name}: {what}" for what in _entry(config, called, entry, in_group=where in config.get("job-groups", {})))


def _entry(config: Config, called: str, entry: Config, *, in_group: bool) -> Found:
    if entry.get("type") == "approval":
        yield from (f"unknown key {key}" for key in sorted(entry.keys() - OF_APPROVALS))
        if called in config["jobs"]:
            yield "an approval has the name of a job"
    elif called in config.get("job-groups", {}):
        yield from (f"unknown key {key}" for key in sorted(entry.keys() - OF_GROUPS))
        if in_group:
            yield "groups of jobs cannot be nested"
    elif called in config["jobs"]:
        yield from _given(config["jobs"][called], {key: value for key, value in entry.items() if key not in OF_JOBS})
    else:
        yield "there is no such job"


def _given(element: Config, given: Config) -> Found:
    """What is given to a job, a command or an executor, against what it declares."""
    declared = element.get("parameters", {})
    yield from (f"unknown key {key}" for key in sorted(given.keys() - declared.keys()))
    yield from (f"parameter {name} is not given" for name, each in declared.items() if "default" not in each and name not in given)


def requirements(config: Config) -> Found:
    """Names and statuses in `requires`."""
    for where, entries in plans(config):
        names = {name for name, _, _ in entries}
        for name, _, entry in entries:
            for required, statuses in required_by(entry):
                if required not in names:
                    yield f"{where}: {name} requires {required}, which is not there"
                yield from (f"{where}: {name} requires the status {each}, which does not exist" for each in sorted(statuses - STATUSES))


def cycles(config: Config) -> Found:
    """Jobs that wait for themselves."""
    for where, entries in plans(config):
        try:
            TopologicalSorter({name: {required for required, _ in required_by(entry)} for name, _, entry in entries}).prepare()
        except CycleError as error:
            yield f"{where}: a cycle: {' → '.join(error.args[1])}"


def executors(config: Config) -> Found:
    """Executors that do not exist, and their parameters."""
    for job, body in config["jobs"].items():
        if (wanted := body.get("executor")) is None:
            if not body.keys() & {"docker", "machine", "macos"}:
                yield f"{job}: has no executor"
            continue
        named = {"name": wanted} if isinstance(wanted, str) else wanted
        if named["name"] not in config.get("executors", {}):
            yield f"{job}: there is no executor {named['name']}"
        else:
            given = {key: value for key, value in named.items() if key != "name"}
            yield from (f"{job}: executor {named['name']}: {what}" for what in _given(config["executors"][named["name"]], given))


def steps(config: Config) -> Found:
    """Steps that are neither CircleCI's nor a command of the file."""
    for where, kind, given in all_steps(config):
        if kind in config.get("commands", {}):
            yield from (f"{where}: {kind}: {what}" for what in _given(config["commands"][kind], given if isinstance(given, dict) else {}))
        elif kind not in BUILT_IN_STEPS:
            yield f"{where}: there is no command {kind}"
        elif kind == "run" and isinstance(given, dict):
            yield from (f"{where}: run: unknown key {key}" for key in sorted(given.keys() - RUN_KEYS))
            if "auto_rerun_delay" in given and "max_auto_reruns" not in given:
                yield f"{where}: run: a delay between reruns, of which there are none"


def conditions(config: Config) -> Found:
    """Malformed `when`, comparisons that can never hold, and values of `action` that select nothing."""
    selected: set[Any] = set()
    for workflow, body in config["workflows"].items():
        for key in body.keys() & {"when", "unless"} if workflow != "version" else ():
            yield from (f"{workflow}: {key}: {what}" for what in _condition(config, body[key], selected))
    action = config.get("parameters", {}).get("action", {})
    yield from (f"action {value} selects no workflow" for value in action.get("enum", []) if value not in selected)


def _condition(config: Config, node: Any, selected: set[Any]) -> Found:
    if isinstance(node, dict):
        if len(node) != 1 or (operator := next(iter(node))) not in ("and", "or", "not", "equal", "matches"):
            yield f"{', '.join(map(str, node)) or 'nothing'} is no operator"
        elif operator in ("and", "or"):
            if not isinstance(node[operator], list) or not node[operator]:
                yield f"{operator} takes a list"
            else:
                for each in node[operator]:
                    yield from _condition(config, each, selected)
        elif operator == "not":
            yield from _condition(config, node["not"], selected)
        elif operator == "equal":
            yield from _comparison(config, node["equal"], selected)
        elif set(node["matches"]) != {"pattern", "value"}:
            yield "matches takes pattern and value"
    elif not isinstance(node, bool) and not re.search(r"\bpipeline\.", str(node)):
        yield f"{node!r} is always so"


def _comparison(config: Config, values: Any, selected: set[Any]) -> Found:
    if not isinstance(values, list) or len(values) < 2:
        yield "equal takes a list of two values or more"
        return
    for parameter in re.findall(r"<<\s*pipeline\.parameters\.(\w+)\s*>>", " ".join(map(str, values))):
        declared = config.get("parameters", {}).get(parameter, {})
        literals = [value for value in values if "<<" not in str(value)]
        if declared.get("type") == "enum":
            yield from (f"{parameter} is never {value!r}" for value in literals if value not in declared["enum"])
        if parameter == "action":
            selected.update(literals)


def images(config: Config) -> Found:
    """Images whose content may change from one day to the next."""
    for kind in ("jobs", "executors"):
        for name, body in config.get(kind, {}).items():
            yield from (f"{name}: image {each['image']} is not pinned" for each in body.get("docker", []) if not PINNED.fullmatch(each["image"]))


def serial_groups(config: Config) -> Found:
    """Acts on production that may overlap, and a name that one workflow uses twice, which CircleCI says does not work."""
    names: set[str] = set()
    groups = config.get("job-groups", {})
    for workflow, entries in plans(config):
        if workflow in groups:
            continue
        used = [entry["serial-group"] for _, _, entry in entries if "serial-group" in entry]
        yield from (f"{workflow}: the serial group {each} is used twice" for each in sorted(set(used)) if used.count(each) > 1)
        for name, called, entry in entries:
            members = {job for job, _, _ in entries_of(groups[called]["jobs"])} if called in groups else {called}
            if acts := members & ONE_AT_A_TIME:
                names.add(entry.get("serial-group", ""))
                if not entry.get("serial-group"):
                    yield f"{workflow}: {name}: {', '.join(sorted(acts))} without a serial group"
    yield from (f"serial group {name}: a character that it may not have" for name in names if re.search(r"[^\w./-]", re.sub(r"<<.*?>>", "", name)))
    if len(names) > 1:
        yield f"acts on production are in different serial groups: {', '.join(sorted(names))}"


def caches(config: Config) -> Found:
    """What is saved under a name that nobody looks for, or without the image's version in it: .venv points into the image."""
    versions = {each["image"].partition(":")[2] for body in config.get("executors", {}).values() for each in body.get("docker", [])}
    for name, body in {**config.get("commands", {}), **config["jobs"]}.items():
        settings = [(kind, given) for _, kind, given in steps_of(name, body.get("steps", []))]
        sought = {key for kind, given in settings if kind == "restore_cache" for key in given.get("keys", [given.get("key")])}
        for kind, given in settings:
            if kind == "save_cache":
                if given["key"] not in sought:
                    yield f"{name}: nobody looks for the cache {given['key']}"
                if not any(version in given["key"] for version in versions):
                    yield f"{name}: the cache {given['key']} does not name the image's version"


def workspaces(config: Config) -> Found:
    """Jobs that attach a workspace into which nobody has put anything yet."""
    kinds = {job: {kind for _, kind, _ in steps_of(job, body.get("steps", []))} for job, body in config["jobs"].items()}
    for where, entries in plans(config):
        called = {name: job for name, job, _ in entries}
        needs = {name: {required for required, _ in required_by(entry)} for name, _, entry in entries}
        for name, job in called.items():
            before, look = set(), list(needs[name])
            while look:
                each = look.pop()
                if each not in before:
                    before.add(each)
                    look.extend(needs.get(each, ()))
            if "attach_workspace" in kinds.get(job, ()) and not any("persist_to_workspace" in kinds.get(called.get(each, ""), ()) for each in before):
                yield f"{where}: {name} attaches a workspace that is empty"


def contexts(config: Config) -> dict[str, set[str]]:
    """By job, every context that it gets in any workflow."""
    found: dict[str, set[str]] = {}
    for _, entries in plans(config):
        for _, called, entry in entries:
            if called in config["jobs"]:
                given = entry.get("context", [])
                found.setdefault(called, set()).update([given] if isinstance(given, str) else given)
    return found


def documented_contexts(page: str) -> dict[str, set[str]]:
    """By job, from a page's table whose rows are `| `context` | `job`, `job` | …`."""
    found: dict[str, set[str]] = {}
    for context, jobs in re.findall(r"^\| `(promotion-[\w-]+)` \| ([^|]*)\|", page, re.MULTILINE):
        for job in re.findall(r"`([\w-]+)`", jobs):
            found.setdefault(job, set()).add(context)
    return found


def wrongly_documented(config: Config, page: str) -> Found:
    """Contexts that the table gives to other jobs than the configuration does."""
    given, told = {job: names for job, names in contexts(config).items() if names}, documented_contexts(page)
    for job in sorted(given.keys() | told.keys()):
        if given.get(job) != told.get(job):
            yield f"{job}: gets {', '.join(sorted(given.get(job, ()))) or 'no context'}, and the table says {', '.join(sorted(told.get(job, ()))) or 'none'}"
