"""Files that a command is asked to write."""

from __future__ import annotations

from pathlib import Path

from scripts.errors import UsageError


def write(path: Path, text: str) -> None:
    """Raises UsageError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from None
