"""A broken test model: its weights are not there."""

import mlflow


class FailsToLoad(mlflow.pyfunc.PythonModel):
    def load_context(self, context) -> None:
        raise RuntimeError("the weights are\nnot there")

    def predict(self, context, model_input: list[str]) -> list[list[float]]:
        return [[1.0] for _ in model_input]


mlflow.models.set_model(FailsToLoad())
