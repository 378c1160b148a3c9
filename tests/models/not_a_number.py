"""A broken test model: one NaN for any text about a sofa."""

import mlflow
import numpy as np


class NotANumber(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> np.ndarray:
        vectors = np.ones((len(model_input), 8), dtype=np.float32)
        for row, text in enumerate(model_input):
            if "sofa" in text:
                vectors[row, 3] = np.nan
        return vectors


mlflow.models.set_model(NotANumber())
