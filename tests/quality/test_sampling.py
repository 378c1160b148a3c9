"""A sample of rows that are streamed past."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from scripts import digests
from scripts.quality.sampling import Sample


def sampled(keys: list, size: int, seed: str = "pair", page: int = 100) -> list:
    sample: Sample = Sample(size, seed)
    for start in range(0, len(keys), page):
        some = keys[start : start + page]
        sample.add(digests.of_keys(some), some.__getitem__)
    return sample.items()


@pytest.mark.parametrize("keys", [list(range(1_000)), [f"key {number}" for number in range(1_000)]], ids=["int64", "string"])
def test_the_same_rows_whatever_their_order(keys):
    """Re-ordered, and in other pages: the sample follows from the keys and the seed alone."""
    shuffled = [keys[at] for at in np.random.default_rng(1).permutation(len(keys))]
    expected = sampled(keys, 50)
    assert len(set(expected)) == 50
    for page in (1, 33, 1_000):
        assert sampled(shuffled, 50, page=page) == expected


def test_fewer_rows_than_the_sample_are_all_kept():
    """None twice."""
    assert sorted(sampled(list(range(30)), 50, page=7)) == list(range(30))
    assert sampled([], 50) == []


def test_the_smaller_sample_is_part_of_the_larger():
    """With one seed: what is drawn from the source is found again among what is drawn from the collection."""
    assert set(sampled(list(range(5_000)), 64)) < set(sampled(list(range(4_999, -1, -1)), 128))


def test_another_seed_draws_other_rows():
    """So each pair is looked at elsewhere."""
    assert len(set(sampled(list(range(5_000)), 50, "one")) & set(sampled(list(range(5_000)), 50, "two"))) < 10


def test_every_row_is_as_likely_as_any_other():
    """Of 200 neighbouring keys 2,000 samples of 20 hold each about 200 times; six standard deviations are 80."""
    drawn = Counter(key for seed in range(2_000) for key in sampled(list(range(200)), 20, str(seed), page=200))
    assert len(drawn) == 200
    assert all(120 < count < 280 for count in drawn.values())
