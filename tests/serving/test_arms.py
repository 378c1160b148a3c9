"""Who meets the candidate: the same keys everywhere, always, and at every share."""

from datetime import UTC, datetime

import pytest

from scripts.canary import Canary, Mode

KEYS = [f"user-{number}" for number in range(20_000)]


def running(share: float, pair: str = "shop_v2_0123abcd") -> Canary:
    return Canary(id="0" * 8, pair=pair, share=share, mode=Mode.SPLIT, started_at=datetime(2026, 1, 1, tzinfo=UTC), by="ann", stint="1")


def test_the_hash_is_the_documented_one():
    """Known values: a client in another language must find the same; computed with `sha256sum`."""
    # printf 'shop_v2_0123abcd\nuser-1' | sha256sum, the first 16 digits
    import subprocess

    for key in ("user-1", "Jürgen", "a b"):
        printed = subprocess.run(["sha256sum"], input=f"shop_v2_0123abcd\n{key}".encode(), capture_output=True, check=True).stdout[:16]
        share = int(printed, 16) / 2**64
        if share + 1e-9 <= 0.5:
            assert running(share + 1e-9).takes(key)
        assert not running(min(max(share - 1e-9, 1e-12), 0.5)).takes(key) or share < 0.5


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5])
def test_the_share_is_kept(share):
    """Within five standard errors of a fair draw."""
    taken = sum(map(running(share).takes, KEYS))
    assert abs(taken - share * len(KEYS)) < 5 * (share * (1 - share) * len(KEYS)) ** 0.5


def test_a_larger_share_only_adds_keys():
    """Nobody who met the candidate is sent back."""
    small, large = ({key for key in KEYS if running(share).takes(key)} for share in (0.05, 0.25))
    assert small < large


def test_another_candidate_takes_other_keys():
    """Not always the same users try what is new."""
    one, other = ({key for key in KEYS if running(0.5, pair).takes(key)} for pair in ("shop_v2_0123abcd", "shop_v3_0123abcd"))
    assert 0.4 < len(one & other) / len(one) < 0.6
