"""The receiver, whose every start finds a pipeline at once: what is left is its own cost. `python -m benchmarks.receiver.serving CONFIG PORT`"""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.jobs.trigger import Outcome, Triggered
from scripts.pipelines import Pipeline
from scripts.ports import ModelVersion
from scripts.receiver import opening


def found(service: str, version: int, why: str) -> Triggered:
    return Triggered(Outcome.FOUND, service, ModelVersion("model", version), Pipeline("id", 1, "https://ci.example/1"))


if __name__ == "__main__":
    opening.run(opening.services([Path(sys.argv[1])]), "127.0.0.1", int(sys.argv[2]), found)
