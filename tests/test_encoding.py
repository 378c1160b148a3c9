"""What a model returns is checked before it is believed."""

import numpy as np
import pytest

from scripts.encoding import Encoder
from scripts.errors import UnfitModel
from scripts.pair import Embedding


class Lengths:
    """A model whose vector is the text's length; it keeps what it was asked."""

    batch_size = 3

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def encode(self, texts, prompt):
        self.asked.append(list(texts))
        return [[len(prompt + text), 1.0] for text in texts]


class Answers(Lengths):
    """A model that answers the probe well and anything else with `answer`."""

    def __init__(self, answer) -> None:
        super().__init__()
        self._answer = answer

    def encode(self, texts, prompt):
        self.asked.append(list(texts))
        return [[1.0, 1.0]] if len(self.asked) == 1 else self._answer


def encoder(model, **embedding) -> Encoder:
    return Encoder(model, Embedding(template="{x}", **embedding))


def test_the_dimension_is_asked_of_the_model():
    """It is never configured."""
    assert encoder(Lengths()).dimension == 2


def test_vectors_come_back_in_the_order_of_the_texts():
    """Though they were encoded by length, equal ones once, in the model's batch size."""
    model = Lengths()
    vectors = encoder(model).documents(["ccc", "a", "bb", "a", "dddd"], ["?"] * 5)
    assert vectors[:, 0].tolist() == [3, 1, 2, 1, 4]
    assert model.asked[1:] == [["a", "bb", "ccc"], ["dddd"]]


def test_queries_and_documents_have_their_own_prompts():
    """Asymmetric models need both."""
    asymmetric = encoder(Lengths(), document_prompt="passage: ", query_prompt="q: ")
    assert asymmetric.documents(["x"], ["?"])[0, 0] == len("passage: x")
    assert asymmetric.queries(["x"])[0, 0] == len("q: x")


def test_vectors_are_normalised_if_asked():
    """To length one."""
    assert np.linalg.norm(encoder(Lengths(), normalize=True).queries(["abc"])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([[1.0, 2.0]], "shape (1, 2) for 2 texts"),
        ([1.0, 2.0], "shape (2,) for 2 texts"),
        ([[1.0], [2.0]], "dimension 1; they had 2"),
        ([[1.0, np.nan], [1.0, 1.0]], "NaN or infinity for key 1"),
        ([[1.0, 1.0], [np.inf, 1.0]], "NaN or infinity for key 22"),
        ([[1.0, 1.0], [0.0, 0.0]], "zero vector for key 22"),
        ([[1.0, 1.0], [1.0]], "not a matrix"),
        (None, "shape () for 2 texts"),
        ([["a", "b"], ["c", "d"]], "not a matrix"),
    ],
)
def test_an_unusable_answer_names_what_is_wrong_and_where(answer, told):
    """Nothing unfit is ever written: milvus-lite takes NaN without a word."""
    with pytest.raises(UnfitModel) as error:
        encoder(Answers(answer)).documents(["a", "bb"], ["key 1", "key 22"])
    assert told in str(error.value)
