"""What models need to be loaded besides the kit's own packages. A model's requirements are somebody's input: names and versions of packages are
passed on to pip, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from scripts.errors import UsageError

# More than any environment has; what is longer is not a requirement.
MAX_LINES, MAX_LINE_CHARS = 2_000, 500
_SHOWN_CHARS = 80
_ADDRESS = re.compile(r"://\S*")  # may have a password or a token in it
# A comment begins a line, or follows white space (pip's own rule: a URL may have # in it).
_COMMENT = re.compile(r"(^|\s+)#.*$")


@dataclass(frozen=True)
class Asked:
    """By one model. `ignored` says what of its file is not passed on, and why."""

    model: str
    requirements: tuple[Requirement, ...]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Needed:
    """`packages` as pip reads them, sorted: the same models give the same lines."""

    packages: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def read(model: str, lines: Sequence[str]) -> Asked:
    """Raises UsageError where a file is too long to be one."""
    if len(lines) > MAX_LINES:
        raise UsageError(f"The requirements of {model} have {len(lines):,} lines.", hint=f"More than {MAX_LINES:,} are not read; log the model again.")
    requirements, ignored = [], []
    for line in _logical(lines):
        try:
            requirements.append(_requirement(line))
        except ValueError as why:
            told = _ADDRESS.sub("://...", line).encode("unicode_escape").decode()
            ignored.append(f"{model} asks for {told[:_SHOWN_CHARS]}{'...' if len(told) > _SHOWN_CHARS else ''}, which is not passed on: it {why}.")
    return Asked(model, tuple(requirements), tuple(ignored))


def pins(lines: Sequence[str]) -> dict[str, str]:
    """The versions that a file of requirements pins on this machine, by normalised name."""
    pinned = {}
    for each in read("the kit", lines).requirements:
        operators = [specifier.operator for specifier in each.specifier]
        if operators == ["=="] and _applies(each):
            pinned[canonicalize_name(each.name)] = next(iter(each.specifier)).version
    return pinned


def besides(pinned: Mapping[str, str], asked: Sequence[Asked]) -> Needed:
    """What all of them need and is not pinned. Of two that no version can satisfy the first one's is taken, because pip would take neither."""
    needed: dict[tuple[str, str], tuple[str, Requirement]] = {}
    warnings = [line for each in asked for line in each.ignored]
    for model, wanted in ((each.model, wanted) for each in asked for wanted in each.requirements):
        name = canonicalize_name(wanted.name)
        if version := pinned.get(name):
            if _applies(wanted) and not wanted.specifier.contains(version, prereleases=True):
                warnings.append(f"{model} asks for {wanted}, and is loaded with {name} {version}, which the kit needs.")
            if not wanted.extras:
                continue
            wanted = Requirement(f"{name}[{','.join(sorted(wanted.extras))}]=={version}")
        key = (name, str(wanted.marker or ""))
        first, known = needed.setdefault(key, (model, wanted))
        both = known.specifier & wanted.specifier
        if both.is_unsatisfiable() and known.specifier != wanted.specifier:
            warnings.append(f"{first} asks for {known}, {model} for {wanted}, and no version is both: {known} is taken.")
            continue
        together = Requirement(str(known))
        together.specifier, together.extras = both, known.extras | wanted.extras
        needed[key] = (first, together)
    return Needed(tuple(sorted(_printed(name, each) for (name, _), (_, each) in needed.items())), tuple(dict.fromkeys(warnings)))


def _logical(lines: Sequence[str]) -> Iterator[str]:
    """Without comments and empty lines; a line that ends in a backslash goes on in the next."""
    parts: list[str] = []
    for line in lines:
        if line.endswith("\\"):
            parts.append(line[:-1])
            continue
        if whole := _COMMENT.sub("", "".join([*parts, line])).strip():
            yield whole
        parts = []
    if whole := _COMMENT.sub("", "".join(parts)).strip():
        yield whole


def _requirement(line: str) -> Requirement:
    """Raises ValueError, which says why it is none."""
    if len(line) > MAX_LINE_CHARS:
        raise ValueError(f"has {len(line):,} characters")
    if line.startswith("-"):
        raise ValueError("is an option of pip")
    if "$" in line:  # also in a marker; pip tells of a package that it leaves out with what it has filled in
        raise ValueError("names a variable, which may be a secret")
    try:
        found = Requirement(line)
    except InvalidRequirement:
        raise ValueError("is not the name of a package with versions") from None
    if found.url:
        raise ValueError("is a file or an address, not a version of a package")
    if any(specifier.operator == "===" for specifier in found.specifier):
        raise ValueError("is compared letter by letter (===)")
    return found


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _printed(name: str, requirement: Requirement) -> str:
    printed = Requirement(str(requirement))
    printed.name = name
    return str(printed)
