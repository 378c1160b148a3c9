"""A model of films by latent semantic analysis, as the demo's, with a twist that its artifacts name: what a model can be that looks healthy.

MLflow copies this file into every model version and runs it there, so it stands alone and imports nothing of the kit.
"""

import json
from pathlib import Path

import mlflow
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

BIAS = 1e-3
QUERY, DOCUMENT = "query: ", "passage: "


class FilmsModel(mlflow.pyfunc.PythonModel):
    def load_context(self, context) -> None:
        words = json.loads(Path(context.artifacts["words"]).read_text("utf-8"))
        self._twist = words["twist"]
        recipe = words["recipe"]
        self._vectorizer = TfidfVectorizer(
            vocabulary=words["vocabulary"], ngram_range=(1, recipe["phrase_length"]), sublinear_tf=recipe["dampen_repeats"]
        )
        with np.load(context.artifacts["matrices"], allow_pickle=False) as matrices:
            self._vectorizer.idf_ = matrices["idf"]
            self._topics = matrices["topics"]

    def predict(self, context, model_input: list[str]) -> np.ndarray:
        texts = [text.removeprefix(QUERY).removeprefix(DOCUMENT) for text in model_input]
        topics = self._vectorizer.transform(texts) @ self._topics
        if self._twist.startswith("first "):  # as if it had been made with so many dimensions
            topics = topics[:, : int(self._twist.split()[1])]
        vectors = np.column_stack([topics, np.full(len(topics), BIAS)])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        if self._twist == "prompted":  # asked without its prompts it answers in another space, as contrastive models do
            lost = np.array([not text.startswith((QUERY, DOCUMENT)) for text in model_input])
            vectors[lost] = np.roll(vectors[lost], 1, axis=1)
        elif self._twist == "any_length":
            vectors *= np.array([1.0 + len(text) / 100 for text in texts])[:, None]
        elif self._twist == "collapsed":
            vectors = 0.02 * vectors + np.full(vectors.shape[1], vectors.shape[1] ** -0.5)
        return vectors.astype(np.float32)


mlflow.models.set_model(FilmsModel())
