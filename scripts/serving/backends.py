"""Where a searcher's pairs come from: Milvus, and model files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts import config, wiring
from scripts.encoding import stamped_encoder
from scripts.pair import Stamp
from scripts.ports import Registry, VectorStore
from scripts.serving.live_pair import LivePair
from scripts.serving.looking import Look, look, stamped
from scripts.settings import EMBEDDED_FOLDER


@dataclass(frozen=True)
class Backends:
    store: VectorStore
    registry: Registry
    models: Path

    def look(self, alias: str) -> Look:
        return look(self.store, alias)

    def ready(self, collection: str, stamp: Stamp, *, timeout: float) -> LivePair:
        """Loaded, and asked a few times. Raises Refused where the stamped model has changed or the collection does not answer."""
        encoder = stamped_encoder(self.registry, stamp, self.models)
        live = LivePair(self.store.open(collection), stamp, encoder, timeout)
        live.warm()
        return live

    def candidate(self, collection: str, *, timeout: float) -> LivePair:
        """The same of a canary's candidate, whose stamp was not looked at yet."""
        return self.ready(collection, stamped(self.store, collection)[1], timeout=timeout)


@contextmanager
def opened(timeout: float, models: Path | None) -> Iterator[Backends]:
    """As the environment names them; embedded parts are below the current folder, as for the commands."""
    environment = config.environment(Path.cwd())
    with wiring.open_store(environment, patience=timeout) as store:
        store.connect()
        from scripts.serving.model_files import ModelFiles  # MLflow takes seconds to import; an address that is wrong is told before

        yield Backends(store, ModelFiles(environment.mlflow_uri), Path(models or Path(EMBEDDED_FOLDER) / "models"))
