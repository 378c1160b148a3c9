"""What the `run` steps of a configuration call: commands of the kit with their options, targets of the Makefile, files of tests.

They are read, not run: `python -m scripts COMMAND …` in one line, and options that were gathered before it in an array (`asked+=(--to=…)`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from tests.circleci.outline import Config, Found, all_steps

CALL = re.compile(r"python3? -m scripts(?P<rest>[^\n;|&#`)]*)")
VARIABLE = re.compile(r"\$\{?(\w+)")


def scripts(config: Config) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Every text that a shell gets: where, the text with its lines joined, and the step's environment."""
    for where, kind, given in all_steps(config):
        if kind == "run":
            step = {"command": given} if isinstance(given, str) else given
            yield where, step.get("command", "").replace("\\\n", " "), step.get("environment", {})


def commands(cli: click.Group) -> dict[str, click.Command]:
    """Each command by what is typed; those of groups with their group."""
    found: dict[str, click.Command] = {}
    for name, command in cli.commands.items():
        inner = command.commands if isinstance(command, click.Group) else {}
        found |= {f"{name} {each}": inner[each] for each in inner} or {name: command}
        if isinstance(command, click.Group) and command.invoke_without_command:
            found[name] = command
    return found


def calls(text: str) -> list[list[str]]:
    """The words of each call of the kit, with the options of arrays in it."""
    arrays: dict[str, list[str]] = {}
    for name, content in re.findall(r"(\w+)\+?=\(([^)]*)\)", text):
        arrays.setdefault(name, []).extend(content.split())
    expanded = re.sub(r'"?\$\{(\w+)\[@\]\}"?', lambda found: " ".join(arrays.get(found[1], [])), text)
    return [match["rest"].split() for match in CALL.finditer(expanded)]


def misused(config: Config, cli: click.Group) -> Found:
    """Commands and options that the kit does not have, options that it needs, and jobs with a command's name that do not run it."""
    known = commands(cli)
    ran: dict[str, set[str]] = {}
    for where, text, _ in scripts(config):
        for words in calls(text):
            name = next((name for name in (" ".join(words[:2]), *words[:1]) if name in known), None)
            if name is None:
                yield f"{where}: the kit has no command {' '.join(words[:1])}"
                continue
            ran.setdefault(where, set()).add(name)
            given = {word.partition("=")[0].strip('"') for word in words if word.startswith("--")}
            options = {option: each for each in known[name].params for option in (*each.opts, *each.secondary_opts)}
            yield from (f"{where}: {name} has no option {option}" for option in sorted(given - options.keys()))
            for each in known[name].params:
                if isinstance(each, click.Option) and each.required and not given & {*each.opts}:
                    yield f"{where}: {name} needs {each.opts[0]}"
    for job in config["jobs"].keys() & known.keys():
        if job not in ran.get(job, ()):
            yield f"{job}: does not run the command of its name"


def unused(config: Config, cli: click.Group, pages: str) -> Found:
    """Commands that neither a job runs nor a page mentions."""
    ran = {" ".join(words[:count]) for _, text, _ in scripts(config) for words in calls(text) for count in (1, 2)}
    for name in commands(cli):
        if name not in ran and not re.search(rf"python -m scripts {re.escape(name)}\b(?!-)", pages):
            yield f"{name}: no job runs it and no page mentions it"


def unquoted(config: Config) -> Found:
    """Values from outside that a shell would split into words, or be told to run."""
    for where, text, environment in scripts(config):
        outside = {name for name, value in environment.items() if "<<" in str(value)}
        for name in outside:
            if re.search(r"\beval\b|\b(ba)?sh -c\b", text):
                yield f"{where}: eval in the same step as {name}"
            if any(found == name and not quoted for found, quoted in _variables(text)):
                yield f"{where}: ${name} is not in double quotes"


def _variables(text: str) -> Iterator[tuple[str, bool]]:
    """Each variable that is looked up, and whether in double quotes."""
    double = single = False
    for at, character in enumerate(text):
        if character == '"' and not single and text[at - 1 : at] != "\\":
            double = not double
        elif character == "'" and not double:
            single = not single
        elif character == "$" and not single and (found := VARIABLE.match(text, at)):
            yield found[1], double


def missing(config: Config, root: Path) -> Found:
    """Targets of make, and files, that a step names and that are not there."""
    targets = set(re.findall(r"^([\w-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for where, text, _ in scripts(config):
        yield from (f"{where}: there is no `make {target}`" for target in re.findall(r"^\s*make ([\w-]+)", text, re.MULTILINE) if target not in targets)
        yield from (f"{where}: there is no {path}" for path in re.findall(r"(?<!/)\btests/[\w./-]+", text) if not (root / path).exists())
