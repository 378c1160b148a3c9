"""Sets of keys and what a collection holds."""

import numpy as np
import pytest

from scripts import digests
from scripts.inventory import Difference, Inventory, KeySet
from scripts.ports import Page
from scripts.records import Rows


def rows(keys, texts, columns=None):
    columns = columns or [""] * len(keys)
    return Rows(keys, texts, {}, [""] * len(keys), digests.of_keys(keys), digests.of_texts(texts), digests.of_texts(columns))


def page(keys, texts, columns=None):
    r = rows(keys, texts, columns)
    return Page(keys, r.text_hashes, r.column_hashes)


@pytest.mark.parametrize("make", [int, str], ids=["int64", "string"])
def test_a_key_set_knows_exactly_what_was_added(make):
    """Through every merge of its runs, against Python's own set."""
    rng = np.random.default_rng(0)
    ours, theirs = KeySet(), set()
    for size in (1, 700, 3, 3, 50, 1_000, 1):
        keys = [make(key) for key in rng.integers(0, 2_000, size)]
        repeated = ours.add(digests.of_keys(keys))
        for key, was_there in zip(keys, repeated, strict=True):
            assert was_there == (key in theirs)
            theirs.add(key)
        assert len(ours) == len(theirs)


def test_a_key_repeated_within_one_window_is_seen():
    """The first of them is new, the others are not."""
    assert KeySet().add(digests.of_keys([7, 8, 7, 7])).tolist() == [False, False, True, True]


def test_an_empty_collection_makes_every_row_new():
    """As in a first build."""
    assert Inventory([]).compare(rows([1, 2], ["a", "b"])).tolist() == [Difference.NEW, Difference.NEW]


@pytest.mark.parametrize("make", [int, str], ids=["int64", "string"])
def test_each_kind_of_difference_is_told(make):
    """By key first, then by content."""
    keys = [make(i) for i in (3, 1, 2)]
    held = Inventory([page(keys[:2], ["c", "a"], ["x", "x"]), page(keys[2:], ["b"], ["x"])])
    now = rows([make(i) for i in (1, 2, 3, 4)], ["a", "B", "c", "d"], ["x", "x", "y", "x"])
    assert held.compare(now).tolist() == [Difference.SAME, Difference.TEXT, Difference.COLUMNS, Difference.NEW]


def test_swapped_texts_are_two_changes():
    """Lists that look up by content hash alone see nothing here, and keep the wrong vectors."""
    held = Inventory([page([1, 2], ["a", "b"])])
    assert held.compare(rows([1, 2], ["b", "a"])).tolist() == [Difference.TEXT, Difference.TEXT]


def test_what_a_pass_did_not_see_is_counted():
    """These are the rows to delete."""
    held, seen = Inventory([page([1, 2, 3], ["a", "b", "c"])]), KeySet()
    seen.add(digests.of_keys([2, 9]))
    assert held.missing_from(seen) == 2
