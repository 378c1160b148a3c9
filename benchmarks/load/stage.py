"""A service with two pairs whose models have one dimension, and the clients that query it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.load.client import Orders
from benchmarks.load.recognition import text
from scripts.pair import production_alias
from tests.shop import Shop

ROOT = Path(__file__).parents[2]
START_SECONDS = 180


@dataclass(frozen=True)
class Switch:
    """A command that moved production: when it began and ended, in seconds since the epoch."""

    command: str
    to: str
    began: float
    ended: float


@dataclass
class Stage:
    shop: Shop
    service: str
    rows: int
    first: str = ""
    second: str = ""

    @classmethod
    def built(cls, shop: Shop, service: str, rows: int) -> Stage:
        """The first pair is production, the second validated. Every product's own text is a query for it."""
        stage = cls(shop, service, rows)
        shop.configure(service=service, source={"uri": "products.jsonl", "key": "product_id", "text": "{name}"})
        shop.write_products([{"product_id": number, "name": text(number)} for number in range(1, rows + 1)])
        asked = range(1, rows + 1, max(1, rows // 60))
        shop.write_suite(judgments=[(f"q{number}", number, 2) for number in asked])
        (shop.folder / "golden" / "queries.csv").write_text("query_id,query\n" + "".join(f"q{number},{text(number)}\n" for number in asked))
        stage.first = stage._pair("first")
        shop.do("promote", "--pair", stage.first)
        stage.second = stage._pair("second")
        return stage

    def _pair(self, salt: str) -> str:
        habit = self.shop.folder / f"habit-{salt}"
        habit.write_text(salt)
        self.shop.stage("salted", habit=str(habit))
        pair = self.shop.do("build")["pair"]
        self.shop.do("validate", "--pair", pair)
        return pair

    @property
    def alias(self) -> str:
        return production_alias(self.service)

    def switch_to_and_fro(self) -> Iterator[Switch]:
        """Promotions of the second pair and rollbacks to the first, in turn, without end. A pair that was rolled back is validated anew first."""
        while True:
            yield self._timed("promote", self.second, "promote", "--pair", self.second)
            yield self._timed("rollback", self.first, "rollback", "--to", self.first, "--reason", "load")
            self.shop.do("validate", "--pair", self.second)

    def _timed(self, command: str, to: str, *words: str) -> Switch:
        began = time.time()
        self.shop.do(*words)
        return Switch(command, to, began, time.time())


@dataclass(frozen=True)
class Crowd:
    """Processes, and threads in each."""

    name: str
    processes: int
    threads: int
    rate: float
    naive: bool = False


@contextmanager
def querying(stage: Stage, crowds: list[Crowd]) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Runs all clients during the block; afterwards what each of them saw is in the mapping, by the name of its crowd."""
    seen: dict[str, list[dict[str, Any]]] = {crowd.name: [] for crowd in crowds}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        running = []
        for crowd in crowds:
            for number in range(crowd.processes):
                running.append((crowd.name, *_started(stage, crowd, place, f"{crowd.name}-{number}", len(running))))
        try:
            for name, process, _ in running:
                if process.stdout.readline().strip() != "ready":
                    raise RuntimeError(f"A client of {name} did not start: {process.stderr.read()[-2000:]}")
            yield seen
        finally:
            (place / "stop").touch()
            for _, process, _ in running:
                process.wait(START_SECONDS)
        for name, process, out in running:
            if process.returncode:
                raise RuntimeError(f"A client of {name} ended with {process.returncode}: {process.stderr.read()[-2000:]}")
            seen[name].append(json.loads(out.read_text()))


def _started(stage: Stage, crowd: Crowd, place: Path, name: str, number: int) -> tuple[subprocess.Popen[str], Path]:
    orders = Orders(
        alias=stage.alias,
        salts={stage.first: "first", stage.second: "second"},
        rows=stage.rows,
        threads=crowd.threads,
        rate=crowd.rate,
        models=str(place / f"models-{name}"),
        stop=str(place / "stop"),
        out=str(place / f"{name}.json"),
        seed=1_000 * number,
        naive=crowd.naive,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load.client", json.dumps(asdict(orders))],
        cwd=ROOT,
        env=os.environ | stage.shop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, Path(orders.out)


def overhead(stage: Stage, queries: int) -> dict[str, Any]:
    """What one query takes through PairSearcher and without it, in a process of its own."""
    with tempfile.TemporaryDirectory() as models:
        words = [sys.executable, "-m", "benchmarks.load.overhead", stage.alias, models, str(queries)]
        warmed = "from pathlib import Path; import sys; from scripts.serving import PairSearcher; PairSearcher(sys.argv[1], models=Path(sys.argv[2])).close()"
        environment = os.environ | stage.shop.environment
        subprocess.run([sys.executable, "-c", warmed, stage.alias, models], cwd=ROOT, env=environment, check=True, capture_output=True)
        done = subprocess.run(words, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)
