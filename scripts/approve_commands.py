"""`approve`: parse, call one job, show its result."""

from __future__ import annotations

from pathlib import Path

import click

from scripts import console, options


@click.command(epilog="Example:  python -m scripts approve product_embeddings_v12_af8c1901")
@click.argument("pair", required=False)
@click.option("--evidence", metavar="DIGEST", help="The evidence that you have seen; refuse any other.")
@options.config
@options.as_json
def approve(config: Path, as_json: bool, pair: str | None, evidence: str | None) -> None:
    """Show which pairs wait for approval, with verdict and report; or approve PAIR in its pipeline. Needs CIRCLECI_TOKEN."""
    from scripts.jobs import approve as job
    from scripts.jobs import pair_file

    if pair is None and evidence is not None:
        raise click.UsageError("--evidence goes with the pair that stands on it.")
    with console.opened(config) as kit:
        result = job.approve(kit, pair_file.read(pair), digest=evidence) if pair is not None else job.waiting(kit)
    console.show(result, as_json)
