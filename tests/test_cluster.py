"""`embed --engine ray`, on a real cluster of two nodes, with a real Milvus."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pymilvus import MilvusClient

from scripts.adapters.milvus import MilvusStore
from scripts.records import Faults
from scripts.settings import BadRow, SourceSettings
from scripts.sync_report import SyncReport
from tests.conftest import needs
from tests.ray_cluster import RayCluster
from tests.servers import free_ports
from tests.shop import Shop, refusal
from tests.test_pair import stamp

ROOT = Path(__file__).parents[1]
ROWS = 2_000
PASSWORD = "a-password-that-nobody-may-see"
LIMIT_S = 240


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    needs(importlib.util.find_spec("ray") is not None, "Ray is not installed: requirements-ray.txt")
    with RayCluster(head_cpus=1, second_cpus=2) as cluster:
        yield cluster


@pytest.fixture
def cluster(ray_cluster) -> RayCluster:
    ray_cluster.mend()
    return ray_cluster


@pytest.fixture
def shop(tmp_path, empty_milvus_server, mlflow_server) -> Shop:
    shop = Shop(tmp_path / "shop", empty_milvus_server.uri, empty_milvus_server.token, mlflow_server.uri)
    (shop.folder / "pointer.txt").write_text(str(shop.folder / "journal.txt"))
    fill(shop)
    shop.stage("counted", journal=str(shop.folder / "pointer.txt"))
    return shop


def fill(shop: Shop, **last: str) -> None:
    rows = [{"product_id": i, "name": f"product number {i}", "description": "", "price_cents": i} for i in range(ROWS)]
    rows[-1] |= last
    shop.write_products(rows)


def start(shop: Shop, environment: dict[str, str], pair: str, *words: str) -> subprocess.Popen[str]:
    """A process of its own, as a person would start it: what Ray prints by itself, it prints past Python."""
    command = [sys.executable, "-m", "scripts", "embed", "--pair", pair, "--engine", "ray", "--config", str(shop.folder / "promotion.yaml"), *words]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | shop.environment | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip


def embed(shop: Shop, environment: dict[str, str], pair: str, *words: str) -> tuple[int, str, str]:
    with start(shop, environment, pair, *words) as process:
        out, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, out, err


def refused(answer: tuple[int, str, str], exit_code: int) -> str:
    """The one line, and nothing of Ray's."""
    code, out, err = answer
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert (code, out, len(lines)) == (exit_code, "", 1), answer
    assert "Traceback" not in err
    return lines[0]


