"""pair.json: how one CI job tells the next which pair it is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts import outputs
from scripts.errors import UsageError
from scripts.pair import require_pair


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
