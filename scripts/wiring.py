"""Chooses the adapters: the one place, besides the command line, that sees both the core and the outside.

Adapters are imported when they are asked for: pymilvus costs two CPU seconds and MLflow three and a half, and no command should pay
for what it does not use.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

import click

from scripts.capacity.occupancy import Occupancy
from scripts.config import prepare_libraries
from scripts.environment import Environment
from scripts.errors import UsageError
from scripts.pipelines import Pipelines
from scripts.ports import Collection, Importer, Registry, Runs, Source, VectorCache, VectorStore
from scripts.settings import BulkSettings, Settings, SourceSettings

if TYPE_CHECKING:
    from scripts.adapters.milvus import MilvusStore
    from scripts.adapters.milvus.roles import MilvusRoles


def open_store(environment: Environment, **patience: float) -> MilvusStore:
    """Milvus, as the environment names it; to be closed after use. With `patience` in seconds, for who answers queries."""
    prepare_libraries()
    from scripts.adapters.milvus import MilvusStore

    return MilvusStore(environment.milvus_uri, environment.milvus_token.get_secret_value(), tls=environment.milvus_tls, **patience)


def open_roles(environment: Environment) -> MilvusRoles:
    """Users and roles of the server, for an administrator; to be closed after use."""
    prepare_libraries()
    from scripts.adapters.milvus.roles import MilvusRoles

    return MilvusRoles(environment.milvus_uri, environment.milvus_token.get_secret_value(), environment.milvus_tls)


class Wiring:
    """Implements ports.Parts: each part is made on first use and closed at the end of the `with` block."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._open = ExitStack()

    def __enter__(self) -> Wiring:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    @cached_property
    def store(self) -> VectorStore:
        return self._open.enter_context(open_store(self.settings.environment))

    @cached_property
    def occupancy(self) -> Occupancy:
        store = self.store
        from scripts.adapters.milvus.occupancy import MilvusOccupancy

        return MilvusOccupancy(store)

    @cached_property
    def registry(self) -> Registry:
        prepare_libraries()
        from scripts.adapters.mlflow import MlflowRegistry

        return MlflowRegistry(self._mlflow_uri)

    @cached_property
    def runs(self) -> Runs:
        prepare_libraries()
        from scripts.adapters.mlflow_runs import MlflowRuns

        return MlflowRuns(self._mlflow_uri, self.settings.service)

    @cached_property
    def _mlflow_uri(self) -> str:
        environment = self.settings.environment
        if environment.mlflow_unverified and environment.mlflow_uri.startswith("https://"):
            click.echo("warning: MLFLOW_TRACKING_INSECURE_TLS is set: whoever answers at MLFLOW_TRACKING_URI is believed.", err=True)
        return environment.mlflow_uri

    @cached_property
    def pipelines(self) -> Pipelines:
        from scripts.adapters.circleci import CircleCi

        if self.settings.pipeline is None:
            raise UsageError("The configuration does not say which CircleCI project runs this service's pipelines.", hint="Set pipeline: {project: gh/…/…}.")
        return CircleCi(self.settings.pipeline, self.settings.environment.circleci_token)

    @cached_property
    def source(self) -> Source:
        return self.open_source(self.settings.source)

    def open_source(self, settings: SourceSettings) -> Source:
        from scripts.adapters.sources import open_source

        return open_source(settings, self.settings.root, self.settings.environment.source_password)

    def refuse_without_bulk(self) -> BulkSettings:
        """Before a collection is made for it."""
        if self.settings.bulk is None:
            raise UsageError("--writer bulk needs to know a folder that Milvus sees as well.", hint="Set bulk: {uri: …, prefix: …} in the configuration.")
        return self.settings.bulk

    def importer(self, collection: Collection) -> Importer:
        bulk = self.refuse_without_bulk()
        return collection.importer(bulk.uri, self.settings.root, bulk.prefix)

    def cache(self, fingerprint: str, dimension: int) -> VectorCache | None:
        if self.settings.cache is None:
            return None
        from scripts.adapters.vector_cache import open_cache

        return open_cache(self.settings.cache, self.settings.root, fingerprint, dimension)

    def now(self) -> datetime:
        return datetime.now(UTC)
