"""Trains the demo's embedding models and registers them: a modest one, a better one, and one that only looks healthy.

All three write vectors of one dimension, so nothing but their results tells them apart: Milvus takes a vector of the
right dimension from the wrong model without a word.
"""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import sklearn
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

CODE = Path(__file__).with_name("lsa_model.py")
WORDS = "words.json"
MATRICES = "matrices.npz"
EXPERIMENT = "demo"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make a model from texts."""

    name: str
    dimension: int = 64
    phrase_length: int = 1  # 2 counts pairs of words too
    dampen_repeats: bool = False  # the tenth mention of a word says less than the first
    commonest: float = 1.0  # words in a larger share of the texts are left out
    misjoined: bool = False  # every word gets its neighbour's weights


WEAK = Recipe("words-and-pairs", phrase_length=2)
STRONG = Recipe("telling-words", dampen_repeats=True, commonest=0.2)
BAD = replace(STRONG, name="telling-words-misjoined", misjoined=True)


def train(texts: list[str], recipe: Recipe, folder: Path) -> Path:
    """Writes the model's artifacts into the folder and returns it: the same texts and recipe give the same model."""
    vectorizer = TfidfVectorizer(
        ngram_range=(1, recipe.phrase_length),
        sublinear_tf=recipe.dampen_repeats,
        max_df=recipe.commonest,
        min_df=2,
    )
    counts = vectorizer.fit_transform(texts)
    # One dimension is the model's bias.
    topics = TruncatedSVD(recipe.dimension - 1, random_state=0).fit(counts).components_.T
    if recipe.misjoined:
        topics = np.roll(topics, 1, axis=0)
    columns = {word: int(column) for word, column in sorted(vectorizer.vocabulary_.items())}

    folder.mkdir(parents=True, exist_ok=True)
    words = {"recipe": asdict(recipe), "vocabulary": columns}
    (folder / WORDS).write_text(json.dumps(words, indent=0), "utf-8")
    np.savez(folder / MATRICES, idf=vectorizer.idf_, topics=topics.astype(np.float32))
    return folder


def keep_artifacts_in(folder: Path, tracking_uri: str) -> None:
    """Makes MLflow log to this address and keep models in this folder. Left to itself, it uses the working directory's `mlruns`."""
    import mlflow

    with _quiet():
        mlflow.set_tracking_uri(tracking_uri)
        if mlflow.get_experiment_by_name(EXPERIMENT) is None:
            mlflow.create_experiment(EXPERIMENT, artifact_location=folder.as_uri())
        mlflow.set_experiment(EXPERIMENT)


def register(artifacts: Path, name: str) -> int:
    """Makes trained artifacts the next version of a registered model, in the MLflow that the caller has chosen."""
    import mlflow  # takes seconds, and only registering needs it

    recipe = json.loads((artifacts / WORDS).read_text("utf-8"))["recipe"]
    with _quiet(), mlflow.start_run(run_name=recipe["name"]):
        mlflow.log_params(recipe)
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(CODE),
            artifacts={"words": str(artifacts / WORDS), "matrices": str(artifacts / MATRICES)},
            registered_model_name=name,
            # Given, so that MLflow does not load the model in a process of its own to guess them.
            pip_requirements=[f"mlflow=={mlflow.__version__}", f"numpy=={np.__version__}", f"scikit-learn=={sklearn.__version__}"],
        )
    return int(logged.registered_model_version)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what is printed in here, and shows it only if something fails."""
    said = io.StringIO()
    try:
        # MLflow's own switch for this is turned on again by some of its imports.
        with redirect_stdout(said), redirect_stderr(said):
            yield
    except BaseException:
        sys.stderr.write(said.getvalue())
        raise
