"""Suites for tests, as folders."""

from __future__ import annotations

from pathlib import Path

from scripts.golden import Suite, load
from scripts.golden.description import Files, read_description

QUERIES = "query_id,query\nq1,red sofa\n"
JUDGMENTS = "query_id,product_id,grade\nq1,1,3\n"


def write(folder: Path, *, yaml: str = "measures: [nDCG@10]\n", **files: str) -> Path:
    """A suite; `files` by name, with `__` for the dot and `___` for a slash: queries__csv. Those of the two usual that are not named are there."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {name.replace("___", "/").replace("__", "."): content for name, content in files.items()}
    if not any("queries" in name for name in named):
        named["queries.csv"] = QUERIES
    if not any("judgments" in name or "qrels" in name for name in named):
        named["judgments.csv"] = JUDGMENTS
    for name, content in ({"suite.yaml": yaml} | named).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def opened(folder: Path) -> tuple[Suite, Files]:
    return load(folder), read_description(folder)[1]
