"""The demo's embedding model as MLflow keeps it: text to unit vectors by latent semantic analysis (LSA).

MLflow copies this file into every model version and runs it there, so it stands alone and imports nothing of the kit.
"""

import json
from pathlib import Path

import mlflow
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

BIAS = 1e-3  # too small to change a ranking, enough to give a text of unknown words a direction


class LsaModel(mlflow.pyfunc.PythonModel):
    """Any text gets a finite vector of length one, also a text with no known word in it."""

    def load_context(self, context) -> None:
        """Reads the artifacts, which are plain data: loading a model never runs code that came with its weights."""
        words = json.loads(Path(context.artifacts["words"]).read_text("utf-8"))
        self._vectorizer = TfidfVectorizer(
            vocabulary=words["vocabulary"],
            ngram_range=(1, words["recipe"]["phrase_length"]),
            sublinear_tf=words["recipe"]["dampen_repeats"],
        )
        with np.load(context.artifacts["matrices"], allow_pickle=False) as matrices:
            self._vectorizer.idf_ = matrices["idf"]
            self._topics = matrices["topics"]

    def predict(self, context, model_input: list[str]) -> np.ndarray:
        """One float32 row per text."""
        topics = self._vectorizer.transform(model_input) @ self._topics
        vectors = np.column_stack([topics, np.full(len(topics), BIAS)])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


mlflow.models.set_model(LsaModel())
