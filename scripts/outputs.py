"""Files that a command is asked to write."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from scripts.errors import UsageError


def write(path: Path, text: str) -> None:
    """To wherever the path leads, a pipe or a terminal among them. Raises UsageError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from None


def replace(file: Path, content: bytes) -> None:
    """The file as a whole or not at all: nobody reads half of it, and a crash leaves what was there. A link stays a link, and permissions stay.

    Raises UsageError where it cannot be written.
    """
    file = file.resolve()
    aside = None
    try:
        handle, aside = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        with open(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if file.exists():
            shutil.copymode(file, aside)
        else:
            os.chmod(aside, 0o644)
        os.replace(aside, file)
        aside = None
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}.") from None
    finally:
        if aside is not None:
            with suppress(FileNotFoundError):  # Ctrl-C came right after it was renamed
                os.unlink(aside)
