"""BEIR (Thakur et al., 2021): a folder or a ZIP archive with queries.jsonl and qrels/{split}.tsv. The corpus is not read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.errors import UsageError
from scripts.golden.formats import judgments, queries
from scripts.golden.imports.collecting import Collecting, Imported

_QUERIES = "queries.jsonl"

Folder = Path | zipfile.Path


def read_beir(source: Path, split: str) -> Imported:
    """The queries that this split judges. Raises UsageError naming the file and the line."""
    with _opened(source) as top:
        folder = _data_set(top, source)
        qrels = folder / "qrels"
        file = qrels / f"{split}.tsv"
        if "/" in split or not file.is_file():
            there = qrels.iterdir() if qrels.is_dir() else ()
            splits = sorted(each.name.removesuffix(".tsv") for each in there if each.name.endswith(".tsv"))
            hint = f"It has: {', '.join(splits) or 'none'}."
            raise UsageError(f"{source} has no judgments for the split {split!r} (qrels/{split}.tsv).", hint=hint)
        collecting = Collecting(f"{source.name} (BEIR, split {split})")
        for judgment in judgments(file):
            collecting.judge(judgment.query, judgment.document, judgment.grade, f"line {judgment.line}")
        for query in queries(folder / _QUERIES):
            collecting.ask(query, f"line {query.line}")
        return collecting.imported()


@contextmanager
def _opened(source: Path) -> Iterator[Folder]:
    """Of an archive nothing is unpacked: what is asked for by name is read, within the limits of `lines`, and nothing written."""
    if source.is_dir():
        yield source
        return
    try:
        archive = zipfile.ZipFile(source)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UsageError(f"{source} is neither a folder nor a ZIP archive: {getattr(error, 'strerror', None) or error}.") from None
    with archive:
        yield zipfile.Path(archive)


def _data_set(top: Folder, source: Path) -> Folder:
    """Archives of BEIR hold a folder, and the data set in it."""
    inner = [each for each in top.iterdir() if each.is_dir()]
    found = [folder for folder in (top, *inner) if (folder / _QUERIES).is_file()]
    if not found:
        raise UsageError(f"{source} has no {_QUERIES}.", hint="A data set of BEIR has queries.jsonl and qrels/test.tsv.")
    if len(found) > 1 and found[0] is not top:
        raise UsageError(f"{source} has several data sets: {', '.join(sorted(each.name for each in found))}.", hint="Name the folder of one.")
    return found[0]
