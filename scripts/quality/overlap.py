"""How alike two rankings are, without knowing which is right."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

# The first ten ranks carry 86% of the weight, which suits lists of ten (Webber et al., equation 21).
PERSISTENCE = 0.9


def overlap(one: Sequence[Hashable], other: Sequence[Hashable], k: int) -> float:
    """The share of the top k that both have, whatever its order. 0 to 1.

    Of lists that are both shorter than k, the share of the longer: all there is to find counts as everything. Two empty lists are equal.
    """
    ours, theirs = set(one[:k]), set(other[:k])
    return len(ours & theirs) / max(len(ours), len(theirs)) if ours or theirs else 1.0


def rank_biased_overlap(one: Sequence[Hashable], other: Sequence[Hashable], p: float = PERSISTENCE) -> float:
    """The overlap that a reader sees who goes on from each rank to the next with probability p: the top counts most. 0 to 1, symmetric.

    Extrapolated from what is seen to what is not, for lists of any two lengths: RBO_EXT, equation 32 of Webber, Moffat and Zobel, "A similarity
    measure for indefinite rankings", TOIS 28(4), 2010. Of an item that is listed twice the first counts. Two empty lists are equal, and an empty
    one has nothing in common with any other; the paper leaves both open.
    """
    short, long = sorted((list(dict.fromkeys(one)), list(dict.fromkeys(other))), key=len)
    s, l = len(short), len(long)  # noqa: E741 - the paper's names
    if s == 0:
        return 1.0 if l == 0 else 0.0
    common = _common(short, long)
    x_s, x_l = common[s], common[l]
    seen = sum(common[d] / d * p**d for d in range(1, l + 1))
    # Beyond its end the shorter list goes on agreeing as much as it did.
    assumed = sum(x_s * (d - s) / (s * d) * p**d for d in range(s + 1, l + 1))
    return min((1 - p) / p * (seen + assumed) + ((x_l - x_s) / l + x_s / s) * p**l, 1.0)


def _common(short: Sequence[Hashable], long: Sequence[Hashable]) -> list[int]:
    """How many items both have among their first d, for d from 0 to the longer's length."""
    at = {item: rank for rank, item in enumerate(short, start=1)}
    met = [max(rank, at[item]) for rank, item in enumerate(long, start=1) if item in at]
    counts = [0] * (len(long) + 1)
    for depth in met:
        counts[depth] += 1
    for depth in range(1, len(counts)):
        counts[depth] += counts[depth - 1]
    return counts
