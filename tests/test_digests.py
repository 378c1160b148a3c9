"""Digests of values, folders, keys and rows."""

import numpy as np

from scripts import digests


def rows_digest(keys, texts, columns):
    return digests.of_rows(digests.of_keys(keys), digests.of_texts(texts), digests.of_texts(columns))


def test_a_json_value_has_one_digest_whatever_the_order_of_its_keys():
    """Otherwise evidence would change without anything having changed."""
    assert digests.of_json({"a": 1, "b": [2]}) == digests.of_json({"b": [2], "a": 1}) != digests.of_json({"a": 1, "b": [3]})


def test_a_folder_digest_sees_names_and_contents(tmp_path):
    """A model overwritten in place is another model; files that MLflow adds on download are not the model's."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights").write_bytes(b"1")
    before = digests.of_folder(tmp_path)
    (tmp_path / "meta").write_text("downloaded today")
    assert digests.of_folder(tmp_path, ignore=frozenset({"meta"})) == before
    (tmp_path / "sub" / "weights").write_bytes(b"2")
    assert digests.of_folder(tmp_path, ignore=frozenset({"meta"})) != before


def test_row_digests_add_up_in_any_order():
    """Files, windows and shards give the digest of the whole."""
    whole = rows_digest([1, 2, 3], ["a", "b", "c"], ["x", "y", "z"])
    parts = rows_digest([3], ["c"], ["z"]) + rows_digest([2, 1], ["b", "a"], ["y", "x"])
    assert whole == parts % 2**64


def test_swapped_texts_change_the_digest_of_the_rows():
    """A digest of texts alone would not see it."""
    assert rows_digest([1, 2], ["a", "b"], ["x", "x"]) != rows_digest([1, 2], ["b", "a"], ["x", "x"])
    assert rows_digest(["k", "l"], ["a", "b"], ["x", "x"]) != rows_digest(["k", "l"], ["b", "a"], ["x", "x"])


def test_text_and_column_are_not_exchangeable():
    """A value that moves from the text to a column is a change."""
    assert rows_digest([1], ["a"], ["b"]) != rows_digest([1], ["b"], ["a"])


def test_string_keys_become_sixteen_bytes_that_differ():
    """Also where a digest ends in a zero byte, which numpy's strings would drop."""
    ids = digests.of_keys([f"key {i}" for i in range(5_000)])
    assert ids.dtype == np.dtype("S16")
    assert len(np.unique(ids)) == 5_000


def test_int_keys_stay_themselves():
    """Both ends of int64 included."""
    assert digests.of_keys([-(2**63), 2**63 - 1]).tolist() == [-(2**63), 2**63 - 1]
