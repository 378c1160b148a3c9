"""A broken test model: one number per text instead of one vector."""

import mlflow
import numpy as np


class WrongShape(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> np.ndarray:
        return np.ones(len(model_input), dtype=np.float32)


mlflow.models.set_model(WrongShape())
