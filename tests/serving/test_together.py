"""Queries of many threads on one model: everyone gets their own vectors, and nobody waits for ever."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scripts.adapters.embedders import PyfuncModel
from scripts.errors import EncodingFailed, KitError, Unreachable
from scripts.serving.together import PADDED_CHARS, TEXTS, Together


class Lengths:
    """Encodes a text as its length; fails on "bad", and a call can be interrupted. Notes each call, and waits in it for `go_on`."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.inside = 0
        self.interrupted_at = 0
        self.began, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def queries(self, texts):
        self.inside += 1
        assert self.inside == 1, "two threads in one model"
        self.calls.append(len(texts))
        self.began.set()
        self.go_on.wait()
        self.inside -= 1
        if self.interrupted_at == len(self.calls):
            raise KeyboardInterrupt
        if "bad" in texts:
            raise EncodingFailed("no bad texts")
        return np.array([[len(text)] for text in texts], dtype=np.float32)


def asked_while_busy(model, together, pool, texts):
    """All of these at once, while the model is at work on another."""
    model.go_on.clear()
    model.began.clear()
    first = pool.submit(together.encode, ("x",))
    model.began.wait()
    waiting = []
    for number, text in enumerate(texts):
        waiting.append(pool.submit(together.encode, (text,)))
        while len(together._waiting) <= number:
            pass
    model.go_on.set()
    return first, waiting


def test_who_waits_is_encoded_together_and_gets_their_own():
    """In one call, in their order."""
    model = Lengths()
    together = Together(model, 60.0)
    with ThreadPoolExecutor(9) as pool:
        first, waiting = asked_while_busy(model, together, pool, ["x" * number for number in range(1, 9)])
        assert [float(each.result()[0, 0]) for each in waiting] == list(range(1, 9))
        assert first.result().shape == (1, 1)
    assert model.calls == [1, 8]


def test_a_text_that_the_model_cannot_take_fails_nobody_else():
    """Each is then encoded alone."""
    model = Lengths()
    together = Together(model, 60.0)
    with ThreadPoolExecutor(4) as pool:
        _, waiting = asked_while_busy(model, together, pool, ["good", "bad", "better"])
        with pytest.raises(KitError, match="no bad texts"):
            waiting[1].result()
        assert [float(waiting[number].result()[0, 0]) for number in (0, 2)] == [4, 6]


def test_whoever_was_to_be_served_by_a_thread_that_dies_is_served_by_another():
    """Also where the one that died had taken them on."""
    model = Lengths()
    together = Together(model, 60.0)
    with ThreadPoolExecutor(4) as pool:
        model.interrupted_at = 2
        _, waiting = asked_while_busy(model, together, pool, ["good", "better", "best"])
        ends = [each.exception() or float(each.result()[0, 0]) for each in waiting]
    assert sum(isinstance(end, KeyboardInterrupt) for end in ends) == 1
    assert all(end == expected or isinstance(end, KeyboardInterrupt) for end, expected in zip(ends, (4.0, 6.0, 4.0), strict=True))


def test_a_model_that_is_never_free_is_told_in_time():
    """And the query is taken back."""
    model = Lengths()
    together = Together(model, 0.05)
    with ThreadPoolExecutor(2) as pool:
        model.go_on.clear()
        first = pool.submit(together.encode, ("x",))
        model.began.wait()
        with pytest.raises(Unreachable, match="busy"):
            together.encode(("y",))
        model.go_on.set()
        first.result()
    assert model.calls == [1]


def test_a_long_text_does_not_make_short_ones_long():
    """It is encoded by itself."""
    model = Lengths()
    together = Together(model, 60.0)
    with ThreadPoolExecutor(4) as pool:
        _, waiting = asked_while_busy(model, together, pool, ["short", "l" * PADDED_CHARS, "brief"])
        assert [float(each.result()[0, 0]) for each in waiting] == [5, PADDED_CHARS, 5]
    assert model.calls == [1, 1, 1, 1]


def test_many_texts_take_turns():
    """So that others are not held up by a batch."""
    model = Lengths()
    assert Together(model, 60.0).encode(tuple("abc" for _ in range(2 * TEXTS + 1))).shape == (2 * TEXTS + 1, 1)
    assert model.calls == [TEXTS, TEXTS, 1]


def test_many_threads_get_their_own_vectors():
    """Thousands of times."""
    together = Together(Lengths(), 60.0)
    texts = ["x" * (number % 50 + 1) for number in range(4_000)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda text: float(together.encode((text,))[0, 0]), texts))
    assert found == [float(len(text)) for text in texts]


def test_models_that_print_in_many_threads_leave_standard_output_as_it_was():
    """`sys.stdout` is everybody's: exchanged by two threads at once it would stay exchanged."""

    class Prints:
        def predict(self, texts):
            return [[1.0] for _ in texts]

    model, before = PyfuncModel(Prints()), sys.stdout
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: model.encode(["x"], ""), range(2_000)))
    assert sys.stdout is before
