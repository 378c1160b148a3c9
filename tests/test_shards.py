"""Shards divide keys, not files."""

from __future__ import annotations

import numpy as np
import pytest

from scripts import digests
from scripts.errors import UsageError
from scripts.shards import Shard


@pytest.mark.parametrize("keys", [list(range(0, 20_000, 2)), [f"sku-{i:06}" for i in range(10_000)]], ids=["even numbers", "strings"])
@pytest.mark.parametrize("count", [2, 3, 8])
def test_every_key_is_in_exactly_one_shard_and_shares_are_even(keys, count):
    """Whatever the keys have in common."""
    ids = digests.of_keys(keys)
    held = np.array([shard.holds(ids) for shard in Shard(0, count).siblings()])
    assert (held.sum(axis=0) == 1).all()
    assert held.sum(axis=1) == pytest.approx(len(keys) / count, rel=0.1)


def test_a_share_does_not_depend_on_its_neighbours():
    """A key's shard follows from the key alone, whatever piece of whatever file it comes in."""
    ids = digests.of_keys([f"k{i}" for i in range(100)])
    shard = Shard(1, 4)
    assert shard.holds(ids)[37:42].tolist() == shard.holds(ids[37:42]).tolist()


def test_the_whole_is_one_shard():
    """Of nothing as well."""
    assert Shard().holds(digests.of_keys([1, 2, 3])).all()
    assert Shard(0, 2).holds(digests.of_keys([])).tolist() == []


def test_its_two_names_are_read_back():
    """`I/N` is what a person writes, `I-of-N` what the stamp holds."""
    assert Shard.parse("3/4") == Shard(3, 4) == Shard.named(str(Shard(3, 4)))


@pytest.mark.parametrize("written", ["4/4", "1", "a/b", "-1/4", "0/0", "0/5000", "/4", "1/ 4"])
def test_what_is_no_shard_is_refused(written):
    """With an example."""
    with pytest.raises(UsageError, match="0/4"):
        Shard.parse(written)
