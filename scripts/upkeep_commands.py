"""`ensure-loaded` and `compact`: parse, call one job, show its result."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts import console, options
from scripts.errors import KitError, UsageError

if TYPE_CHECKING:
    from scripts.health.upkeep import Upkeep
    from scripts.wiring import Wiring

_tell = partial(click.echo, err=True)
# What begins to load goes on by itself. A sidecar that waits for one of them longer than this does not see that another was released.
TURN_SECONDS = 30.0
_timeout = click.option("--timeout", type=options.Seconds(), default=3_600, show_default=True, metavar="SECONDS", help="How long to wait.")


@click.command("ensure-loaded", epilog="Example:  python -m scripts ensure-loaded --every 30")
@_timeout
@click.option("--every", type=options.Seconds(), metavar="SECONDS", help="Again and again, as a sidecar, with so long a pause.")
@options.config
@options.as_json
def ensure_loaded(config: Path, timeout: float, every: float | None, as_json: bool) -> None:
    """Load what should be loaded and is not: production, what has an alias, and the predecessors that retention keeps loaded."""
    from scripts.jobs.ensure_loaded import ensure_loaded as job

    last = ""
    if every is not None:
        timeout = min(timeout, max(every, TURN_SECONDS))
    while True:
        try:
            with console.opened(config) as kit:
                result = job(kit, _upkeep(kit), within=timeout, tell=_tell)
        except UsageError:
            raise  # which no waiting mends
        except KitError as error:
            if every is None:
                raise
            told = f"error: {error}"
        else:
            if every is None:
                console.show(result, as_json)
            told = json.dumps(result.facts(), ensure_ascii=False) if as_json else "\n".join(result.lines())
        if told != last:  # a loop tells what has changed
            click.echo(told, err=told.startswith("error: "))
            sys.stdout.flush()
        last = told
        time.sleep(every)


@click.command("compact", epilog="Example:  python -m scripts compact product_embeddings_prod")
@click.argument("collection")
@_timeout
@options.config
@options.as_json
def compact(config: Path, collection: str, timeout: float, as_json: bool) -> None:
    """Seal, merge small segments of a collection or alias, and show its segments before and after.

    Milvus 2.3.5 rewrites the segments of all other collections of the server as well: do it when little is asked."""
    from scripts.jobs.compact import compact as job

    with console.opened(config) as kit:
        result = job(kit.store, _upkeep(kit), collection, within=timeout, tell=_tell)
    console.show(result, as_json)


def _upkeep(kit: Wiring) -> Upkeep:
    store = kit.store  # first: it prepares what pymilvus reads from the environment when it is imported
    from scripts.adapters.milvus.upkeep import MilvusUpkeep

    return MilvusUpkeep(store)
