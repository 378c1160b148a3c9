"""A validation's reports as files."""

from __future__ import annotations

import json
from pathlib import Path

from scripts import outputs
from scripts.assessment import Assessment
from scripts.errors import UsageError
from scripts.report import html, junit, text


def rendered(assessment: Assessment) -> dict[str, str]:
    """Every report by the name of its file."""
    return {
        "report.html": html.render(assessment),
        "junit.xml": junit.render(assessment),
        "summary.txt": "\n".join(text.render(assessment)) + "\n",
        "validation.json": json.dumps(assessment.facts(), ensure_ascii=False, indent=2) + "\n",
        "evidence.json": assessment.evidence.model_dump_json(indent=2) + "\n",
    }


def write(assessment: Assessment, folder: Path) -> None:
    """Safe to run again: each file is replaced as a whole, so that nobody reads half of one. Raises UsageError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The reports cannot be written to {folder}: {error.strerror or error}.") from None
    for name, content in rendered(assessment).items():
        # A text may hold half a surrogate pair, which no encoding of UTF-8 has.
        outputs.replace(folder / name, content.encode("utf-8", errors="replace"))
