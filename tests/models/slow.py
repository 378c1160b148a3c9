"""A test model that takes its time and writes down every text that it encodes, into the file named by its `journal` artifact."""

import time
from pathlib import Path

import mlflow
import numpy as np


class Slow(mlflow.pyfunc.PythonModel):
    def load_context(self, context) -> None:
        self._journal = Path(Path(context.artifacts["journal"]).read_text())

    def predict(self, context, model_input: list[str]) -> np.ndarray:
        time.sleep(0.2)
        with self._journal.open("a") as journal:
            journal.writelines(f"{text}\n" for text in model_input)
        vectors = np.ones((len(model_input), 8), dtype=np.float32)
        vectors[:, 0] = [len(text) for text in model_input]
        return vectors


mlflow.models.set_model(Slow())