def content(shop: Shop, pair: str) -> dict[int, dict]:
    client = MilvusClient(shop.milvus_uri, token=shop.milvus_token)
    rows = client.query(pair, filter="product_id >= 0", output_fields=["*"], limit=16_384, consistency_level="Strong")
    client.close()
    found = {row["product_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def test_a_cluster_gives_what_one_process_gives(cluster, shop):
    """Same keys, hashes, columns and vectors; one copy of the model per actor; no secret in any file of the cluster; facts alone on standard output."""
    alone = shop.do("create", "--build-id", "alone")["pair"]
    shop.do("embed", "--pair", alone)
    shop.do("finish", "--pair", alone)
    spread = shop.do("create", "--build-id", "spread")["pair"]
    journal = shop.folder / "journal.txt"
    journal.write_text("")
    shutil.rmtree(shop.folder / ".promotion" / "models")  # all actors fetch the model at once

    code, out, err = embed(shop, cluster.environment | {"SOURCE_PASSWORD": PASSWORD}, spread, "--actors", "3", "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert (facts["seen"], facts["embedded"], facts["written"], facts["shards"], facts["actors"], facts["rounds"]) == (ROWS, ROWS, ROWS, 12, 3, 1)
    assert err.count("is done") == 12
    loads = journal.read_text().split()
    assert 0 < len(loads) <= 3
    assert len(set(loads)) == len(loads)
    assert cluster.has_written("Embedder")
    assert not cluster.has_written(PASSWORD)
    assert not cluster.has_written(shop.milvus_token)

    assert shop.do("finish", "--pair", spread)["rows"] == ROWS
    assert content(shop, spread) == content(shop, alone)


def test_what_a_lost_node_had_is_done_by_the_others(cluster, shop):
    """Its two actors of three find no other place: the one that is left does the rest, and every row is there once."""
    pair = shop.do("create")["pair"]
    with start(shop, cluster.environment, pair, "--actors", "3", "--max-rows-per-second", "200", "--json") as process:
        overdue = threading.Timer(LIMIT_S, process.kill)
        overdue.start()
        for line in process.stderr:
            if "(1 of 12 shards)" in line:
                cluster.second.kill()
        out = process.stdout.read()
        overdue.cancel()
    assert process.returncode == 0, out
    facts = json.loads(out)
    assert facts["rounds"] > 1
    assert facts["source"]["rows"] == ROWS
    assert shop.do("finish", "--pair", pair)["rows"] == ROWS
    assert sorted(content(shop, pair)) == list(range(ROWS))


def test_a_bad_row_ends_as_it_does_without_ray(cluster, shop):
    """One line, the same one, and exit code 2."""
    fill(shop, name="")
    shop.configure(source={"uri": "products.jsonl", "key": "product_id", "text": "{name}"})
    pair = shop.do("create")["pair"]
    line = refused(embed(shop, cluster.environment, pair, "--actors", "2"), 2)
    assert "missing_text" in line
    assert line == refusal(shop.run("embed", "--pair", pair), 2)


def test_a_shard_that_ends_every_actor_is_given_up(cluster, shop):
    """A model that runs out of memory on one text must not be started again for ever."""
    fill(shop, description="fatal")
    pair = shop.do("create")["pair"]
    assert "last shards was lost, 3 times in a row" in refused(embed(shop, cluster.environment, pair, "--shards", "1"), 4)


def test_too_many_actors_are_refused(cluster, shop):
    """Ray would wait for machines for ever."""
    pair = shop.do("create")["pair"]
    line = refused(embed(shop, cluster.environment, pair, "--actors", "4"), 4)
    assert line == "error: The cluster has room for 3 actors of 1 CPU, not for 4. --actors 3, or more machines."
    line = refused(embed(shop, cluster.environment, pair, "--gpus-per-actor", "1"), 4)
    assert "room for 0 actors of 1 CPU and 1 GPUs" in line


def test_no_cluster_is_said_at_once(tmp_path, empty_milvus_server, mlflow_server):
    """Nothing is started in its place."""
    needs(importlib.util.find_spec("ray") is not None, "Ray is not installed: requirements-ray.txt")
    shop = Shop(tmp_path / "shop", empty_milvus_server.uri, empty_milvus_server.token, mlflow_server.uri)
    (port,) = free_ports(1)
    answer = embed(shop, {"RAY_ADDRESS": f"127.0.0.1:{port}"}, "test_shop_v1_00000001")
    assert refused(answer, 5).startswith(f"error: No Ray cluster answers at 127.0.0.1:{port}.")
    assert "neither `auto` nor HOST:PORT" in refused(embed(shop, {}, "test_shop_v1_00000001", "--ray-address", "local"), 2)


def test_milvus_lite_is_refused(tmp_path, mlflow_server):
    """Its file belongs to one process."""
    shop = Shop(tmp_path / "shop", str(tmp_path / "milvus.db"), "", mlflow_server.uri)
    assert "needs a Milvus server" in refusal(shop.run("embed", "--pair", "test_shop_v1_00000001", "--engine", "ray"), 2)


@pytest.mark.parametrize(
    "words",
    [
        ("--engine", "ray", "--shard", "0/4"),
        ("--actors", "2"),
        ("--engine", "ray", "--actors", "8", "--shards", "4"),
        ("--engine", "ray", "--shards", "2000"),
        ("--engine", "ray", "--gpus-per-actor", "1.5"),
    ],
    ids=" ".join,
)
def test_options_that_contradict_each_other_are_refused(tmp_path, words):
    """Before anything is opened."""
    shop = Shop(tmp_path / "shop", "http://127.0.0.1:9", "", "http://127.0.0.1:9")
    assert shop.run("embed", "--pair", "test_shop_v1_00000001", *words).exit_code == 2


def test_a_pipeline_that_runs_the_job_in_parallel_is_told(tmp_path):
    """Each of its machines would do the whole."""
    shop = Shop(tmp_path / "shop", "http://127.0.0.1:9", "", "http://127.0.0.1:9")
    answer = shop.run("embed", "--pair", "test_shop_v1_00000001", "--engine", "ray", CIRCLE_NODE_INDEX="0", CIRCLE_NODE_TOTAL="4")
    assert "CIRCLE_NODE_TOTAL" in refusal(answer, 2)


def test_what_shards_report_adds_up():
    """Counts, bad rows by kind with the first few named, cut texts, and the fingerprint of the whole."""
    source = SourceSettings(uri="x.csv", key="id", text="{name}", on_bad_row="skip")
    parts = []
    for shard in range(3):
        report = SyncReport(Faults(source), seen=10, embedded=7, fingerprint=2**63, seconds=9.0)
        report.faults.add(BadRow.MISSING_TEXT, f"row {shard}")
        report.note_cut_off(shard)
        parts.append(report)
    total = SyncReport.total(parts, seconds=12.0)
    assert (total.seen, total.embedded, total.skipped, total.rows, total.seconds, total.fingerprint) == (30, 21, 3, 27, 12.0, 2**63)
    assert total.faults.examples == {BadRow.MISSING_TEXT: ["row 0", "row 1", "row 2"]}
    assert (total.cut_off, total.cut_off_keys) == (3, [0, 1, 2])


def test_no_stamp_of_many_at_once_is_lost(empty_milvus_server):
    """Shards stamp the same collection at the same time, each its own key."""
    name = "shop_v1_00000001"

    def write(worker: int) -> None:
        with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as store:
            for i in range(10):
                store.set_properties(name, {f"promotion.test.{worker}.{i}": str(i)})

    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as store, ThreadPoolExecutor(8) as pool:
        store.create(name, stamp().layout, stamp().properties())
        list(pool.map(write, range(8)))
        found = store.properties(name)
    assert {key: value for key, value in found.items() if key.startswith("promotion.test.")} == {
        f"promotion.test.{worker}.{i}": str(i) for worker in range(8) for i in range(10)
    }
