"""Models from a folder on this machine, filled from MLflow."""

from __future__ import annotations

from pathlib import Path

from scripts.adapters.embedders import load_model
from scripts.adapters.mlflow import MlflowRegistry
from scripts.ports import Model, ModelVersion


class ModelFiles(MlflowRegistry):
    """The registry for who only needs models that are stamped: MLflow is asked for files that are not here yet and for nothing else, so a service
    starts and goes on without it. And no model is kept that nobody uses."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def download(self, version: ModelVersion, folder: Path) -> str:
        return MlflowRegistry(self._uri).download(version, folder)

    def load(self, folder: Path) -> Model:
        return load_model(folder)
