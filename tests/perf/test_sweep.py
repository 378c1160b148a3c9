"""Which settings are tried, and which of them is chosen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scripts.errors import UsageError
from scripts.layout import Column, FieldType, Index, IndexType, Metric
from scripts.perf import choice, sweep
from scripts.perf.choice import choose, judged, timed
from scripts.perf.load import Level
from scripts.perf.percentiles import Latency
from scripts.perf.ports import Target
from tests.test_pair import stamp


def target(index="HNSW", build=None, served=None):
    layout = stamp().layout.model_copy(update={"index": Index(type=IndexType(index), search=served or {})})
    stamped = stamp(layout=layout) if served else None
    return Target("c", "", "vector", 8, Column(name="id", type=FieldType.INT64), Metric.COSINE, index, build or {}, stamp=stamped)


@pytest.mark.parametrize(
    ("index", "k", "expected"),
    [
        (target(), 10, ("ef", (16, 32, 64, 128, 256))),
        (target(), 50, ("ef", (50, 100, 200, 400, 800))),
        (target(served={"ef": 48}), 10, ("ef", (16, 32, 48, 64, 128, 256))),
        (target("IVF_SQ8", {"nlist": "16"}), 10, ("nprobe", (1, 4, 8, 16))),
        (target("DISKANN"), 1_000, ("search_list", (1_000, 2_000, 4_000, 8_000, 16_000))),
    ],
)
def test_auto_tries_what_the_index_has(index, k, expected):
    """Never less than k candidates and as many settings for any k, never more lists than there are, and always what is served."""
    found = sweep.of("auto", index, k)
    assert (found.parameter, found.values) == expected


def test_values_that_are_named_are_tried_with_the_served_one():
    """In ascending order and once each; the other search parameters stay."""
    found = sweep.of("ef=128, 32,32", target(served={"ef": 64, "other": 7}), 10)
    assert found.values == (32, 64, 128)
    assert found.params(32, {"ef": 64, "other": 7}) == {"ef": 32, "other": 7} and found.params(32, None) == {"ef": 32}


@pytest.mark.parametrize(
    ("text", "index", "told"),
    [
        ("ef=4,16", target(), "ef=4: Milvus refuses a candidate list shorter than the answer, which has 10"),
        ("nprobe=8", target(), "nprobe is no search parameter of an index of type HNSW, which has ef"),
        ("nprobe=64", target("IVF_FLAT", {"nlist": 32}), "the index has 32 lists"),
        ("nprobe=0,1", target("IVF_FLAT"), "nprobe=0: at least one"),
        ("auto", target("FLAT"), "always gives the exact answer"),
        ("auto", target("AUTOINDEX"), "no parameter of it is known"),
        ("ef", target(), "not understood"),
        ("ef=", target(), "not understood"),
        ("ef=1.5", target(), "not understood"),
        ("ef=-1", target(), "not understood"),
        pytest.param("ef=" + "9" * 5_000, target(), "not understood", id="ef=9…"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_anything_is_measured(text, index, told):
    """In one line that says why."""
    with pytest.raises(UsageError, match=told) as failure:
        sweep.of(text, index, 10)
    assert "\n" not in str(failure.value)


def level(p95=1.0):
    return Level(1, 1.0, 200, 200, Latency(p95, p95, p95, p95, p95))


def point(value, shares, level, *, served):
    return judged(timed(value, level, served=served), shares)


def points(*found):
    """(value, share of the exact answer, p95): every query misses about as much, so that the mean of 200 is known to a thousandth."""
    return [point(value, np.tile([share - 0.002, min(1.0, share + 0.002)], 100), level(p95), served=value == 64) for value, share, p95 in found]


def test_the_cheapest_that_reaches_the_target_is_chosen():
    """The least work that reaches it, which is the fastest as well."""
    found = choose(points((16, 0.80, 1.0), (32, 0.96, 2.0), (64, 0.99, 4.0)), 0.95, "ef")
    assert (found.point.value, found.exit_code) == (32, 0) and "ef=32: recall 0.96" in found.why
    assert choose(points((16, 0.80, 1.0), (64, 0.99, 4.0)), 0.95, "ef").why.endswith("It is what is served.")


def test_a_measurement_that_was_disturbed_is_said_to_be_so():
    """More work is never faster: the smallest value stays the choice, and the figures are called into question."""
    wrong = points((32, 0.96, 3.0), (64, 0.99, 2.0))
    assert choose(wrong, 0.95, "ef").point.value == 32 and choice.disturbed(wrong)
    assert not choice.disturbed(points((32, 0.96, 2.04), (64, 0.99, 2.0), (128, 0.99, 4.0)))


def test_a_target_that_none_reaches_is_a_no():
    """Exit code 1, with the best that there is."""
    found = choose(points((16, 0.80, 1.0), (32, 0.90, 2.0)), 0.95, "ef")
    assert (found.point, found.exit_code) == (None, 1) and "No setting reaches 0.95: the best is ef=32 with 0.9" in found.why


def test_a_target_that_is_reached_on_average_alone_is_no_answer():
    """Inconclusive: another draw of queries may say otherwise. Fewer than 50 queries never say anything for sure."""
    shares = np.array([1.0] * 96 + [0.0] * 4)
    found = choose([point(16, shares, level(), served=False)], 0.95, "ef")
    assert (found.point, found.exit_code) == (None, 3) and found.why.endswith("too few queries to be sure. Ask for more --recall-queries.")
    few = choose([point(16, np.ones(49), level(), served=False)], 0.95, "ef")
    assert (few.point, few.exit_code) == (None, 3)


@pytest.mark.parametrize(("queries", "target", "code"), [(50, 0.92, 0), (50, 0.93, 3), (500, 0.99, 0), (500, 0.995, 3), (5_000, 0.999, 0)])
def test_answers_without_a_miss_prove_no_more_than_their_number(queries, target, code):
    """One query in 20 that finds nothing is among 50 with 92%, not with certainty: no spread is not knowledge."""
    found = choose([point(16, np.ones(queries), level(), served=False)], target, "ef")
    assert found.exit_code == code
    low = point(16, np.ones(queries), level(), served=False).sure
    assert (1 - (1 - low)) ** queries == pytest.approx(0.025)


def test_a_setting_that_fails_is_never_the_cheapest():
    """However high its recall; and where all of them fail nothing is said."""
    some = choose(points((16, 1.0, math.inf), (32, 0.99, 5.0)), 0.95, "ef")
    assert some.point.value == 32
    none = choose(points((16, 1.0, math.inf)), 0.95, "ef")
    assert (none.point, none.exit_code) == (None, 3)


def test_the_target_itself_reaches_it():
    """0.3 that was added up is 0.3 as it is written: on average reached, which is not a no."""
    added = 1 - 0.1 * 7
    assert added < 0.3
    assert choose([point(16, np.full(100, added), level(), served=False)], 0.3, "ef").exit_code == 3
    one = point(16, np.full(100, 0.95), level(), served=False)
    assert choice.told(one) == "0.9500 (0.9156 – 0.9518)"
