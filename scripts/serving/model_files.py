"""Models from a folder on this machine, filled from MLflow."""

from __future__ import annotations

from pathlib import Path

from scripts.adapters.embedders import load_model
from scripts.adapters.mlflow import MlflowRegistry
from scripts.ports import Model


class ModelFiles(MlflowRegistry):
    """The registry for a service, which keeps no model that nobody uses."""

    def load(self, folder: Path) -> Model:
        return load_model(folder)
