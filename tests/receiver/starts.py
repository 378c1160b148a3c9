"""A receiver whose starts are told by the version what to come to, and are written down; while there is a file `hang` none comes to anything.

`python -m tests.receiver.starts FOLDER --config …`; with WRITE_S in the environment, its patience with answers that are not read.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import click

from scripts.errors import AnswerIsNo, Inconclusive, Refused, Unreachable, UsageError
from scripts.jobs.trigger import Outcome, Triggered
from scripts.pipelines import Pipeline
from scripts.ports import ModelVersion
from scripts.receiver import opening, server

FOUND, NOT_CANDIDATE, NO_SUCH_VERSION, AWAY, LOCKED, UNCLEAR, NO, FAULT, TELLTALE = 200, 204, 404, 503, 423, 300, 100, 500, 501
FAILURES = {
    NO_SUCH_VERSION: UsageError("There is no such version."),
    AWAY: Unreachable("CircleCI does not answer."),
    LOCKED: Refused("Another process holds the lock."),
    UNCLEAR: Inconclusive("Nobody knows."),
    NO: AnswerIsNo("The model is unfit."),
}


def starting(folder: Path, secrets: list[str]):
    def start(service: str, version: int, why: str) -> Triggered:
        with (folder / "starts.jsonl").open("a") as written:
            written.write(json.dumps({"service": service, "version": version, "why": why}) + "\n")
        if version in FAILURES:
            raise FAILURES[version]
        if version == FAULT:
            raise RuntimeError(f"all of it: {secrets}")
        if version == TELLTALE:
            raise Unreachable(f"Nobody there, with {' and '.join(secrets)}.")
        while (folder / "hang").exists():
            time.sleep(0.02)
        outcome = {FOUND: Outcome.FOUND, NOT_CANDIDATE: Outcome.NOT_CANDIDATE}.get(version, Outcome.STARTED)
        return Triggered(outcome, service, ModelVersion("model", version), Pipeline("id", version, f"https://ci.example/{version}"))

    return start


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--config", "configs", multiple=True, type=click.Path(path_type=Path))
@click.option("--port", type=int)
def main(folder: Path, configs: tuple[Path, ...], port: int) -> None:
    server.WRITE_S = float(os.environ.get("WRITE_S", server.WRITE_S))
    found = opening.services(configs)
    environment = found[0].environment
    secrets = [secret.get_secret_value() for secret in (environment.webhook_secret, environment.circleci_token)]
    while True:
        try:
            return opening.run(found, "127.0.0.1", port, starting(folder, secrets))
        except UsageError:
            print("waiting for the port", file=sys.stderr, flush=True)
            time.sleep(0.02)


if __name__ == "__main__":
    main()
