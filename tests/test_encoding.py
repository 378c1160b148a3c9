"""What a model returns is checked before it is believed."""

import numpy as np
import pytest

from scripts.encoding import Encoder
from scripts.errors import EncodingFailed, UnfitModel
from scripts.pair import Embedding


class Lengths:
    """A model whose vector is the text's length; it keeps what it was asked."""

    batch_size = 3

    def cut_off(self, texts, prompt):
        return []

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


class Small(Lengths):
    """A model that takes one text at a time."""

    def encode(self, texts, prompt):
        if len(texts) > 1:
            raise EncodingFailed("The model failed while encoding: out of memory.")
        return super().encode(texts, prompt)


class NoNumbers:
    """As torch's tensor is while it requires grad."""

    def __array__(self, *_, **__):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


def encoder(model, **embedding) -> Encoder:
    return Encoder(model, Embedding(template="{x}", **embedding))


def test_the_dimension_is_asked_of_the_model():
    """It is never configured."""
    assert encoder(Lengths()).dimension == 2


def test_every_text_gets_its_vector():
    """Though they were encoded by length, equal ones once, in the model's batch size."""
    model = Lengths()
    chunks = list(encoder(model).documents(["ccc", "a", "bb", "a", "dddd"], str))
    assert model.asked[1:] == [["dddd", "ccc", "bb"], ["a"]]
    assert [(chunk.positions, chunk.vectors[:, 0].tolist(), chunk.distinct) for chunk in chunks] == [([4, 0, 2], [4, 3, 2], 3), ([1, 3], [1, 1], 1)]


def test_a_text_that_the_model_fails_on_is_named():
    """And nothing else is lost on it: the rest of its batch would have been encoded."""

    class Picky(Lengths):
        def encode(self, texts, prompt):
            if any("bad" in text for text in texts):
                raise EncodingFailed("The model failed while encoding: ValueError: no.")
            return super().encode(texts, prompt)

    with pytest.raises(EncodingFailed, match=r"ValueError: no: text 1\."):
        list(encoder(Picky()).documents(["a", "bad", "cc"], lambda i: f"text {i}"))


def test_what_is_too_much_at_once_is_encoded_in_parts():
    """As where a batch does not fit into a GPU's memory."""
    (chunk,) = encoder(Small()).documents(["a", "bbb", "cc"], str)
    assert chunk.vectors[:, 0].tolist() == [3, 2, 1]


def test_a_model_may_answer_in_the_same_memory_each_time():
    """What a batch was answered is not what the next one is."""

    class Reusing(Small):
        memory = np.ones((1, 2), dtype=np.float32)

        def encode(self, texts, prompt):
            self.memory[:] = super().encode(texts, prompt)
            return self.memory

    model = encoder(Reusing())
    assert model.queries(["a", "bbb", "cc"])[:, 0].tolist() == [1, 3, 2]
    (chunk,) = model.documents(["a", "bbb", "cc"], str)
    assert chunk.vectors[:, 0].tolist() == [3, 2, 1]


def test_queries_and_documents_have_their_own_prompts():
    """Asymmetric models need both."""
    asymmetric = encoder(Lengths(), document_prompt="passage: ", query_prompt="q: ")
    assert next(asymmetric.documents(["x"], str)).vectors[0, 0] == len("passage: x")
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
        ([[10**400, 1], [1, 1]], "returned list, which is not a matrix"),
        (NoNumbers(), "returned NoNumbers, which is not a matrix"),
        (np.array([[1.0, 1.0], [1e300, 1.0]]), "NaN or infinity for key 22"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_an_unusable_answer_names_what_is_wrong_and_where(answer, told):
    """Nothing unfit is ever written: milvus-lite takes NaN without a word."""
    with pytest.raises(UnfitModel) as error:
        list(encoder(Answers(answer)).documents(["bb", "a"], ["key 1", "key 22"].__getitem__))
    assert told in str(error.value)
