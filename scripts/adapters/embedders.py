"""Embedding models as MLflow loads them: sentence_transformers natively, anything else as a pyfunc."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import Model as Description

from scripts.errors import UnfitModel, UsageError
from scripts.ports import Model


class SentenceTransformerModel:
    """Implements ports.Model. The library orders a batch by length itself and knows whether a prompt belongs to the pooling."""

    batch_size = 2_048
    INNER_BATCH = 32  # 128 costs 1.2 times as much on a CPU (MiniLM, product texts)

    def __init__(self, model: Any) -> None:
        self._model = model

    def encode(self, texts: Sequence[str], prompt: str) -> Any:
        with _the_models_own_failure():
            return self._model.encode(
                list(texts), prompt=prompt or None, batch_size=self.INNER_BATCH, convert_to_numpy=True, show_progress_bar=False
            )


class PyfuncModel:
    """Implements ports.Model for any pyfunc that takes a list of texts and returns a matrix. The prompt is put before each text."""

    batch_size = 256

    def __init__(self, model: Any) -> None:
        self._model = model

    def encode(self, texts: Sequence[str], prompt: str) -> Any:
        with _the_models_own_failure():
            return self._model.predict([prompt + text for text in texts])


def load_model(folder: Path) -> Model:
    """The model in this folder. Raises UsageError, naming the reason, when it cannot be loaded here."""
    try:
        flavors = Description.load(str(folder)).flavors
        with redirect_stdout(sys.stderr):  # what a model prints is not the command's answer
            if "sentence_transformers" in flavors:
                _hide_progress_bars()
                return SentenceTransformerModel(mlflow.sentence_transformers.load_model(str(folder)))
            if "python_function" in flavors:
                return PyfuncModel(mlflow.pyfunc.load_model(str(folder)))
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The model needs the package {error.name}, which is not installed here.",
            hint=f"Install its requirements: pip install -r {folder / 'requirements.txt'}",
        ) from None
    except Exception as error:  # a model's own code may raise anything
        raise UsageError(f"The model in {folder} fails to load: {_line(error)}.", hint="Does `mlflow.pyfunc.load_model` load it?") from None
    raise UsageError(f"The model has the flavors {', '.join(flavors)}; none takes texts.", hint="Log it as sentence_transformers or as a pyfunc.")


def _hide_progress_bars() -> None:
    """transformers draws one for every load ("Loading weights"), terminal or not (5.23)."""
    with suppress(ImportError):  # then the load itself says what is missing
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()


@contextmanager
def _the_models_own_failure() -> Iterator[None]:
    try:
        with redirect_stdout(sys.stderr):
            yield
    except Exception as error:  # a model's own code may raise anything
        raise UnfitModel(f"The model failed while encoding: {_line(error)}.") from None


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
