"""`golden import`, `golden check` and `golden add`: parse, call one job, show its result."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts import console, options

if TYPE_CHECKING:
    from scripts.golden.pooling import Pooled

_PAIR = "A pair's name, or the pair.json that `create --out` wrote."


@click.group(cls=console.InOrder, epilog='Example:  python -m scripts golden add "red sofa" --pair product_embeddings_v12_af8c1901')
def golden() -> None:
    """Make, check and extend the golden queries that pairs are judged by."""


def _command(name: str, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    def decorate(function: Callable[..., Any]) -> click.Command:
        return golden.command(name, epilog=f"Example:  python -m scripts golden {example}")(options.as_json(function))

    return decorate


@_command("import", "import scifact.zip --format beir --into golden_queries/scifact")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--format", "origin", type=click.Choice(["beir", "trec", "quepid"]), required=True, help="Whose.")
@click.option("--into", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="The suite's folder, which must not exist yet.")
@click.option("--split", default="test", show_default=True, help="Of BEIR: which judgments, qrels/SPLIT.tsv.")
@click.option("--qrels", type=click.Path(exists=True, path_type=Path), metavar="FILE", help="Of TREC: the judgments. SOURCE has the topics.")
def import_(source: Path, origin: str, into: Path, split: str, qrels: Path | None, as_json: bool) -> None:
    """Make a suite of a BEIR folder or archive, TREC topics and qrels, or a case exported by Quepid."""
    from scripts.jobs.golden_import import Origin, golden_import

    console.show(golden_import(source, Origin(origin), into, split=split, qrels=qrels), as_json)


@_command("check", "check --pair product_embeddings_v12_af8c1901")
@click.option("--pair", metavar="PAIR", help=f"Where to look for the documents. [default: production] {_PAIR}")
@options.config
def check(config: Path, pair: str | None, as_json: bool) -> None:
    """Find duplicate queries, documents that are gone, grades out of range and what is too little to judge by."""
    from scripts.jobs import pair_file
    from scripts.jobs.golden_check import golden_check

    name = pair_file.read(pair) if pair is not None else ""
    with console.opened(config) as kit:
        result = golden_check(kit, name)
    console.show(result, as_json)


@_command("add", 'add "red sofa" --pair product_embeddings_v12_af8c1901')
@click.argument("query")
@click.option("--pair", metavar="PAIR", help=f"The candidate, searched beside production. {_PAIR}")
@click.option("--id", default="", metavar="ID", help="Of a new query. [default: the next number]")
@click.option("--depth", type=click.IntRange(1, 100), default=10, show_default=True, help="How many results of each pair are judged.")
@click.option("--slice", "slices", multiple=True, metavar="NAME", help="Of a new query; may be given several times.")
@click.option("--grade", "grades", multiple=True, metavar="KEY=GRADE", help="Record this without asking; may be given several times.")
@options.config
def add(config: Path, pair: str | None, query: str, grades: tuple[str, ...], as_json: bool, **wanted: Any) -> None:
    """Show a query's results side by side and record your grades of them; in a terminal you are asked, without being told who shows what."""
    from scripts.jobs import pair_file
    from scripts.jobs.golden_add import Wanted, golden_add

    name = pair_file.read(pair) if pair is not None else ""
    given = Wanted(query, pair=name, grades=_parsed(grades), **wanted)
    with console.opened(config) as kit:
        result = golden_add(kit, given, _ask if sys.stdin and sys.stdin.isatty() and not grades else None)
    console.show(result, as_json)


def _parsed(grades: Sequence[str]) -> dict[str, int]:
    """By key, which may have an equals sign itself."""
    parsed: dict[str, int] = {}
    for each in grades:
        key, equals, grade = each.rpartition("=")
        if not (equals and key and grade.isascii() and grade.isdigit() and len(grade) < 5):
            raise click.BadParameter(f"{each!r} is not KEY=GRADE, such as 4711=2.", param_hint="--grade")
        if parsed.setdefault(key, int(grade)) != int(grade):
            raise click.BadParameter(f"{key} has two grades.", param_hint="--grade")
    return parsed


def _ask(documents: Sequence[Pooled], highest: int) -> Iterator[tuple[str, int]]:
    """One document after the other, on standard error, so that standard output stays the result."""
    answers = click.Choice([*map(str, range(highest + 1)), "s", "q"])
    for number, document in enumerate(documents, start=1):
        click.echo("\n".join(["", f"{number} of {len(documents)}", *_told(document)]), err=True)
        try:
            answer = click.prompt(f"0 to {highest}, s to skip, q to quit", type=answers, show_choices=False, err=True)
        except click.Abort:  # Ctrl-C, or the end of the input
            raise KeyboardInterrupt from None
        if answer == "q":
            return
        if answer != "s":
            yield document.key, int(answer)


def _told(document: Pooled) -> list[str]:
    from scripts.report.words import printable

    fields = [f"  {name}: {str(value)[:300]}" for name, value in document.fields.items() if value not in (None, "")]
    return [printable(line) for line in (f"  {document.title or document.key}", f"  key: {document.key}", *fields)]
