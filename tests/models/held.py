"""A test model: `words`, and better at it. In a pipeline's `embed` it writes a file `waiting`, and waits for the file that its `gate` names."""

import os
import time
import zlib
from pathlib import Path

import mlflow
import numpy as np

DIMENSION = 1024  # so that no two words share a place, and no two products are alike


class Held(mlflow.pyfunc.PythonModel):
    def load_context(self, context) -> None:
        self._gate = Path(Path(context.artifacts["gate"]).read_text())

    def predict(self, context, model_input: list[str]) -> np.ndarray:
        if os.environ.get("CIRCLE_JOB") == "embed":
            Path("waiting").touch()
            while not self._gate.exists():
                time.sleep(0.05)
        vectors = np.full((len(model_input), DIMENSION), 1e-3, dtype=np.float32)
        for row, text in enumerate(model_input):
            for word in text.lower().replace(".", " ").split():
                vectors[row, zlib.crc32(word.encode()) % DIMENSION] += 1
        return vectors


mlflow.models.set_model(Held())
