"""One process of a query service: threads that ask through PairSearcher at a steady rate and check every answer.

    python -m benchmarks.load.client '{"alias": …}'      addresses come from the environment

Prints "ready" when it has its first answers, and ends when the file `stop` is there. `naive` asks as many services do: one model, loaded once,
and the alias.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.load.recognition import Recognition, asked, text
from scripts import config, wiring
from scripts.encoding import stamped_encoder
from scripts.errors import KitError
from scripts.ports import Hit
from scripts.serving import Backends, PairSearcher
from scripts.serving.looking import look
from scripts.serving.model_files import ModelFiles

LIMIT = 10
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Orders:
    alias: str
    salts: dict[str, str]
    """Of each pair."""
    rows: int
    threads: int
    rate: float
    """Queries a second of each thread."""
    models: str
    stop: str
    out: str
    seed: int
    naive: bool = False


@dataclass
class Seen:
    """One entry per query: when it began (seconds since the epoch), what it took, and what became of it."""

    began: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    pair: list[str] = field(default_factory=list)
    fault: list[str] = field(default_factory=list)
    """Empty, "mixed" for an answer that is not the pair's that it names, else the error."""


class Careful:
    """Through PairSearcher: the answer says whose it is."""

    def __init__(self, orders: Orders) -> None:
        self._searcher = PairSearcher(orders.alias, models=Path(orders.models), timeout=TIMEOUT_SECONDS)

    def ask(self, query: str) -> tuple[str, tuple[Hit, ...]]:
        answer = self._searcher.search(query, limit=LIMIT)
        return answer.pair, answer.hits


class Naive:
    """With the model that was production's at the start, through the alias: the answer does not say whose it is, so its model's is assumed."""

    def __init__(self, orders: Orders) -> None:
        environment = config.environment(Path.cwd())
        store = wiring.open_store(environment, patience=TIMEOUT_SECONDS)
        seen = look(store, orders.alias)
        self._pair = seen.collection
        self._encoder = stamped_encoder(ModelFiles(environment.mlflow_uri), seen.stamp, Path(orders.models))
        self._production = store.through(orders.alias, seen.stamp.layout)

    def ask(self, query: str) -> tuple[str, tuple[Hit, ...]]:
        return self._pair, tuple(self._production.search(self._encoder.queries([query]), LIMIT)[0])


def work(orders: Orders, client: Careful | Naive, seen: Seen, number: int) -> None:
    known = {pair: Recognition(salt, orders.rows) for pair, salt in orders.salts.items()}
    stop, beat, parent = Path(orders.stop), 1 / orders.rate, os.getppid()
    due = time.monotonic() + number * beat / orders.threads
    for product in asked(orders.rows, orders.seed + number):
        if stop.exists() or os.getppid() != parent:
            return
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + beat, time.monotonic())
        began, clock = time.time(), time.perf_counter()
        pair, fault = "", ""
        try:
            pair, hits = client.ask(text(product))
        except KitError as error:
            fault = f"{type(error).__name__}: {error}"
        except Exception as error:  # would be a traceback in somebody's service
            fault = f"TRACEBACK {type(error).__name__}: {error}"
        ms = (time.perf_counter() - clock) * 1000
        if not fault and not known[pair].recognises(product, hits):
            fault = "mixed"
        seen.began.append(began)
        seen.ms.append(ms)
        seen.pair.append(pair)
        seen.fault.append(fault)


def main() -> None:
    orders = Orders(**json.loads(sys.argv[1]))
    client = Naive(orders) if orders.naive else Careful(orders)
    for _ in range(20):
        client.ask("warming up")
    seen = [Seen() for _ in range(orders.threads)]
    threads = [threading.Thread(target=work, args=(orders, client, each, number)) for number, each in enumerate(seen)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()
    together = {name: sum((asdict(each)[name] for each in seen), []) for name in asdict(seen[0])}
    Path(orders.out).write_text(json.dumps(together))


def backends(models: Path) -> Backends:
    """For measuring without a searcher."""
    environment = config.environment(Path.cwd())
    return Backends(wiring.open_store(environment, patience=TIMEOUT_SECONDS), ModelFiles(environment.mlflow_uri), models)


if __name__ == "__main__":
    main()
