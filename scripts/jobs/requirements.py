"""`requirements`: what the candidate's model and production's need to be loaded, besides the kit's own packages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import catalogue, model_requirements, outputs
from scripts.errors import UsageError
from scripts.model_requirements import Asked, Needed
from scripts.pair import ModelIdentity
from scripts.ports import ModelVersion, Parts

PINNED = Path(__file__).parents[2] / "requirements.txt"


@dataclass(frozen=True)
class Required:
    models: tuple[str, ...]
    needed: Needed
    exit_code: int = 0

    def lines(self) -> list[str]:
        head = f"{' and '.join(self.models)} {'needs' if len(self.models) == 1 else 'need'}"
        packages = self.needed.packages
        listed = [f"{head}, besides the kit's own packages:", *packages] if packages else [f"{head} nothing besides the kit's own packages."]
        return [*listed, *(f"warning: {warning}" for warning in self.needed.warnings)]

    def facts(self) -> dict[str, Any]:
        return {"models": list(self.models), "packages": list(self.needed.packages), "warnings": list(self.needed.warnings)}

    def write(self, path: Path) -> None:
        """For `pip install -r`: packages alone, so that its checksum changes only when they do."""
        outputs.write(path, "".join(f"{package}\n" for package in self.needed.packages))


def requirements(parts: Parts, pair: str | None, model_version: int | None) -> Required:
    """Reads only. Of the version that is named, else of the pair that is named or that this pipeline has made, else of the candidate; and of what
    serves now, because both models are asked in one process.

    Raises UsageError without a candidate, Refused for a pair that does not exist.
    """
    asked = list(_asked(parts, pair, model_version))
    needed = model_requirements.besides(_pinned(), asked)
    return Required(tuple(each.model for each in asked), needed)


def _asked(parts: Parts, pair: str | None, model_version: int | None) -> Iterator[Asked]:
    world, name = catalogue.read(parts.store, parts.settings), parts.settings.model.name
    build = parts.settings.environment.build_id
    made = [world.find(pair)] if pair else [entry for entry in world.entries if build and entry.stamp.build.id == build]
    if model_version:
        first = ModelVersion(name, model_version)
    elif made:
        first = _version(made[-1].stamp.model)
    else:
        first = parts.registry.candidate(name, parts.settings.model.candidate)
    yield _read(parts, first)
    production = _version(world.production.stamp.model) if world.production else first
    if production == first:
        return
    try:
        yield _read(parts, production)
    except UsageError as gone:  # to be found out by whoever needs it
        label = f"{production.name} version {production.version}"
        yield Asked(label, (), (f"What production's model needs is not known. {gone}",))


def _read(parts: Parts, version: ModelVersion) -> Asked:
    return model_requirements.read(f"{version.name} version {version.version}", parts.registry.requirements(version))


def _version(model: ModelIdentity) -> ModelVersion:
    return ModelVersion(model.name, model.version)


def _pinned() -> dict[str, str]:
    try:
        return model_requirements.pins(PINNED.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise UsageError(f"{PINNED} cannot be read: {error.strerror}.", hint="Run the kit from its checkout.") from None
