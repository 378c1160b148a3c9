"""`capacity`, as it is called."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scripts import footprint
from scripts.adapters.milvus import MilvusStore
from scripts.capacity.nodes import Nodes
from scripts.capacity.policy import CapacitySettings
from scripts.capacity_commands import capacity
from scripts.errors import UsageError
from scripts.jobs.capacity import present
from scripts.pair import Build, Content
from scripts.ports import VectorStore
from scripts.settings import Settings
from tests.retention_world import LAYOUT, World
from tests.test_pair import stamp

NOW = timedelta()
PLAN = ("--rows", "100M", "--dim", "768", "--index", "HNSW")


@dataclass
class Parts:
    """All that `capacity` asks for."""

    store: VectorStore
    settings: Settings


def run(*words: str) -> Result:
    return CliRunner().invoke(capacity, words)


def facts(*words: str) -> dict[str, Any]:
    return json.loads(run(*words, "--json").stdout)


def test_a_plan_needs_no_server_and_no_configuration():
    """Every moment, every index, the nodes that it takes, and what suits."""
    result = run(*PLAN)
    assert result.exit_code == 0, result.output
    for word in ("100,000,000 rows × 768 numbers, HNSW (M 16)", "one pair", "during a promotion", "IVF_PQ", "DISKANN", "fits:", "suits: HNSW"):
        assert word in result.stdout


def test_nodes_that_do_not_hold_a_promotion_end_with_1():
    """The answer is no; the same nodes hold it in an index that takes less."""
    assert (run(*PLAN, "--memory", "4x64Gi").exit_code, run("--rows", "100M", "--dim", "768", "--memory", "4x128Gi").exit_code) == (1, 0)
    assert "does not fit" in run(*PLAN, "--memory", "4x64Gi").stdout


def test_what_is_asked_for_changes_what_is_needed():
    """Links, columns, predecessors and replicas each take their share."""
    least = facts(*PLAN, "--keep-loaded", "0", "--keep-previous", "0", "--scalars-bytes", "0")
    assert [at["loaded"] for at in least["moments"]] == [1, 1, 2]
    for more in (("--m", "32"), ("--scalars-bytes", "200"), ("--replicas", "2"), ("--keep-previous", "1", "--keep-loaded", "1")):
        assert facts(*PLAN, "--keep-loaded", "0", "--keep-previous", "0", "--scalars-bytes", "0", *more)["needed"] > least["needed"], more


def test_the_facts_are_those_of_the_lines():
    """For machines: bytes, and whether it fits."""
    told = facts(*PLAN, "--memory", "4x64Gi")
    assert (told["fits"], told["query_nodes"]) == (False, {"count": 4, "memory": 64 * 2**30})
    assert told["needed"] == told["moments"][-1]["memory"] == 3 * told["pair"]["memory"] > told["usable"]
    assert told["pair"]["memory"] == told["pair"]["index_memory"] + told["pair"]["scalars_memory"]
    assert told["choice"]["index"]["type"] == "IVF_PQ"


@pytest.mark.parametrize(
    "words",
    [
        ("--rows", "lots", "--dim", "768"),
        ("--rows", "0", "--dim", "768"),
        ("--rows", "-5", "--dim", "768"),
        ("--rows", "12 apples", "--dim", "768"),
        ("--rows", "1e400", "--dim", "768"),
        ("--rows", "1M", "--dim", "0"),
        ("--rows", "1M", "--dim", "-768"),
        ("--rows", "1M", "--dim", "40000"),
        ("--rows", "1M", "--dim", "9" * 400),
        ("--rows", "1M", "--dim", "768", "--index", "HNSW", "--m", "1"),
        ("--rows", "1M", "--dim", "768", "--index", "IVF_PQ", "--m", "7"),
        ("--rows", "1M", "--dim", "768", "--index", "FLAT", "--m", "8"),
        ("--rows", "1M", "--dim", "768", "--scalars-bytes", "-3"),
        ("--rows", "1M", "--dim", "768", "--scalars-bytes", "1Gi"),
        ("--rows", "1M", "--dim", "768", "--memory", "1Mi"),
        ("--rows", "1M", "--dim", "768", "--memory", "1e400Gi"),
        ("--rows", "1M", "--dim", "768", "--memory", "0x64Gi"),
        ("--rows", "1M", "--dim", "768", "--memory", "big"),
    ],
)
def test_nonsense_is_refused_in_one_line(words):
    """Naming the option."""
    refused = run(*words).exception
    assert isinstance(refused, UsageError) and str(refused).startswith("--") and "\n" not in str(refused)


@pytest.mark.parametrize("words", [("--rows", "1M"), ("--dim", "768"), ("--keep-loaded", "2"), ("--rows", "1M", "--dim", "8", "--m", "16")])
def test_options_that_need_another_say_so(words):
    """Exit code 2, as for any misuse of a command."""
    assert run(*words).exit_code == 2


def test_pairs_are_sized_by_what_they_hold(milvus, tmp_path):
    """Those that are loaded count for memory, all of them for storage, and the next promotion is one more like the newest."""
    with MilvusStore(milvus.uri, milvus.token) as store:
        world = World(store, tmp_path)
        names = [world.build(NOW) for _ in range(2)]
        for name, rows in zip(names, (1_000, 3_000), strict=True):
            content = Content(rows=rows, fingerprint="0" * 16, skipped=0, read_at=world.now)
            store.set_properties(name, world.stamp(name).changes(content=content))
        store.open(names[0]).release()
        told = present(Parts(store, world.settings), None)
        sizes = [footprint.estimate(LAYOUT, rows) for rows in (1_000, 3_000)]
        assert [(each.entry.pair.collection, each.is_loaded, each.need.memory) for each in told.pairs] == [
            (names[0], False, sizes[0].memory),
            (names[1], True, sizes[1].memory),
        ]
        assert (told.loaded, told.kept) == (sizes[1].memory, sum(size.disk for size in sizes))
        assert told.next.pair.rows == 3_000 and told.next.promotion.memory == 3 * sizes[1].memory
        assert names[1] in "\n".join(told.lines()) and told.facts()["pairs"][0]["loaded"] is False


def test_pairs_that_do_not_fit_end_with_1(tmp_path):
    """Only where nodes were named, by the command or the configuration; a build of which nothing is known does not count."""
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        world = World(store, tmp_path)
        parts = Parts(store, world.settings)
        assert "no pair" in present(parts, None).lines()[0]
        name = world.build(NOW)
        content = Content(rows=10**9, fingerprint="0" * 16, skipped=0, read_at=world.now)
        store.set_properties(name, world.stamp(name).changes(content=content))
        world.build(NOW)  # of no rows
        begun = stamp(layout=LAYOUT, shards={"0-of-1": None}, build=Build(id="c", created_at=world.now + timedelta(days=1)))
        store.create("shop_v9_00000009", LAYOUT, begun.properties())
        assert (present(parts, None).exit_code, present(parts, Nodes.parse("64Gi")).exit_code) == (0, 1)
        assert present(parts, Nodes.parse("64Gi")).pairs[-1].need is None
        configured = Parts(store, world.settings.model_copy(update={"capacity": CapacitySettings(query_nodes="64Gi")}))
        assert (present(configured, None).exit_code, present(configured, Nodes.parse("64x512Gi")).exit_code) == (1, 0)


def test_replicas_are_those_of_the_configuration_unless_named(tmp_path):
    """As `create` counts them: both say the same of the same cluster."""
    with MilvusStore(str(tmp_path / "milvus.db")) as store:
        world = World(store, tmp_path)
        name = world.build(NOW)
        content = Content(rows=1_000, fingerprint="0" * 16, skipped=0, read_at=world.now)
        store.set_properties(name, world.stamp(name).changes(content=content))
        twice = Parts(store, world.settings.model_copy(update={"capacity": CapacitySettings(replicas=2)}))
        found = present(Parts(store, world.settings), None), present(twice, None), present(twice, None, replicas=3)
        once, configured, named = (each.next.promotion.memory for each in found)
        assert (configured, named) == (2 * once, 3 * once)
