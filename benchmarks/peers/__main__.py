"""All peers one after the other on a Milvus of their own, as one table.

    python -m benchmarks.peers --rows 10000 --wheel DIR --out peers.md
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.texts import ICECAT
from tests.servers import MilvusServer

ROOT = Path(__file__).resolve().parents[2]
WHEEL = Path(os.environ.get("MILVUS_WHEEL_DIR", Path(sys.prefix) / "milvus-2.3.5"))
LLAMAINDEX = Path(sys.prefix) / "llamaindex"
PEERS = ("langchain_from_texts", "haystack_pipeline", "batch_loop", "langchain_index", "llamaindex_index", "llamaindex_pipeline")
NONE = "–"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", type=click.IntRange(min=1), default=10_000, show_default=True, help="How many products.")
@click.option("--wheel", type=click.Path(file_okay=False, path_type=Path), default=WHEEL, show_default=True, help="Where Milvus 2.3.5 was installed with --target.")
@click.option("--llamaindex", type=click.Path(file_okay=False, path_type=Path), default=LLAMAINDEX, show_default=True, help="Where requirements-llamaindex.txt went.")
@click.option("--only", default="", help="Beginnings of names, with commas: langchain,batch_loop.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=ICECAT, help="The folder with products.parquet.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the table, too.")
def main(rows: int, wheel: Path, llamaindex: Path, only: str, data: Path, out: Path | None) -> None:
    """Measure every peer and print a table. A peer that fails is named, and the others still run; then the exit code is 1."""
    chosen = [peer for peer in PEERS if peer.startswith(tuple(only.split(",")))]
    if not chosen:
        raise click.BadParameter(f"known are {', '.join(PEERS)}", param_hint="--only")
    if not (wheel / "milvus").is_dir():
        raise click.BadParameter(f"no Milvus in {wheel}: pip install --target {wheel} milvus==2.3.5", param_hint="--wheel")
    if any(peer.startswith("llamaindex") for peer in chosen) and not (llamaindex / "llama_index").is_dir():
        raise click.BadParameter(f"nothing in {llamaindex}: see benchmarks/README.md", param_hint="--llamaindex")
    load = os.getloadavg()[0]
    measured: list[dict[str, Any]] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder, MilvusServer(Path(folder), wheel, fsync=True) as milvus:
        for peer in chosen:
            click.echo(f"{peer} ...", err=True)
            environment = os.environ | {"MILVUS_URI": milvus.uri, "MILVUS_TOKEN": milvus.token}
            if peer.startswith("llamaindex"):
                environment["PYTHONPATH"] = str(llamaindex)
            facts = _measured(peer, ["--rows", str(rows), "--data", str(data.resolve())], environment)
            if facts:
                measured.append(facts)
            else:
                failed.append(peer)
    page = "\n".join([*table(measured), "", *notes(measured, rows, load), *(f"Failed: {peer}." for peer in failed)])
    click.echo(page)
    if out:
        out.write_text(page + "\n", encoding="utf-8")
    sys.exit(1 if failed else 0)


def _measured(peer: str, options: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any] | None:
    """A peer's facts, from a process of its own; nothing, with the end of its log on standard error, if it failed."""
    command = [sys.executable, "-m", f"benchmarks.peers.{peer}", *options, "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    try:
        done.check_returncode()
        return json.loads(done.stdout.splitlines()[-1])
    except (subprocess.CalledProcessError, IndexError, json.JSONDecodeError):
        click.echo(f"{peer} ended with exit code {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-3000:]}", err=True)
        return None


def table(measured: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line per peer."""
    lines = [
        "| | encode alone | wall | ÷ alone | served from the index, ÷ alone | rows | encoded | 1 % changed: encoded | rows then | wall ÷ build |",
        f"|---|{'--:|' * 9}",
    ]
    for facts in measured:
        cells = [
            facts["peer"],
            f"{facts['alone_seconds']:.1f} s",
            f"{facts['indexed_seconds']:.1f} s",
            f"{facts['ratio']:.2f}",
            f"{facts['served_ratio']:.2f}",
            f"{facts['count']:,}",
            f"{facts['encoded']:,}",
        ]
        if update := facts.get("update"):
            cells += [f"{update['encoded']:,} of {update['changed']:,}", f"{update['count']:,}", f"{update['ratio']:.3f}"]
        else:
            cells += [NONE] * 3
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def notes(measured: Sequence[Mapping[str, Any]], rows: int, load: float) -> list[str]:
    """What was measured, and where."""
    versions = {f"{package} {version}" for facts in measured for package, version in facts["versions"].items()}
    again = [
        f"{facts['peer']} into a new collection, with the memory of the first: {facts['again']['count']:,} of {facts['rows']:,} rows; it said "
        f"{', '.join(f'{name} {number:,}' for name, number in facts['again']['said'].items())}."
        for facts in measured
        if "again" in facts
    ]
    return [
        *again,
        f"{rows:,} icecat products, MiniLM on the CPU, Milvus 2.3.5 on the same machine; {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores "
        f"({platform.system()}, {platform.machine()}; load {load:.1f} from other work at the start), one run each.",
        f"{', '.join(sorted(versions))}.",
    ]


if __name__ == "__main__":
    main()
