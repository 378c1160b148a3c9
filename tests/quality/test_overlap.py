"""How alike two rankings are."""

import itertools
import random

import pytest

from scripts.quality.overlap import overlap, rank_biased_overlap


def agreement(one: str, other: str, depth: int) -> float:
    """What the two have in common at this depth, where the shorter list, beyond its end, goes on agreeing as it did; and both do beyond both ends.
    Section 4.3 of Webber, Moffat and Zobel in words: the definition, from which equation 32 is derived."""
    s, l = sorted((len(one), len(other)))  # noqa: E741
    if depth > l:
        return agreement(one, other, l)
    common = len(set(one[:depth]) & set(other[:depth]))
    if depth > s:
        common += (depth - s) * len(set(one[:s]) & set(other[:s])) / s
    return common / depth


def by_definition(one: str, other: str, p: float) -> float:
    """The infinite sum, far enough."""
    return (1 - p) * sum(p ** (depth - 1) * agreement(one, other, depth) for depth in range(1, 1_000))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("abcdefg", "bacdefg", 0.9),  # dlukes/rbo and ours: all but the first rank agree, which weighs 1 - p
        ("abcde", "bcdae", 0.828),  # b4ny4n/rankmeasures
        ("ab", "a", 1.0),  # the shorter is expected to go on as it began
        ("ab", "b", 0.45),  # half of it from rank 2 on: the shorter, which agreed in nothing, is expected to go on so
        ("ab", "cd", 0.0),
    ],
)
def test_values_from_elsewhere(one, other, expected):
    """Published by other implementations of the same equation, or plain from the definition."""
    assert rank_biased_overlap(one, other, p=0.9) == pytest.approx(expected, abs=5e-4)


def test_a_value_worked_out_by_hand():
    """Of abc and bd: overlaps 0, 1, 1 at depths 1 to 3, s = 2, l = 3.

    The sum: 0 + 1/2·0.81 + 1/3·0.729 = 0.648; the shorter's assumed part: 1·(3-2)/(2·3)·0.729 = 0.1215; times 0.1/0.9 = 0.0855;
    the tail: ((1-1)/3 + 1/2)·0.729 = 0.3645.
    """
    assert rank_biased_overlap("abc", "bd", p=0.9) == pytest.approx(0.0855 + 0.3645)


def test_random_lists_against_the_infinite_sum():
    """Of any two lengths, with any overlap, and for several p."""
    dice = random.Random(7)
    for _ in range(300):
        one, other = ("".join(dice.sample("abcdefghijklmn", dice.randint(1, 12))) for _ in range(2))
        p = dice.choice([0.5, 0.8, 0.9, 0.95])
        assert rank_biased_overlap(one, other, p) == pytest.approx(by_definition(one, other, p), abs=1e-9)


def test_equal_lists_are_one_and_disjoint_ones_zero():
    """Exactly, at any length, also where both are empty; an empty one has nothing in common with any other."""
    for length in range(15):
        one = list(range(length))
        assert rank_biased_overlap(one, one) == pytest.approx(1.0, abs=1e-12)
        assert rank_biased_overlap(one, one) <= 1.0
        assert overlap(one, one, 10) == 1.0
        assert rank_biased_overlap([*one, 99], [-1 - i for i in one]) == 0.0
        assert overlap([*one, 99], [-1 - i for i in one], 10) == 0.0


def test_the_order_of_the_two_does_not_matter():
    """Both measures are symmetric."""
    for one, other in itertools.product(["", "a", "ab", "ba", "abc", "cxya", "zyxwabc"], repeat=2):
        assert rank_biased_overlap(one, other) == rank_biased_overlap(other, one)
        assert overlap(one, other, 3) == overlap(other, one, 3)


def test_a_change_at_the_top_weighs_more_than_one_below():
    """Rank-biased overlap tells them apart, overlap does not."""
    top, bottom = "xbcdefghij", "abcdefghix"
    assert rank_biased_overlap("abcdefghij", top) < rank_biased_overlap("abcdefghij", bottom)
    assert overlap("abcdefghij", top, 10) == overlap("abcdefghij", bottom, 10) == 0.9


def test_an_item_listed_twice_counts_once():
    """Where it is listed first."""
    assert rank_biased_overlap("aab", "ab") == pytest.approx(1.0)


def test_overlap_of_lists_shorter_than_k():
    """What there is to find counts as everything, and an order as nothing."""
    assert overlap("abc", "cab", 10) == 1.0
    assert overlap("abcd", "ab", 10) == 0.5
    assert overlap("abcd", "dcxy", 2) == 0.0
    assert overlap("", "", 10) == 1.0
