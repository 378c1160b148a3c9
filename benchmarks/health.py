"""What `health` over many collections takes, against the bare describe calls one after another, and what a dead and a silent cluster beside it cost.

    python -m benchmarks.health --wheel .venv/milvus-2.3.5

One real server with many loaded and indexed collections, every tenth of them with an alias. Bare is what anybody would write by
hand with pymilvus for the same answers, collection by collection: describe_collection, get_load_state, describe_index, get_collection_stats, count(*)
with Strong consistency, list_persistent_segments, list_loaded_segments. Bare and health take turns, so what else the machine does meets both. Calls
are counted on the wire, those that pymilvus makes on its own among them, and connecting, listing and resolving the aliases as well.

Then three clusters at once: that server, one where nothing listens, and one that accepts connections and never answers.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
import numpy as np
from pymilvus import DataType, MilvusClient

from scripts.adapters.milvus.inspection import MilvusInspection
from scripts.health.report import HealthReport
from scripts.health.visit import Place
from scripts.health_commands import CALL_SHARE
from scripts.jobs.health import health
from tests.servers import MilvusServer, free_ports

DIMENSION, ROWS, ALIASED_EVERY = 32, 2_000, 10
TIMEOUT_SECONDS = 30.0


class Counted(grpc.UnaryUnaryClientInterceptor):
    """Counts every call, and lets it pass as it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: grpc.ClientCallDetails, request: Any) -> Any:
        with self._lock:
            self.calls[str(details.method).rpartition("/")[2]] += 1
        return continuation(details, request)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """To everybody who connects within the block."""
        make = grpc.insecure_channel
        with mock.patch.object(grpc, "insecure_channel", lambda *args, **kwargs: grpc.intercept_channel(make(*args, **kwargs), self)):
            yield


def furnish(server: MilvusServer, count: int) -> None:
    client = MilvusClient(server.uri, token=server.token, dedicated=True)
    rng = np.random.default_rng(7)
    names = [f"collection_{number:05}" for number in range(count)]
    for number, name in enumerate(names):
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
        client.create_collection(name, schema=schema)
        vectors = rng.normal(size=(ROWS, DIMENSION)).astype(np.float32)
        client.insert(name, [{"id": key, "vector": vector} for key, vector in enumerate(vectors)])
        client._get_connection().flush([name], _async=True)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="COSINE", params={"M": 8, "efConstruction": 64})
        client.create_index(name, index)
        client.load_collection(name, _async=True)
        if number % ALIASED_EVERY == 0:
            client.create_alias(name, f"{name}_prod")
    for name in names:
        while sum(segment.num_rows for segment in client.list_loaded_segments(name) if segment.index_name) < ROWS:
            time.sleep(0.2)
    client.close()


def bare(server: MilvusServer) -> None:
    """One after another, nothing kept."""
    client = MilvusClient(server.uri, token=server.token, dedicated=True)
    for name in client.list_collections():
        client.describe_collection(name)
        client.get_load_state(name)
        client.describe_index(name, "vector")
        client.get_collection_stats(name)
        client.query(name, filter="", output_fields=["count(*)"], consistency_level="Strong")
        client.list_persistent_segments(name)
        client.list_loaded_segments(name)
    client.close()


def place(name: str, uri: str, token: str, within: float) -> Place:
    return Place(name, uri, partial(MilvusInspection, uri, token, patience=CALL_SHARE * within))


def look(*places: Place, within: float) -> HealthReport:
    return health(places, within=within, now=lambda: datetime.now(UTC))


def measured(what: Callable[[], Any]) -> tuple[float, int, Any]:
    """Seconds, calls on the wire, and what came of it."""
    counted = Counted()
    with counted.listening():
        began = time.perf_counter()
        answer = what()
        return time.perf_counter() - began, counted.calls.total(), answer


@contextmanager
def silent() -> Iterator[str]:
    """The address of somebody who accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for each in held:
            each.close()


def compare(server: MilvusServer, count: int, rounds: int) -> list[str]:
    by_hand, by_health = [], []
    here = place("here", server.uri, server.token, TIMEOUT_SECONDS)
    for _ in range(rounds):
        by_hand.append(measured(partial(bare, server)))
        by_health.append(measured(partial(look, here, within=600)))
        seen = by_health[-1][2]
        if len(seen.clusters[0].collections) != count or seen.counts()["healthy"] != count:
            raise SystemExit("\n".join(seen.lines()))
    lines = [
        f"| {count} collections, {rounds} rounds | bare calls, one after another | health | ÷ |",
        "|---|---|---|---|",
    ]
    hand, kit = (statistics.median(each[0] for each in found) for found in (by_hand, by_health))
    lines.append(f"| seconds, median | {hand:.1f} | {kit:.1f} | {kit / hand:.2f} |")
    lines.append(f"| seconds, lowest – highest | {_range(by_hand)} | {_range(by_health)} | |")
    lines.append(f"| ms per collection | {1_000 * hand / count:.0f} | {1_000 * kit / count:.0f} | {kit / hand:.2f} |")
    calls = by_hand[-1][1] / count, by_health[-1][1] / count
    lines.append(f"| calls per collection, with connecting and listing | {calls[0]:.2f} | {calls[1]:.2f} | {calls[1] / calls[0]:.2f} |")
    return lines


def _range(found: list[tuple[float, int, Any]]) -> str:
    seconds = [each[0] for each in found]
    return f"{min(seconds):.1f} – {max(seconds):.1f}"


def three(server: MilvusServer) -> list[str]:
    with silent() as never:
        (port,) = free_ports(1)
        places = [
            place("here", server.uri, server.token, TIMEOUT_SECONDS),
            place("dead", f"http://127.0.0.1:{port}", "", TIMEOUT_SECONDS),
            place("silent", never, "", TIMEOUT_SECONDS),
        ]
        seconds, _, report = measured(partial(look, *places, within=TIMEOUT_SECONDS))
    lines = [f"Three clusters, --timeout {TIMEOUT_SECONDS:g}: {seconds:.1f} s, exit code {report.exit_code}.", ""]
    lines += ["| cluster | answer after, s | collections seen | what is said |", "|---|---|---|---|"]
    for cluster in report.clusters:
        said = cluster.failure or f"{cluster.status}, {len(cluster.unseen)} unseen"
        lines.append(f"| {cluster.name} | {cluster.seconds:.1f} | {len(cluster.collections)} | {said} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, required=True, help="where the wheel milvus==2.3.5 is installed (pip install --target)")
    parser.add_argument("--collections", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also write the tables there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, MilvusServer(Path(folder) / "milvus", asked.wheel, fsync=True) as server:
        furnish(server, asked.collections)
        text = "\n".join([*compare(server, asked.collections, asked.rounds), "", *three(server)]) + "\n"
    print(text)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
