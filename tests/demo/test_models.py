import ast
import json
from types import SimpleNamespace

import ir_measures
import mlflow
import numpy as np
import pytest
from ir_measures import nDCG

from scripts.demo import catalogue, models
from scripts.demo.lsa_model import LsaModel

RECIPES = (models.WEAK, models.STRONG, models.BAD)
NAME = "product-embedding-model"


@pytest.fixture(scope="module")
def texts():
    return [f"{row['product_name']}. {row['product_description']}" for row in catalogue.products().to_pylist()]


@pytest.fixture(scope="module")
def artifacts(texts, tmp_path_factory):
    """Every recipe's trained folder, by its name."""
    root = tmp_path_factory.mktemp("models")
    return {recipe.name: models.train(texts, recipe, root / recipe.name) for recipe in RECIPES}


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A new MLflow in a database of its own."""
    monkeypatch.chdir(tmp_path)  # where MLflow leaves artifacts unless told otherwise
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_registry_uri("")  # the tracking store's own
    yield
    mlflow.set_tracking_uri(before)


def encode(folder, texts):
    """Vectors of the model in the folder, without MLflow."""
    model = LsaModel()
    model.load_context(SimpleNamespace(artifacts={"words": folder / models.WORDS, "matrices": folder / models.MATRICES}))
    return model.predict(None, texts)


def ndcg(folder, texts):
    """nDCG@10 of exact search over the golden queries."""
    keys = catalogue.products()["product_id"].to_pylist()
    queries, judgments = (table.to_pylist() for table in catalogue.golden())
    scores = encode(folder, [row["query"] for row in queries]) @ encode(folder, texts).T
    run = [
        ir_measures.ScoredDoc(query["query_id"], str(keys[place]), float(row[place]))
        for query, row in zip(queries, scores, strict=True)
        for place in np.argsort(-row, kind="stable")[:10]
    ]
    qrels = [ir_measures.Qrel(row["query_id"], str(row["product_id"]), row["grade"]) for row in judgments]
    return ir_measures.calc_aggregate([nDCG @ 10], qrels, run)[nDCG @ 10]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("odd", ["", "   ", "zzzz qqqq", "&amp;<br>", "日本語", "sofa " * 5000], ids=repr)
def test_odd_text_has_a_direction(artifacts, recipe, odd):
    """A text of unknown words, or of none, is a unit vector and not zeros or NaN."""
    vectors = encode(artifacts[recipe.name], [odd])
    assert vectors.shape == (1, recipe.dimension)
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_models_look_alike_from_outside(artifacts, texts, recipe):
    """Shape, type and length are right for all three models: only their results tell them apart."""
    vectors = encode(artifacts[recipe.name], texts[:1000])
    assert (vectors.shape, vectors.dtype) == ((1000, models.WEAK.dimension), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_company_does_not_change_a_vector(artifacts, texts):
    """A text has one vector, whatever the batch it comes in."""
    together = encode(artifacts[models.STRONG.name], texts[:50])
    alone = np.vstack([encode(artifacts[models.STRONG.name], [text]) for text in texts[:50]])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_strong_finds_more_than_weak_and_bad_less(artifacts, texts):
    """The demo's promotions have something to decide, by a margin that no change of library makes up."""
    weak, strong, bad = (ndcg(artifacts[recipe.name], texts) for recipe in RECIPES)
    assert bad + 0.1 < weak
    assert weak + 0.1 < strong


def test_training_again_gives_the_same_model(artifacts, texts, tmp_path):
    """The same texts and recipe give the same words and the same vectors."""
    again = models.train(texts, models.STRONG, tmp_path)
    before = artifacts[models.STRONG.name]
    assert (again / models.WORDS).read_bytes() == (before / models.WORDS).read_bytes()
    np.testing.assert_allclose(encode(again, texts[:100]), encode(before, texts[:100]), atol=1e-4)


def test_artifacts_are_plain_data(artifacts):
    """Words are JSON and matrices are numbers: nothing in them runs when they are read."""
    for folder in artifacts.values():
        assert json.loads((folder / models.WORDS).read_text("utf-8"))["vocabulary"]
        with np.load(folder / models.MATRICES, allow_pickle=False) as matrices:
            assert {name: matrices[name].dtype.kind for name in matrices} == {"idf": "f", "topics": "f"}


def test_model_code_imports_nothing_of_the_kit():
    """MLflow runs the file on machines that never saw this repository."""
    tree = ast.parse(models.CODE.read_text("utf-8"))
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in imported} == {"json", "pathlib", "mlflow", "numpy", "sklearn"}


def test_registered_versions_count_up_and_embed_as_trained(artifacts, texts, registry, capfd):
    """Each registration is the next version, serves the vectors of its artifacts, and nothing is printed on the way."""
    versions = {recipe.name: models.register(artifacts[recipe.name], NAME) for recipe in RECIPES}
    assert capfd.readouterr() == ("", "")
    assert list(versions.values()) == [1, 2, 3]
    for name, version in versions.items():
        model = mlflow.pyfunc.load_model(f"models:/{NAME}/{version}")
        for batch in (texts[:1], texts[:1000]):
            np.testing.assert_array_equal(model.predict(batch), encode(artifacts[name], batch))


def test_registered_version_says_how_it_was_made(artifacts, registry):
    """The version's run carries the recipe, so the registry tells the models apart without loading them."""
    version = models.register(artifacts[models.BAD.name], NAME)
    client = mlflow.MlflowClient()
    run = client.get_run(client.get_model_version(NAME, str(version)).run_id)
    assert (run.data.params["name"], run.data.params["misjoined"]) == (models.BAD.name, "True")
