"""What `perf` adds to what it measures: its throughput and latencies against loops that do nothing but search.

    python -m benchmarks.perf --wheel .venv/milvus-2.3.5

One real server, one collection (384 dimensions, HNSW), the same queries and the same number of threads. Every round measures each way in turn,
in one order and then in the other, so what else the machine does meets all of them:

- `MilvusClient`: each thread calls its `search` and notes how long that took;
- messages by hand: each thread sends a request that was made before, and looks at the answer's status;
- `perf`: its own workers, over the connection that all of them share;
- `perf`, with a connection for each worker.

Then what this client can do at all: calls to which the server has nothing to say.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pymilvus import MilvusClient

from scripts import digests
from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.searching import MilvusSearched
from scripts.layout import Column, FieldType, Index, Layout
from scripts.pair import Build, Content, Embedding, ModelIdentity, Pair, Stamp, State
from scripts.perf.load import Deal, Loop, unhindered
from scripts.perf.percentiles import latency
from scripts.perf.ports import Question
from scripts.perf.queries import Sampling, sampled
from scripts.records import Rows
from tests.servers import MilvusServer

DIMENSION, K, EF, QUERIES, ROWS_AT_ONCE = 384, 10, 64, 5_000, 5_000
PAIR = Pair.of("perf_rate", 1, "one").collection
WARM_UP_SECONDS = 0.1
BARE, BY_HAND, PERF, OWN = "MilvusClient", "messages by hand", "`perf`", "`perf`, own connections"


@dataclass(frozen=True)
class Found:
    qps: float
    p50: float
    p99: float
    cpu: float
    """Milliseconds of this process for each search."""


Way = Callable[[int], object]


class Bench:
    def __init__(self, open_: ExitStack, uri: str, token: str) -> None:
        self._open = open_
        self._address = (uri, token)
        self._store = open_.enter_context(MilvusStore(uri, token))

    def fill(self, count: int) -> None:
        """Rows around 200 centres, as texts of a catalogue are; every one of them is indexed before anything is measured."""
        random = np.random.default_rng(0)
        layout = Layout(key=Column(name="id", type=FieldType.INT64), columns=(), dimension=DIMENSION, index=Index(search={"ef": EF}))
        now = datetime.now(UTC)
        stamp = Stamp(
            service="perf_rate",
            model=ModelIdentity(name="none", version=1, digest="0" * 64),
            embedding=Embedding(template="{text}"),
            layout=layout,
            source="none",
            build=Build(id="one", created_at=now),
            state=State.BUILT,
            content=Content(rows=count, fingerprint="0" * 16, skipped=0, read_at=now),
        )
        self._store.create(PAIR, layout, stamp.properties())
        collection = self._store.open(PAIR)
        centres = random.normal(size=(200, DIMENSION))
        for start in range(0, count, ROWS_AT_ONCE):
            keys = list(range(start, min(start + ROWS_AT_ONCE, count)))
            hashes = digests.of_texts(map(str, keys))
            vectors = centres[random.integers(0, len(centres), len(keys))] + random.normal(size=(len(keys), DIMENSION))
            collection.write(Rows(keys, [""] * len(keys), {}, [""] * len(keys), digests.of_keys(keys), hashes, hashes), vectors.astype(np.float32))
        for step in (collection.flush, collection.build_index, collection.load):
            step()
        while not collection.readiness().covered:
            time.sleep(0.5)
        self._searched = MilvusSearched(self._store, PAIR)
        self._queries = sampled(self._searched, Sampling(count=QUERIES)).vectors

    def prepare(self, workers: int) -> None:
        """Ways to search once, for so many threads. Connections are made now and not while they are measured."""
        question = Question(K, "", {"ef": EF})
        client, wire = MilvusClient(self._address[0], token=self._address[1]), self._store._milvus.wire
        self._open.callback(client.close)
        requests = [self._searched._request(vector[None], question) for vector in self._queries]

        def bare(number: int) -> object:
            return client.search(PAIR, [self._queries[number]], limit=K, search_params={"params": {"ef": EF}}, timeout=10)

        def by_hand(number: int) -> object:
            answer = wire.send("Search", requests[number], 10)
            return answer.status.code or answer.results.ids

        opened = [self._open.enter_context(MilvusStore(*self._address, patience=30.0)) for _ in range(workers)]
        self._own = [MilvusSearched(store, PAIR).searching(self._queries, 10)(question) for store in opened]
        self._free, self._mine = list(self._own), threading.local()
        self._plain: dict[str, Way] = {BARE: bare, BY_HAND: by_hand}
        self._timed: dict[str, Way] = {PERF: self._searched.searching(self._queries, 10)(question), OWN: self._by_own_connection}

    def _by_own_connection(self, number: int) -> object:
        if not hasattr(self._mine, "search"):
            self._mine.search = self._free.pop()
        return self._mine.search(number)

    def round(self, workers: int, seconds: float, *, back: bool) -> dict[str, Found]:
        names = [*self._plain, *self._timed]
        return {name: self._measure(name, workers, seconds) for name in (names[::-1] if back else names)}

    def _measure(self, name: str, workers: int, seconds: float) -> Found:
        if name in self._plain:
            loop(self._plain[name], workers, WARM_UP_SECONDS)
            return loop(self._plain[name], workers, seconds)
        self._free, self._mine = list(self._own), threading.local()
        crew = Loop(self._timed[name], Deal(QUERIES), k=K, workers=workers)
        crew.warm_up(WARM_UP_SECONDS)
        self._free, self._mine = list(self._own), threading.local()
        with unhindered():
            crew.measure(seconds)
        level = crew.level()
        if level.failed:
            raise SystemExit(f"{name}: {level.failures}")
        return Found(level.qps, level.latency.p50, level.latency.p99, 1_000 * level.cpu * level.seconds / max(level.searches, 1))

    def ceiling(self, workers: int, seconds: float) -> float:
        return loop(lambda number: self._searched.nothing(), workers, seconds).qps


def loop(way: Way, workers: int, seconds: float) -> Found:
    """As anybody would write it."""
    took: list[list[float]] = [[] for _ in range(workers)]
    until = time.perf_counter() + seconds

    def work(mine: list[float], number: int) -> None:
        while (began := time.perf_counter()) < until:
            way(number % QUERIES)
            mine.append(time.perf_counter() - began)
            number += workers

    threads = [threading.Thread(target=work, args=(mine, number)) for number, mine in enumerate(took)]
    cpu = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [each for mine in took for each in mine]
    found = latency(every)
    return Found(len(every) / seconds, found.p50, found.p99, 1_000 * (time.process_time() - cpu) / max(len(every), 1))


def table(rounds: dict[int, list[dict[str, Found]]]) -> str:
    """Medians over the rounds; the ratios are medians of each round's own."""
    head = "| threads | way | QPS | p50 ms | p99 ms | client ms a search | QPS ÷ MilvusClient | p50 ÷ | p99 ÷ |"
    lines = [head, "|--:|---|--:|--:|--:|--:|--:|--:|--:|"]
    for workers, found in rounds.items():
        for name in (BARE, BY_HAND, PERF, OWN):
            figures = [statistics.median(getattr(each[name], part) for each in found) for part in ("qps", "p50", "p99", "cpu")]
            ratios = [statistics.median(getattr(each[name], part) / getattr(each[BARE], part) for each in found) for part in ("qps", "p50", "p99")]
            cells = (f"{workers}", name, f"{figures[0]:,.0f}", *(f"{each:.2f}" for each in (*figures[1:], *ratios)))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, required=True, help="where the wheel milvus==2.3.5 is installed (pip install --target)")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each way in each round")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, MilvusServer(Path(folder) / "milvus", asked.wheel, fsync=True) as server, ExitStack() as open_:
        bench = Bench(open_, server.uri, server.token)
        bench.fill(asked.rows)
        rounds: dict[int, list[dict[str, Found]]] = {}
        ceilings = {}
        for workers in (1, 4, 16):
            bench.prepare(workers)
            rounds[workers] = [bench.round(workers, asked.seconds, back=bool(number % 2)) for number in range(asked.rounds)]
            ceilings[workers] = bench.ceiling(workers, asked.seconds)
        print(table(rounds))
        most = ", ".join(f"{qps:,.0f} calls/s with {workers}" for workers, qps in ceilings.items())
        print(f"\nOf calls to which the server has nothing to say this client makes, by number of threads: {most}.")


if __name__ == "__main__":
    main()
