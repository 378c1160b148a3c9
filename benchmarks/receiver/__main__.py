"""What the receiver of webhooks costs and stands.

    python -m benchmarks.receiver

Events per second and their latency over many connections, on loopback, client and receiver on one machine; then thousands of requests of every
bad kind, which must come to nothing, and the receiver's memory between. Prints tables; ends with 1 where a bad request was accepted, the receiver
died, or its secret was logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import yaml

from benchmarks.receiver import client, requests
from benchmarks.receiver.client import Sent
from tests.servers import free_ports

CONNECTIONS = 64
SLOW_TOGETHER, SLOW_PAUSE_S = 500, 0.5


@dataclass(frozen=True)
class Serving:
    process: subprocess.Popen[str]
    port: int

    def memory_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def taken(self) -> int:
        """Deliveries that came to anything."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30).read().decode()
        wanted = ("started", "found", "not_candidate", "ignored")
        return sum(int(line.rpartition(" ")[2]) for line in text.splitlines() if any(f'outcome="{name}"' in line for name in wanted))


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    config, (port,) = folder / "promotion.yaml", free_ports(1)
    settings = {
        "service": "shop",
        "model": {"name": requests.MODEL, "candidate": "@staging"},
        "source": {"uri": "products.jsonl", "key": "id", "text": "{name}"},
        "golden": "golden",
        "pipeline": {"project": "gh/acme/promotion"},
    }
    config.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "benchmarks.receiver.serving", str(config), str(port)]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], "WEBHOOK_SECRET": requests.SECRET}, stderr=log, text=True)
        try:
            while "listening" not in (folder / "log").read_text():
                if process.poll() is not None:
                    raise click.ClickException((folder / "log").read_text())
                time.sleep(0.05)
            yield Serving(process, port)
        finally:
            process.terminate()
            process.wait()


def rate(receiver: Serving, events: int, connections: int) -> str:
    """Ten rounds, each with deliveries that were signed just before."""
    sent: list[Sent] = []
    wall = cpu = 0.0
    for round_ in range(11):
        batch = [requests.good() for _ in range(events // 10)]
        began, used = time.perf_counter(), receiver.cpu_s()
        answers = asyncio.run(client.persistent(receiver.port, batch, connections))
        if round_:  # the first warms up
            wall, cpu = wall + time.perf_counter() - began, cpu + receiver.cpu_s() - used
            sent += answers
    wrong = sum(each.status != 200 for each in sent)
    row = [len(sent), connections, f"{len(sent) / wall:.0f}", _ms(sent, 0.5), _ms(sent, 0.99), _ms(sent, 1), f"{1000 * cpu / len(sent):.2f}", wrong]
    head = "| good events | connections | events/s | p50 ms | p99 ms | max ms | receiver's CPU ms each | not 200 |"
    return f"{head}\n{'|---' * len(row)}|\n| {' | '.join(map(str, row))} |"


def hostile(receiver: Serving, number: int, rounds: int) -> tuple[str, bool]:
    """`number` of each kind in each round; the tables, and whether all is well."""
    chance = random.Random(6)
    replay = requests.good()
    asyncio.run(client.persistent(receiver.port, [replay], 1))
    taken, memory = receiver.taken(), [receiver.memory_mib()]
    sent: dict[str, list[Sent]] = {}
    for _ in range(rounds):
        batches = {
            "malformed": [requests.malformed(chance) for _ in range(number)],
            "mis-signed": [requests.missigned(chance) for _ in range(number)],
            "oversized": [requests.oversized(chance) for _ in range(number)],
            "replayed": [replay] * number,
        }
        for kind, batch in batches.items():
            sent.setdefault(kind, []).extend(asyncio.run(client.persistent(receiver.port, batch, CONNECTIONS)))
        crawling = [requests.slow(chance) for _ in range(number)]
        sent.setdefault("slow", []).extend(asyncio.run(client.each_alone(receiver.port, crawling, SLOW_TOGETHER, SLOW_PAUSE_S)))
        memory.append(receiver.memory_mib())
    accepted = receiver.taken() - taken
    lines = ["| bad requests | number | answers |", "|---|---|---|", *(f"| {kind} | {len(each)} | {_counted(each)} |" for kind, each in sent.items())]
    lines += ["", f"Accepted: {accepted}. VmRSS before, and after each of {rounds} rounds: {', '.join(f'{each:.1f}' for each in memory)} MiB."]
    well = accepted == 0 and all(each.status not in range(200, 300) for batch in sent.values() for each in batch) and receiver.process.poll() is None
    return "\n".join(lines), well


def _counted(sent: Sequence[Sent]) -> str:
    counts = Counter(each.status for each in sent)
    return ", ".join(f"{status or 'hung up'}: {count}" for status, count in sorted(counts.items()))


def _ms(sent: Sequence[Sent], share: float) -> str:
    ordered = sorted(each.seconds for each in sent)
    return f"{1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.1f}"


@click.command()
@click.option("--events", type=click.IntRange(10), default=20_000, show_default=True, help="Good ones.")
@click.option("--connections", type=click.IntRange(1), default=CONNECTIONS, show_default=True)
@click.option("--bad", type=click.IntRange(1), default=400, show_default=True, help="Of each of five kinds, in each round.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
def main(events: int, connections: int, bad: int, rounds: int) -> None:
    """Load the receiver, then abuse it."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as receiver:
        click.echo(rate(receiver, events, connections) + "\n")
        table, well = hostile(receiver, bad, rounds)
        click.echo(table)
        told = requests.SECRET in (Path(folder) / "log").read_text()
        click.echo(f"Alive after it: {'yes' if receiver.process.poll() is None else 'no'}. Secret in the log: {'yes' if told else 'no'}.")
    sys.exit(not well or told)


if __name__ == "__main__":
    main()
