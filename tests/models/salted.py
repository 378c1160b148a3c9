"""A test model whose every text is a random direction, another one for each `salt`: from another salt's index it finds anything but what was asked.

Its artifact `habit` is a file with the salt, and after it, each on a line: a file without which loading waits; one without which encoding waits.
"""

import hashlib
import time
from pathlib import Path

import mlflow
import numpy as np

DIMENSION = 32


def vectors(salt: str, texts: list[str]) -> np.ndarray:
    seeds = (int.from_bytes(hashlib.sha256(f"{salt}\n{text}".encode()).digest()[:8], "big") for text in texts)
    return np.array([np.random.default_rng(seed).standard_normal(DIMENSION) for seed in seeds], dtype=np.float32)


def wait_for(path: str) -> None:
    while path and not Path(path).exists():
        time.sleep(0.01)


class Salted(mlflow.pyfunc.PythonModel):
    def load_context(self, context) -> None:
        self._salt, load_gate, self._encode_gate = (Path(context.artifacts["habit"]).read_text().split("\n") + ["", ""])[:3]
        wait_for(load_gate)

    def predict(self, context, model_input: list[str]) -> np.ndarray:
        wait_for(self._encode_gate)
        return vectors(self._salt, model_input)


mlflow.models.set_model(Salted())
