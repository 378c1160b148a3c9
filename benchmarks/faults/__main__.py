"""Commands at work, and a real Milvus 2.3.5 that is killed, stopped or restarted under them.

    python -m benchmarks.faults --wheel .venv/milvus-2.3.5 --out faults.md

A Milvus and an MLflow are started, a pair is made and put into production. Then, for each fault, all commands are started as processes of their own
and brought to work, and the server is struck once under all of them. Whoever ended with an error is run again when the server is back. Then every row
is read back and compared, key for key and bit for bit, with what it was, or with what a build comes to that nothing befalls.

"Noticed" is the first call that was lost, or the first look that said so; "–" where calls only waited; "right again" counts from the moment at which the
server's own health page said OK. Prints the table, tells what it does on standard error, and ends with 1 where a promise was broken. About 25 minutes.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from benchmarks.faults.commands import COMMANDS
from benchmarks.faults.night import Row, night
from benchmarks.faults.place import Place
from benchmarks.faults.strikes import STRIKES
from tests.servers import MilvusServer, MlflowServer

HEAD = "| command | fault | calls before, after | noticed after | right again after | how it went | exit | rows lost |"


def table(rows: Sequence[Row]) -> str:
    lines = [HEAD, "|---|---|--:|--:|--:|---|--:|--:|"]
    for row in rows:
        cells = (
            f"`{row.command.name}`",
            row.strike.name,
            f"{row.before:,}, {row.after:,}",
            _seconds(row.noticed),
            _seconds(row.recovered),
            _how(row),
            str(row.code),
            str(row.loss),
        )
        lines.append(f"| {' | '.join(cells)} |")
    told = sorted({row.line for row in rows if row.line})
    wrong = [f"- WRONG: {row.command.name}, {row.strike.name}: {', '.join(row.wrong)}" for row in rows if row.wrong]
    return "\n".join([*lines, "", "What they said:", *(f"- `{line}`" for line in told), *wrong])


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"


def _how(row: Row) -> str:
    if row.command.loops:
        how = "went on until Ctrl-C"
    elif row.code == 0:
        how = f"went on, done after {row.ended:.0f} s"
    else:
        how = f"ended after {row.ended:.0f} s in one line; run again: {row.again}"
    return f"{how}; {row.remark}" if row.remark else how


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, required=True, help="where the wheel milvus==2.3.5 is installed (pip install --target)")
    parser.add_argument("--out", type=Path, help="also write the table there")
    parser.add_argument("--command", action="append", help="only these, by the names in the table")
    parser.add_argument("--fault", action="append", help="only those whose names have this in them")
    asked = parser.parse_args()
    commands = [command for command in COMMANDS if not asked.command or command.name in asked.command]
    strikes = [strike for strike in STRIKES if not asked.fault or any(part in strike.name for part in asked.fault)]
    _alone()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary, MlflowServer(Path(temporary) / "mlflow") as mlflow:
        folder = Path(temporary)
        with MilvusServer(folder / "milvus", asked.wheel, fsync=True) as milvus:
            place = Place(milvus, mlflow, folder)
            for number, strike in enumerate(strikes):
                began = time.monotonic()
                rows += night(place, strike, commands, folder / f"night-{number}")
                print(f"{strike.name}: {time.monotonic() - began:.0f} s\n{table(rows[-len(commands):])}\n", file=sys.stderr, flush=True)
    rows.sort(key=lambda row: [command.name for command in commands].index(row.command.name))
    found = table(rows)
    print(found)
    if asked.out:
        asked.out.write_text(found + "\n")
    sys.exit(any(row.wrong for row in rows))


def _alone() -> None:
    """What the environment says of Milvus and MLflow is forgotten."""
    for name in list(os.environ):
        if name.startswith(("MILVUS_", "MLFLOW_", "CIRCLE", "PROMOTION_")):
            del os.environ[name]
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    warnings.simplefilter("ignore")  # MLflow's stages are deprecated, and say so at every call
    logging.disable(logging.INFO)


if __name__ == "__main__":
    main()
