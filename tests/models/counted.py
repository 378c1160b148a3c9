"""A test model that writes down the process that loads it, into the file named by its `journal` artifact; "fatal" in a text ends the process."""

import os
from pathlib import Path

import mlflow
import numpy as np


class Counted(mlflow.pyfunc.PythonModel):
    def load_context(self, context) -> None:
        with Path(Path(context.artifacts["journal"]).read_text()).open("a") as journal:
            journal.write(f"{os.getpid()}\n")

    def predict(self, context, model_input: list[str]) -> np.ndarray:
        if any("fatal" in text for text in model_input):
            os._exit(1)
        return np.array([[len(text), *map(ord, text[-7:].rjust(7))] for text in model_input], dtype=np.float32)


mlflow.models.set_model(Counted())
