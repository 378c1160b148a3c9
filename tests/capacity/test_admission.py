"""Whether a pair that is about to be made would fit, and what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from scripts.capacity.admission import Coming, enforced, weigh
from scripts.capacity.needs import Shape, need, segment_memory
from scripts.capacity.nodes import Nodes
from scripts.capacity.occupancy import Occupant
from scripts.capacity.policy import CapacitySettings, Policy
from scripts.errors import Refused
from scripts.layout import Index, IndexType

HNSW = Shape(768, Index(), columns=64)
ROWS = 10_000_000
COMING = Coming(HNSW, ROWS, "the source's")
PRODUCTION = Occupant("shop_v1_a", ROWS, (HNSW,))
OTHER = Occupant("logs", 1_000_000, (HNSW,))


def test_everything_that_is_loaded_counts():
    """The new pair, production, and what is not of the kit; each to the last byte."""
    needed, segment = need(HNSW, ROWS).memory, segment_memory(HNSW, ROWS)
    others = PRODUCTION.memory + OTHER.memory
    one = Nodes(1, 512 * 2**30)
    just = Nodes(1, int(512 * 2**30 - (one.holds(segment) - needed - others) / 0.9) + 1)
    assert weigh(COMING, [PRODUCTION, OTHER], just).holds
    assert weigh(COMING, [PRODUCTION], just).holds
    assert not weigh(COMING, [PRODUCTION, OTHER, replace(OTHER, rows=1)], replace(just, memory=just.memory - 500)).holds


def test_replicas_and_every_vector_field_take_their_share():
    """Other columns are counted once."""
    twice = Occupant("a", ROWS, (HNSW, HNSW), replicas=2)
    assert twice.memory == 2 * (need(HNSW, ROWS).memory + int(need(HNSW, ROWS).index.memory))
    assert Occupant("sparse", ROWS, ()).memory == 0
    fits = [weigh(replace(COMING, replicas=copies), [], Nodes.parse("2x48Gi")).holds for copies in (1, 2, 3)]
    assert fits == [True, True, False]


def test_the_line_says_what_is_needed_what_there_is_and_what_to_do():
    """In one line, with a smaller index where one would fit."""
    refused = weigh(COMING, [PRODUCTION, OTHER], Nodes.parse("64Gi"))
    assert refused.holds is False
    for word in ("would not fit", "10,000,000 rows (the source's)", "of 2 collections", "64Gi of query nodes"):
        assert word in refused.line
    assert "IVF_SQ8 would fit" in refused.hint and "cleanup" in refused.hint
    assert "would fit" not in weigh(COMING, [PRODUCTION, OTHER], Nodes.parse("16Gi")).hint
    fits = weigh(COMING, [], Nodes.parse("4x64Gi"))
    assert fits.holds and fits.line.startswith("capacity: fits") and "beside" not in fits.line
    assert "beside" in weigh(COMING, [PRODUCTION], Nodes.parse("4x64Gi")).line


def test_what_could_not_be_sized_is_said_and_counts_as_nothing():
    """Sparse vectors, and what this user may not see: it fits as far as is known, and what is known may be too much already."""
    beside = [PRODUCTION, Occupant("sparse", ROWS, ()), Occupant("hidden", 0, ())]
    fits = weigh(COMING, beside, Nodes.parse("4x64Gi"))
    assert fits.holds and fits.line.endswith("Not counted: 2 collections whose size is not known.") and f"of {PRODUCTION.name}, of" in fits.line
    assert "Not counted: 1 collection whose" in weigh(COMING, beside[:2], Nodes.parse("4x64Gi")).line
    assert weigh(COMING, beside, Nodes.parse("16Gi")).holds is False


@pytest.mark.parametrize(("coming", "nodes", "why"), [(replace(COMING, rows=None), Nodes.parse("64Gi"), "how many rows"), (COMING, None, "query_nodes")])
def test_what_is_not_known_is_said_and_refuses_nothing(coming, nodes, why):
    """Neither yes nor no."""
    unknown = enforced(weigh(coming, [PRODUCTION], nodes), Policy.REFUSE)
    assert unknown.holds is None and "not checked" in unknown.line and why in unknown.line


def test_the_policy_decides_what_follows():
    """A refusal that says how to build all the same, or a warning."""
    no = weigh(COMING, [], Nodes.parse("16Gi"))
    with pytest.raises(Refused, match="capacity.policy: warn") as refused:
        enforced(no, Policy.REFUSE)
    assert "\n" not in str(refused.value)
    warned = enforced(no, Policy.WARN)
    assert warned.line.startswith("warning: ") and no.line in warned.line and no.hint in warned.line
    yes = weigh(COMING, [], Nodes.parse("4x64Gi"))
    assert [enforced(yes, policy) for policy in Policy] == [yes] * 3


@pytest.mark.parametrize("nodes", ["", "12 apples", "-64Gi", "0x64Gi", "1e400", "64", "1Gi", "4x", "AUTO", "9" * 400])
def test_nodes_that_make_no_sense_are_refused_with_the_configuration(nodes):
    """Before anything is asked or built, and with what to write instead."""
    with pytest.raises(ValidationError, match="write 64Gi, 4x64Gi or auto"):
        CapacitySettings(query_nodes=nodes)


@pytest.mark.parametrize("section", [{"policy": "maybe"}, {"replicas": 0}, {"replicas": 1e400}, {"nodes": "64Gi"}])
def test_other_nonsense_is_refused_too(section):
    """Policies, replicas and names that there are not."""
    with pytest.raises(ValidationError):
        CapacitySettings(**section)


def test_the_usual_configuration_asks_the_server():
    """And the smaller indexes that are suggested are smaller."""
    assert CapacitySettings() == CapacitySettings(query_nodes="auto", policy=Policy.REFUSE, replicas=1)
    codes = replace(HNSW, index=Index(type=IndexType.IVF_PQ, params={"m": 192}))
    assert "would fit" not in weigh(replace(COMING, shape=codes), [PRODUCTION], Nodes.parse("16Gi")).hint
