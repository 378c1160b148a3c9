"""The MLflow registry: which version is the candidate, its files, and moving stages or aliases."""

from __future__ import annotations

import logging
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.environment_variables import (
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
)
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from scripts import digests
from scripts.adapters.embedders import load_model
from scripts.addresses import shown
from scripts.errors import Unreachable, UsageError
from scripts.ports import Model, ModelVersion

CONNECT_SECONDS = 5.0
# With MLflow's own backoff (2, 4, 8 s …) about half a minute; the default of 7 would keep a person waiting for over four.
MAX_RETRIES = 4

# Written by MLflow into each download (3.17): not the model's.
_NOT_THE_MODELS = frozenset({"registered_model_meta"})
_DENIED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "401", "403")
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class MlflowRegistry:
    """Implements ports.Registry. Raises Unreachable, when made, if nothing answers at the address."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._loaded: tuple[tuple[Path, str], Model] | None = None
        self._quieten()
        with self._translated("its address"):
            self._prepare(uri)
            mlflow.set_tracking_uri(uri)
            self._client = MlflowClient(tracking_uri=uri)

    def candidate(self, name: str, selector: str) -> ModelVersion:
        version = self.at(name, selector)
        if version is None:
            raise UsageError(
                f"Model {name} has no version at {selector} in MLflow.",
                hint=f"Move one there, or pin one with --model-version. Versions: {self._versions(name)}.",
            )
        return ModelVersion(name, version)

    def version(self, name: str, version: int) -> ModelVersion:
        with self._translated(f"model {name} version {version}"):
            self._client.get_model_version(name, str(version))
        return ModelVersion(name, version)

    def at(self, name: str, selector: str) -> int | None:
        with self._translated(f"model {name}"):
            if not selector.startswith("@"):
                found = self._client.get_latest_versions(name, stages=[selector])
                return max((int(v.version) for v in found), default=None)
            aliases = self._client.get_registered_model(name).aliases
            return int(aliases[selector[1:]]) if selector[1:] in aliases else None

    def move(self, version: ModelVersion, selector: str) -> None:
        with self._translated(f"model {version.name} version {version.version}"):
            if selector.startswith("@"):
                self._client.set_registered_model_alias(version.name, selector[1:], str(version.version))
            else:
                self._client.transition_model_version_stage(version.name, str(version.version), selector, archive_existing_versions=True)

    def download(self, version: ModelVersion, folder: Path) -> str:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Fetched aside and then renamed, so that neither a crash nor another job on this machine meets half a model.
        with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
            model = Path(aside) / "model"
            with self._translated(f"the files of model {version.name} version {version.version}"):
                mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}", dst_path=str(model), tracking_uri=self._uri)
            # Actors of a cluster start together, and one may be loading already: what is there and the same is left alone.
            if not folder.is_dir() or self.digest(folder) != self.digest(model):
                with suppress(FileNotFoundError):
                    folder.rename(Path(aside) / "before")
                with suppress(OSError):  # somebody else's is there by now
                    model.rename(folder)
        return self.digest(folder)

    def digest(self, folder: Path) -> str:
        return digests.of_folder(folder, ignore=_NOT_THE_MODELS)

    def load(self, folder: Path) -> Model:
        """The last one is kept: whoever fills shard after shard, or asks a model for its dimension and then embeds, loads it once."""
        files = (folder, self.digest(folder))
        if self._loaded is None or self._loaded[0] != files:
            self._loaded = None  # two at once may be too many
            self._loaded = (files, load_model(folder))
        return self._loaded[1]

    def _versions(self, name: str) -> str:
        with self._translated(f"model {name}"):
            found = sorted(self._client.search_model_versions(f"name = '{name}'"), key=lambda v: int(v.version))
        return ", ".join(f"{v.version} ({v.current_stage})" for v in found[-5:]) or "none"

    @staticmethod
    def _quieten() -> None:
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        # Stages are deprecated since 2.9 and still what most registries use: known, and no news to the user of every command.
        warnings.filterwarnings("ignore", category=FutureWarning, module="(mlflow|scripts).*")
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
        MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(MAX_RETRIES)
        MLFLOW_HTTP_REQUEST_TIMEOUT.set(30)

    @staticmethod
    def _prepare(uri: str) -> None:
        """A dead address fails here at once, not after MLflow's retries, which are for connections lost on the way."""
        address = urlsplit(uri)
        if address.scheme == "sqlite":
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        if address.scheme not in ("http", "https"):
            return
        try:
            port = address.port or (443 if address.scheme == "https" else 80)
            socket.create_connection((address.hostname or "", port), timeout=CONNECT_SECONDS).close()
        except (OSError, ValueError):
            raise Unreachable(f"Nothing answers at MLFLOW_TRACKING_URI {shown(uri)}.", hint="Is the address right and the server up?") from None

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            code, line = str(error.error_code), shown(" ".join(str(error.message).split()))[:300]
            if code in _ABSENT:
                raise UsageError(f"MLflow does not know {what}: {line}.", hint="Check model.name in the configuration.") from None
            if any(word in code or f"error code {word}" in line for word in _DENIED):
                raise Unreachable(
                    f"MLflow does not let us in ({what}).", hint="Check MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD."
                ) from None
            raise Unreachable(f"MLflow at {shown(self._uri)} did not answer for {what}: {line}.") from None
        except (OSError, ImportError, ValueError, SQLAlchemyError) as error:  # a database's driver missing, its file corrupt, an odd address
            line = shown(" ".join(str(error).split()))[:300]
            raise Unreachable(f"MLflow at {shown(self._uri)} cannot be used for {what}: {type(error).__name__}: {line}.") from None
