"""What jobs of a workflow hand to one another in files: each adds a layer, later jobs get those of all jobs before them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.circleci.container import Container


class StepFailed(Exception):
    """A step other than `run` did not do what it should."""


def persist(container: Container, root: str, patterns: Iterable[str], layer: Path) -> int:
    """How many files were added to the layer. Raises StepFailed where a pattern finds nothing."""
    base, count = container.at(root), 0
    for pattern in patterns:
        found = [path for path in sorted(base.glob(pattern)) if path.exists()]
        if not found:
            raise StepFailed(f"The specified paths did not match any files in {root}: {pattern}")
        for path in found:
            files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
            for file in files:
                target = layer / file.relative_to(base)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
                count += 1
    return count


def attach(container: Container, at: str, layers: Iterable[Path]) -> int:
    """Raises StepFailed where two containers of one job persisted the same file, as CircleCI does."""
    count = 0
    for layer in layers:
        seen: set[Path] = set()
        for file in sorted(inner for inner in layer.rglob("*") if inner.is_file()):
            within = file.relative_to(layer)
            within = Path(*within.parts[1:])  # the first part is the number of the container
            if within in seen:
                raise StepFailed(f"Concurrent upstream jobs persisted the same file(s): {within}")
            seen.add(within)
            target = container.at(at) / within
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
            count += 1
    return count
