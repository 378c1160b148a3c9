"""A test model that fails on one text."""

import mlflow
import numpy as np


class Picky(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> np.ndarray:
        if any("velvet lamp" in text for text in model_input):
            raise ValueError("no velvet lamps")
        return np.ones((len(model_input), 4), dtype=np.float32)


mlflow.models.set_model(Picky())
