"""A service whose world can be put back to how it was: where jobs are killed again and again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from scripts import catalogue, config, evidence, ledger
from scripts.adapters.milvus import MilvusStore
from scripts.adapters.sources import open_source
from scripts.catalogue import Catalogue
from scripts.errors import Refused
from scripts.heartbeat import is_dead
from scripts.pair import Pair, Stamp, State
from scripts.ports import Collection
from scripts.records import Faults, RowCleaner, Rows
from scripts.wiring import Wiring
from tests.models.salted import vectors
from tests.shop import Shop, products

GROWN = {"product_id": 151, "name": "chrome stool", "description": "", "price_cents": 15_100}
# Evidence has moments in it; rows that a killed catch-up had counted may be counted again by the next.
_FREE = ("promotion.evidence", "promotion.changed_rows")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(\+00:00|Z)?|\d{8}T\d{12}")


def judged_against(stamp: Stamp, production: str | None) -> dict[str, str]:
    """Properties of a pair that was validated before, as if that had been just now and against this production."""
    judged = evidence.Evidence.model_validate_json(stamp.evidence)
    judged = judged.model_copy(update={"production": production or "", "judged_at": datetime.now(UTC)})
    return stamp.changes(evidence=judged.model_dump_json(), evidence_digest=judged.digest)


def cleared(store: MilvusStore, alias: str) -> None:
    """Nothing of this service is left on a server that others use."""
    store.withdraw(alias)
    for name in store.collections():
        if name.startswith((f"{alias}_ledger_", f"{alias.removesuffix('_prod')}_v")):
            store.drop(name)


def _readable(stamp: dict[str, str]) -> bool:
    try:
        return Stamp.read("", stamp) is not None
    except Refused:
        return False


@dataclass
class Start:
    """A world to begin in: where the alias is, and what every pair is stamped with."""

    target: str | None
    stamps: dict[str, dict[str, str]]
    released: frozenset[str] = frozenset()
    grown: bool = False
    """Whether the source has a row more than the pairs."""


@dataclass
class Place:
    """Pairs `a`, `b`, `c` are sound and each made with a model of its own; the vectors of `bad` were spoiled after its validation, so that its
    golden queries find nothing; `x` and `y` were rejected.

    Everything is real: the pairs are built and validated by the command line, on a server or in a milvus-lite file.
    """

    shop: Shop
    service: str
    embedded: bool
    pairs: dict[str, str] = field(default_factory=dict)
    _was_grown: bool = False

    @classmethod
    def made(cls, shop: Shop, service: str, embedded: bool) -> Place:
        place = cls(shop, service, embedded)
        place.configure()
        for name in ("a", "b", "c", "bad"):
            place.pairs[name] = place._built(name)
            shop.do("validate", "--pair", place.pairs[name])
        with place.store() as store:
            place._spoil(store, place.pairs["bad"])
            for number, name in enumerate("xy"):
                place.pairs[name] = place._rejected(store, f"{number:08x}")
        if embedded:
            shutil.copytree(shop.milvus_uri, place._original)
        return place

    def configure(self, **promotion: Any) -> None:
        """With these settings for promotions."""
        self.shop.configure(
            service=self.service,
            source={"uri": "products.jsonl", "key": "product_id", "text": "{name}", "columns": ["price_cents"]},
            promotion={"max_changed": 0.05, "probe_seconds": 60} | promotion,
            retention={"keep_days": 0, "keep_previous": 2, "keep_loaded": 1},
        )

    @property
    def alias(self) -> str:
        return f"{self.service.replace('-', '_')}_prod"

    @property
    def config(self) -> Path:
        return self.shop.folder / "promotion.yaml"

    @property
    def names(self) -> dict[str, str]:
        return {pair: name for name, pair in self.pairs.items()}

    def kit(self) -> Wiring:
        """The parts of jobs, for who runs them in this process."""
        return Wiring(config.load(self.config, self.shop.environment))

    @contextmanager
    def store(self) -> Iterator[MilvusStore]:
        with MilvusStore(self.shop.milvus_uri, self.shop.milvus_token) as store:
            yield store

    def read(self, store: MilvusStore) -> Catalogue:
        return catalogue.read(store, config.load(self.config, self.shop.environment))

    def remembered(self, store: MilvusStore) -> Start:
        world = self.read(store)
        return Start(world.target, {e.pair.collection: store.properties(e.pair.collection) or {} for e in world.entries})

    def rebased(self, start: Start) -> Start:
        """As if every pair that may be promoted had been validated against this world's production."""
        stamps = dict(start.stamps)
        for name in ("a", "b", "c", "bad"):
            stamp = Stamp.read(name, stamps[self.pairs[name]])
            assert stamp is not None
            if stamp.has_served:
                continue
            stamps[self.pairs[name]] |= judged_against(stamp, start.target)
        return Start(start.target, stamps)

    def reset(self, start: Start, store: MilvusStore | None = None) -> None:
        """Puts everything back: pairs, rows, stamps, memory, the alias, the ledger, the source and MLflow's stages."""
        self.shop.write_products([*products(), *([GROWN] if start.grown else [])])
        self._reset_stages(start)
        if self.embedded:
            shutil.rmtree(self.shop.milvus_uri)
            shutil.copytree(self._original, self.shop.milvus_uri)
        if store is None:
            with self.store() as store:
                self._reset(start, store)
        else:
            self._reset(start, store)

    def state(self, store: MilvusStore) -> dict[str, Any]:
        """All that the kit says of this world, without what differs from run to run: moments, and who held the lock."""
        found = ledger.read(store, self.alias)
        acts = [act.model_dump(mode="json", exclude={"id", "at", "url"}) for act in found.acts] if found else []
        state = {
            "alias": store.target(self.alias),
            "held": str(found.holder) if found and found.holder and not is_dead(found.holder.token) else "",
            "ledgers": len(ledger.numbers(store, self.alias)),
            "acts": acts,
            "pairs": {},
            "in MLflow": self._stages(),
            "runs of acts": [self._runs(act.id) for act in found.acts] if found else [],
        }
        for entry in self.read(store).entries:
            collection = store.open(entry.pair.collection)
            loaded = collection.is_loaded()
            stamp = {key: _MOMENT.sub("…", value) for key, value in entry.stamp.properties().items() if not key.startswith(_FREE)}
            if entry.stamp.rolled_back:
                stamp.pop("promotion.unfinished")  # what it began will not be finished
            rows = collection.count() if loaded else None
            state["pairs"][entry.pair.collection] = {"state": entry.state.value, "loaded": loaded, "rows": rows} | stamp
        return json.loads(self._renamed(json.dumps(state)))

    def _renamed(self, text: str) -> str:
        for pair, name in self.names.items():
            text = text.replace(pair, name)
        return text

    def _built(self, name: str) -> str:
        habit = self.shop.folder / f"habit-{name}"
        habit.write_text(f"{name}\n\n")
        self.shop.stage("salted", habit=str(habit))
        return self.shop.do("build")["pair"]

    def _rejected(self, store: MilvusStore, build: str) -> str:
        like = Stamp.read("a", store.properties(self.pairs["a"]) or {})
        assert like is not None
        pair = Pair(self.service.replace("-", "_"), 1, build).collection
        stamp = like.changed(state=State.REJECTED, verdict="fail", evidence="", evidence_digest="", shards={}, content=None)
        store.create(pair, like.layout, stamp.properties())
        return pair

    def _spoil(self, store: MilvusStore, pair: str) -> None:
        """Other vectors for the very same rows, which no check before the switch can see."""
        collection = store.open(pair)
        settings = config.load(self.config, self.shop.environment).source
        cleaner = RowCleaner(settings, collection.layout.key, collection.layout.columns, Faults(settings))
        rows = Rows.joined([cleaner.clean(raw) for raw in open_source(settings, self.shop.folder, None).read()])
        collection.write(rows, vectors("spoiled", [str(key) for key in rows.keys]))
        collection.flush()

    @property
    def _original(self) -> Path:
        return self.shop.folder / "original.db"

    def _reset(self, start: Start, store: MilvusStore) -> None:
        if self._was_grown and not self.embedded:
            for pair in start.stamps:
                store.open(pair).delete([GROWN["product_id"]])
        self._was_grown = start.grown
        for number in ledger.numbers(store, self.alias):
            store.drop(ledger.name_of(self.alias, number))
        if start.target:
            store.point(self.alias, start.target)
        else:
            store.withdraw(self.alias)
        for pair, stamp in start.stamps.items():
            there = store.properties(pair)
            if there is None:
                assert self.names[pair] in "xy", f"{self.names[pair]} was dropped, and cannot be made again"
                self._rejected(store, pair[-8:])
                there = store.properties(pair) or {}
            changed = {key: "" for key in there if key.startswith("promotion.") and key not in stamp} | stamp
            if wrong := {key: value for key, value in changed.items() if there.get(key, "") != value}:
                store.set_properties(pair, wrong)
            if _readable(stamp):
                self._reset_memory(store.open(pair), released=pair in start.released or self.names[pair] in "xy")

    @staticmethod
    def _reset_memory(collection: Collection, released: bool) -> None:
        if collection.is_loaded() == released:
            (collection.release if released else collection.load)()

    def _reset_stages(self, start: Start) -> None:
        client = MlflowClient(self.shop.mlflow_uri)
        production = Pair.parse(start.target).version if start.target else None
        for version in client.search_model_versions(f"name = '{self.shop.model}'"):
            wanted = "Production" if int(version.version) == production else "Staging"
            if version.current_stage != wanted:
                client.transition_model_version_stage(self.shop.model, version.version, wanted)

    def _stages(self) -> dict[str, str]:
        found = MlflowClient(self.shop.mlflow_uri).search_model_versions(f"name = '{self.shop.model}'")
        return {str(version.version): version.current_stage for version in sorted(found, key=lambda version: int(version.version))}

    def _runs(self, act: str) -> int:
        client = MlflowClient(self.shop.mlflow_uri)
        experiment = client.get_experiment_by_name(self.service)
        return len(client.search_runs([experiment.experiment_id], f"tags.`promotion.act` = '{act}'")) if experiment else 0
