"""pair.json: how one CI job tells the next which pair it is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts import catalogue, outputs
from scripts.errors import Refused, UsageError
from scripts.pair import require_pair
from scripts.ports import Parts


def write(path: Path, facts: dict[str, Any]) -> None:
    """Raises UsageError where it cannot be written."""
    outputs.write(path, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


def read(pair: str) -> str:
    """The name of a pair, given as such or as a pair file. Raises UsageError."""
    path = Path(pair)
    if path.suffix != ".json":
        return require_pair(pair).collection
    try:
        return require_pair(str(json.loads(path.read_text(encoding="utf-8"))["pair"])).collection
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a pair file: {type(error).__name__} {error}.", hint="`create --out pair.json` writes one.") from None


def named(parts: Parts, pair: str | None) -> str:
    """The name of a pair, given as such or as a pair file; without either, of the one that this pipeline created: so no job depends on files that
    another one left.

    Raises UsageError as `read`, and outside of a pipeline; Refused where the pipeline has made no pair, or several.
    """
    if pair is not None:
        return read(pair)
    build = parts.settings.environment.build_id
    if not build:
        raise UsageError("Which pair?", hint="Name it with --pair; only in a pipeline it is known by CIRCLE_PIPELINE_ID.")
    made = [each.pair.collection for each in catalogue.read(parts.store, parts.settings).entries if each.stamp.build.id == build]
    if len(made) != 1:
        raise Refused(f"This pipeline ({build}) has made {' and '.join(made) or 'no pair'}.", hint="Name one with --pair; `status` lists them.")
    return made[0]
