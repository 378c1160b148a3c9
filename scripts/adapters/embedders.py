"""Embedding models as MLflow loads them: sentence_transformers natively, anything else as a pyfunc."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import Model as Description

from scripts.errors import EncodingFailed, UsageError
from scripts.ports import Model

_QUERY_PROMPTS = ("query",)
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


class SentenceTransformerModel:
    """Implements ports.Model, on the GPU where the machine has one. The library orders a batch by length itself and knows whether a
    prompt belongs to the pooling."""

    def __init__(self, model: Any) -> None:
        self._model = model
        # On a CPU 32 costs least (128: 1.2 times as much; MiniLM, product texts). A GPU wants enough work at once to be kept busy.
        gpu = model.device.type != "cpu"
        self._inner_batch = 256 if gpu else 32
        self.batch_size = 1_024 if gpu else 512

    def encode(self, texts: Sequence[str], prompt: str) -> Any:
        with _the_models_own_failure():
            # An empty prompt is one: without any the library would put the model's default prompt before every text, query or not.
            return self._model.encode(
                list(texts), prompt=prompt, batch_size=self._inner_batch, convert_to_numpy=True, show_progress_bar=False
            )

    def cut_off(self, texts: Sequence[str], prompt: str) -> list[int]:
        """Counted in tokens, and only of texts with more characters than the model takes tokens: no token is shorter than a character."""
        # Both are its first module's, which may be anybody's and have neither.
        limit, tokenizer = getattr(self._model, "max_seq_length", None), getattr(self._model, "tokenizer", None)
        long = [position for position, text in enumerate(texts) if limit and len(prompt) + len(text) > limit - 2]
        if not long or not callable(tokenizer):
            return []
        with _the_models_own_failure():
            counted = tokenizer([prompt + texts[position] for position in long], truncation=False, verbose=False, return_attention_mask=False)
        return [position for position, tokens in zip(long, counted["input_ids"], strict=True) if len(tokens) > limit]

    def declared_prompts(self) -> tuple[str | None, str | None]:
        """By the names that the library itself looks for. It makes an empty one of each that a model lacks (since 5.0), so an empty one says
        something only beside the other that is not."""
        prompts: dict[str, str] = getattr(self._model, "prompts", None) or {}
        query, document = (next(filter(None, map(prompts.get, names)), "") for names in (_QUERY_PROMPTS, _DOCUMENT_PROMPTS))
        if not query and not document:
            return None, None
        return query if prompts.keys() & set(_QUERY_PROMPTS) else None, document if prompts.keys() & set(_DOCUMENT_PROMPTS) else None


class PyfuncModel:
    """Implements ports.Model for any pyfunc that takes a list of texts and returns a matrix. The prompt is put before each text."""

    batch_size = 256

    def __init__(self, model: Any) -> None:
        self._model = model

    def encode(self, texts: Sequence[str], prompt: str) -> Any:
        with _the_models_own_failure():
            return self._model.predict([prompt + text for text in texts])

    def cut_off(self, texts: Sequence[str], prompt: str) -> list[int]:
        return []  # a pyfunc does not say what it can take

    def declared_prompts(self) -> tuple[str | None, str | None]:
        return None, None


def load_model(folder: Path) -> Model:
    """The model in this folder. Raises UsageError, naming the reason, when it cannot be loaded here."""
    # What a model's own code imports would leave bytecode beside it, and its folder would not have its digest any more: it would be fetched anew by
    # each command, and not be at hand where MLflow is down.
    sys.dont_write_bytecode = True
    try:
        flavors = Description.load(str(folder)).flavors
        with _prints_aside():
            if "sentence_transformers" in flavors:
                _hide_progress_bars()
                return SentenceTransformerModel(mlflow.sentence_transformers.load_model(str(folder)))
            if "python_function" in flavors:
                return PyfuncModel(mlflow.pyfunc.load_model(str(folder)))
    except (Exception, SystemExit) as error:  # a model's own code may raise anything, and must not end this with an exit code of its own
        if package := _lacking(error):
            hint = "`requirements --out model-requirements.txt` writes what it needs, for pip install -r."  # its own file may bring options of pip along
            raise UsageError(f"The model needs the package {package}, which is not installed here.", hint=hint) from None
        raise UsageError(f"The model in {folder} fails to load: {_line(error)}.", hint="Does `mlflow.pyfunc.load_model` load it?") from None
    raise UsageError(f"The model has the flavors {', '.join(flavors)}; none takes texts.", hint="Log it as sentence_transformers or as a pyfunc.")


def _lacking(error: BaseException | None) -> str | None:
    """The package that was not found; of a model as code it is the cause of what MLflow raises (3.17)."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__
    return error.name if error else None


def _hide_progress_bars() -> None:
    """transformers draws one for every load ("Loading weights"), terminal or not (5.23)."""
    with suppress(ImportError):  # then the load itself says what is missing
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()


@contextmanager
def _prints_aside() -> Iterator[None]:
    """What a model prints is not the command's answer. Only for the main thread, where commands run: `sys.stdout` is everybody's, and of two
    threads that exchange it at once the later puts back what the earlier had put there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def _the_models_own_failure() -> Iterator[None]:
    try:
        with _prints_aside():
            yield
    except (Exception, SystemExit) as error:
        raise EncodingFailed(f"The model failed while encoding: {_line(error)}.") from None


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
