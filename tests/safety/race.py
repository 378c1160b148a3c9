"""Pairs that several processes promote, roll back and clean up at the same moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mlflow import MlflowClient

from scripts import catalogue, config, ledger
from scripts.adapters.milvus import MilvusStore
from scripts.catalogue import Catalogue
from scripts.ledger import Act, ActKind
from tests.safety.place import cleared, judged_against
from tests.safety.workshop import Ended, Workshop
from tests.shop import Shop

DONE, REFUSED = 0, 4
SWITCHES = (ActKind.PROMOTION, ActKind.ROLLBACK)


@dataclass
class Race:
    """`count` pairs of a service on a server, each of a model version of its own. Use it with `with`."""

    shop: Shop
    folder: Path
    count: int
    service: str = "race-shop"
    pairs: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.shop.configure(
            service=self.service,
            source={"uri": "products.jsonl", "key": "product_id", "text": "{name}"},
            retention={"keep_days": 0, "keep_previous": self.count},
        )
        for number in range(self.count):
            habit = self.shop.folder / f"habit-{number}"
            habit.write_text(f"{number}\n\n")
            self.shop.stage("salted", habit=str(habit))
            pair = self.shop.do("build")["pair"]
            self.shop.do("validate", "--pair", pair)
            self.pairs.append(pair)
        self.shop.do("promote", "--pair", self.pairs[0])
        self.store = MilvusStore(self.shop.milvus_uri, self.shop.milvus_token)
        self._workshop = Workshop(self.folder).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._workshop.__exit__()
        cleared(self.store, self.alias)
        self.store.close()

    @property
    def alias(self) -> str:
        return f"{self.service.replace('-', '_')}_prod"

    @property
    def settings(self) -> Path:
        return self.shop.folder / "promotion.yaml"

    def world(self) -> Catalogue:
        return catalogue.read(self.store, config.load(self.settings, self.shop.environment))

    def acts(self) -> tuple[Act, ...]:
        found = ledger.read(self.store, self.alias)
        return found.acts if found else ()

    def validated(self) -> list[str]:
        """All but production, each as if it had been validated just now."""
        world = self.world()
        for entry in world.entries:
            if not entry.is_production:
                self.store.set_properties(entry.pair.collection, judged_against(entry.stamp, world.target) | entry.stamp.changes(rolled_back=False))
        return [entry.pair.collection for entry in world.entries if not entry.is_production]

    def at_once(self, *commands: list[str]) -> list[Ended]:
        return self._workshop.run_together(self.settings, self.shop.environment, [{"words": words} for words in commands])

    def left_dead(self, *words: str, step: int) -> Ended:
        """A process that is killed after this step."""
        job, *pair = words
        return self._workshop.run(
            self.settings, self.shop.environment, job=job, die="after step", at=step, **({"pair": pair[-1]} if pair else {})
        )

    def promoted_at_once(self, pairs: list[str]) -> list[str]:
        """What is wrong after all of these were promoted at the same moment; nothing, it is promised."""
        before = [act.id for act in self.acts()]
        ended = self.at_once(*(["promote", "--pair", pair] for pair in pairs))
        winners = [pair for pair, end in zip(pairs, ended, strict=True) if end.code == DONE]
        wrong = [f"{end.code}: {end.said}" for end in ended if end.code not in (DONE, REFUSED)]
        if len(winners) != 1:
            return [*wrong, f"{len(winners)} won: {[end.said for end in ended]}"]
        added = [act for act in self.acts() if act.id not in before]
        found: dict[str, Any] = {"alias": self.store.target(self.alias), "acts": [(act.kind.value, act.to, act.outcome) for act in added]}
        expected = {"alias": winners[0], "acts": [("promotion", winners[0], "done")]}
        return [*wrong, *([f"{found} instead of {expected}"] if found != expected else []), *self.inconsistencies()]

    def inconsistencies(self) -> list[str]:
        """Where alias, stamps, ledger and MLflow do not tell the same story. The ledger's switches are a chain: each began where the one before
        it had ended, which two at once would break."""
        world, wrong = self.world(), []
        switches = [act for act in self.acts() if act.kind in SWITCHES]
        for one, next_one in zip(switches, switches[1:], strict=False):
            if next_one.origin != one.to:
                wrong.append(f"{next_one.id} began at {next_one.origin}, though {one.id} had ended at {one.to}")
        if world.target != switches[-1].to:
            wrong.append(f"the alias is at {world.target}, the ledger ends at {switches[-1].to}")
        for entry in world.entries:
            serves = entry.stamp.promoted_at is not None and entry.stamp.retired_at is None
            if serves != entry.is_production or (entry.is_production and entry.stamp.unfinished):
                wrong.append(f"{entry.pair} is stamped as {'production' if serves else 'not production'}, unfinished {entry.stamp.unfinished!r}")
        if (found := ledger.read(self.store, self.alias)) and found.holder:
            wrong.append(f"locked: {found.holder}")
        if world.production is None or self._staged() != [world.production.pair.version]:
            wrong.append(f"MLflow has {self._staged()} in Production, the alias is at {world.target}")
        return wrong

    def _staged(self) -> list[int]:
        found = MlflowClient(self.shop.mlflow_uri).search_model_versions(f"name = '{self.shop.model}'")
        return [int(version.version) for version in found if version.current_stage == "Production"]
