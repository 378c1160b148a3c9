"""Numbers as people write them."""

import pytest

from scripts.capacity import quantities
from scripts.capacity.nodes import Nodes
from scripts.capacity.quantities import GI
from scripts.errors import UsageError


def test_rows_are_read_as_people_write_them():
    """With a factor, a fraction or underscores, in either case."""
    told = {"7": 7, "250_000": 250_000, "250k": 250_000, "1.5K": 1_500, "100M": 10**8, "100m": 10**8, "2B": 2 * 10**9, " 3 M ": 3_000_000}
    assert {text: quantities.rows(text) for text in told} == told


def test_sizes_are_those_of_kubernetes():
    """Ki to Ti count in 1,024, k to T in 1,000, with or without a B."""
    told = {"64Gi": 64 * GI, "64GiB": 64 * GI, "1.5G": 1_500_000_000, "512Mi": GI // 2, "200": 200, "200B": 200, "1Ti": 1024 * GI}
    assert {text: quantities.size(text) for text in told} == told


@pytest.mark.parametrize("text", ["", "many", "-5", "0", "1e9", "inf", "nan", "100MM", "1.", ".5M", "5M rows", "0x10", "9" * 40, "9" * 5_000, f"1.{'9' * 5_000}", "٣", "100Gi"])
def test_nonsense_rows_are_refused_in_one_line(text):
    """What is wrong, and what to write instead."""
    with pytest.raises(UsageError) as refused:
        quantities.rows(text)
    assert "\n" not in str(refused.value) and str(refused.value).startswith("--rows") and len(str(refused.value)) < 200


@pytest.mark.parametrize("text", ["", "-1Gi", "64gi", "64 gigabytes", "1Pi", "NaN", "0x4x4Gi", "0x64Gi", "9999999x1Gi", "4x", "1Gi", "0", "9" * 30, "9" * 5_000])
def test_nonsense_nodes_are_refused_in_one_line(text):
    """Among them nodes that are too small to load anything."""
    with pytest.raises(UsageError) as refused:
        Nodes.parse(text)
    assert "\n" not in str(refused.value) and str(refused.value).startswith("--memory") and len(str(refused.value)) < 200


def test_nodes_print_as_they_are_written():
    """One, or several that are alike."""
    assert (str(Nodes.parse("64Gi")), str(Nodes.parse("4x64Gi"))) == ("64Gi", "4 × 64Gi")
    assert Nodes.parse("4x64Gi") == Nodes(4, 64 * GI)
