"""`capacity --emit`: a Milvus that holds the plan, as YAML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts import outputs
from scripts.capacity.deployment import Deployment
from scripts.capacity.manifests import WRITERS


@dataclass(frozen=True)
class Emitted:
    """Its lines are the YAML and nothing else, for `kubectl apply -f -`."""

    text: str
    exit_code: int = 0

    def lines(self) -> list[str]:
        return self.text.splitlines()

    def facts(self) -> dict[str, Any]:
        return yaml.safe_load(self.text)

    def write(self, path: Path) -> None:
        outputs.write(path, self.text)


def emit(deployment: Deployment, kind: str) -> Emitted:
    """`kind` is operator or helm. Reads nothing and asks nobody."""
    return Emitted(WRITERS[kind](deployment))
