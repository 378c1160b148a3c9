"""A test model that takes its time and writes down every text that it encodes, into the file named by its `journal` artifact."""

import time
import zlib
from pathlib import Path

import mlflow
import numpy as np

DIMENSION = 8


class Slow(mlflow.pyfunc.PythonModel):
    def load_context(self, context) -> None:
        self._journal = Path(Path(context.artifacts["journal"]).read_text())

    def predict(self, context, model_input: list[str]) -> np.ndarray:
        time.sleep(0.2)
        with self._journal.open("a") as journal:
            journal.writelines(f"{text}\n" for text in model_input)
        vectors = np.full((len(model_input), DIMENSION), 1e-3, dtype=np.float32)
        for row, text in enumerate(model_input):
            for word in text.split():
                vectors[row, zlib.crc32(word.encode()) % DIMENSION] += 1 + len(text) / 100
        return vectors


mlflow.models.set_model(Slow())
