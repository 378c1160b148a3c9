"""What the commands need: a pair in production, a backup of it, and a shop in which pairs are built with a model that costs nothing."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults.running import Running
from tests.faults.world import PAIR, Held, Loss, World
from tests.servers import MilvusServer, MlflowServer
from tests.shop import Shop

PRODUCTS = 12_000


class Place:
    """On servers that run. One build at a time: its model writes down what it encodes."""

    def __init__(self, milvus: MilvusServer, mlflow: MlflowServer, folder: Path) -> None:
        self.world = World(milvus, folder / "production")
        self.products = PRODUCTS
        self.backup = folder / "backup"
        self._folder = folder
        self._runs = 0
        self._expected: Held = {}
        self.do(["backup", "--pair", PAIR, "--to", str(self.backup), *self.world.config], self.world.environment)
        self.shop = Shop(folder / "shop", milvus.uri, milvus.token, mlflow.uri)
        self.shop_config = ["--config", str(self.shop.folder / "promotion.yaml")]
        self.shop.write_products([{"product_id": i, "name": f"product number {i}", "description": "", "price_cents": i} for i in range(PRODUCTS)])
        self._journal, pointer = folder / "encoded.txt", folder / "pointer.txt"
        pointer.write_text(str(self._journal))
        self.shop.stage("slow", journal=str(pointer))
        self.learn()

    def do(self, words: list[str], environment: dict[str, str]) -> str:
        """Runs a command that must succeed, to its end."""
        self._runs += 1
        with Running(self._folder / f"run-{self._runs}", words, environment) as run:
            if code := run.wait(600):
                raise SystemExit(f"{' '.join(words)} ended with {code}:\n{run.told()}")
        return "\n".join(said.text for said in run.out)

    def begin_pair(self) -> str:
        """A pair that is to be filled. What was encoded before is forgotten."""
        pair = json.loads(self.do(["create", "--json", *self.shop_config], self.shop.environment))["pair"]
        self._journal.write_text("")
        return pair

    def encoded(self) -> list[str]:
        """Every text that the model was given since, as often as it was."""
        return [line for line in self._journal.read_text().splitlines() if line.startswith("product")]

    def learn(self) -> None:
        """What a build comes to that nothing befalls."""
        pair = self.begin_pair()
        self.do(["embed", "--pair", pair, *self.shop_config], self.shop.environment)
        self._expected, _ = self.world.held(pair)
        self.world.drop(pair)
        if len(self._expected) != PRODUCTS:
            raise SystemExit(f"{len(self._expected):,} of {PRODUCTS:,} rows were built though nothing happened.")

    def loss_of_build(self, pair: str) -> Loss:
        return self.world.loss(pair, self._expected)
