"""The MLflow registry: which version is the candidate, its files, and moving stages or aliases."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from scripts import digests
from scripts.adapters.embedders import load_model
from scripts.adapters.mlflow_connection import connect, one_line, refuse_silent, translated
from scripts.errors import UsageError
from scripts.ports import Model, ModelVersion

# Written by MLflow into each download (3.17): not the model's.
_NOT_THE_MODELS = frozenset({"registered_model_meta"})
_REQUIREMENTS, _CONDA = "requirements.txt", "conda.yaml"
# Servers of now take 100,000 characters (3.17), older ones this many; longer ones are refused.
_TAG_CHARS = 5_000
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class MlflowRegistry:
    """Implements ports.Registry. Raises Unreachable, when it is first asked for something, if nothing answers at the address; a model that was fetched
    before can be loaded without."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._loaded: tuple[tuple[Path, str], Model] | None = None

    @cached_property
    def _client(self) -> MlflowClient:
        client = connect(self._uri)
        refuse_silent(self._uri)  # a rollback tells it last and holds the lock meanwhile, and `status` says nothing before it has asked
        with self._translated("its address"):
            mlflow.set_tracking_uri(self._uri)
        return client

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

    def tag(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Values are cut to what MLflow takes. A tag that is there already is not set again: each setting is an event for MLflow's webhooks."""
        with self._translated(f"model {version.name} version {version.version}"):
            there = self._client.get_model_version(version.name, str(version.version)).tags
            for name, value in tags.items():
                if there.get(name) != (cut := value[:_TAG_CHARS]):
                    self._client.set_model_version_tag(version.name, str(version.version), name, cut)

    def download(self, version: ModelVersion, folder: Path) -> str:
        self.version(version.name, version.version)  # a dead address fails here, before MLflow's own patience
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

    def requirements(self, version: ModelVersion) -> list[str]:
        self.version(version.name, version.version)
        uri = f"models:/{version.name}/{version.version}"
        with tempfile.TemporaryDirectory() as folder, self._translated(f"the requirements of model {version.name} version {version.version}"):
            # Its requirements.txt alone where it has one; get_model_dependencies fetches the whole model for it (3.17), which may be gigabytes.
            names = {file.path.rpartition("/")[2] for file in mlflow.artifacts.list_artifacts(artifact_uri=uri, tracking_uri=self._uri)}
            if _REQUIREMENTS in names:
                path = mlflow.artifacts.download_artifacts(f"{uri}/{_REQUIREMENTS}", dst_path=folder, tracking_uri=self._uri)
            elif _CONDA in names:
                model = mlflow.artifacts.download_artifacts(uri, dst_path=folder, tracking_uri=self._uri)
                path = mlflow.pyfunc.get_model_dependencies(model, format="pip")
            else:
                return []
            return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()

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

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        with translated(self._uri, what):
            try:
                yield
            except MlflowException as error:
                if str(error.error_code) in _ABSENT:
                    hint = "Check model.name in the configuration, and whether MLFLOW_TRACKING_URI is where it is registered."
                    raise UsageError(f"MLflow does not know {what}: {one_line(error.message)}.", hint=hint) from None
                raise
