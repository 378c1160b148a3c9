"""The load benchmark in small: the same code, a few switches, and what must hold at any size."""

import json

import pytest

from benchmarks.load import figures
from benchmarks.load.__main__ import measured
from benchmarks.load.stage import Stage, overhead
from tests.servers import MilvusServer
from tests.shop import Shop


@pytest.fixture(scope="module")
def own_milvus(milvus_wheel, tmp_path_factory):
    """One that may be killed. Its session ends after 10 seconds, so collections answer soon after a restart."""
    with MilvusServer(tmp_path_factory.mktemp("milvus"), milvus_wheel, {"COMMON_SESSION_TTL": "10"}) as server:
        yield server


def test_clients_under_load_see_no_error_and_no_mixed_answer_while_production_switches(own_milvus, mlflow_server, tmp_path):
    """Threads and processes through promotions, a rollback and a `kill -9` of Milvus; the naive client beside them does mix."""
    stage = Stage.built(Shop(tmp_path, own_milvus.uri, own_milvus.token, mlflow_server.uri), "load", rows=200)
    found = measured(stage, switches=3, quiet=1.0, rate=20.0, milvus=own_milvus, recovery=30.0)
    counts = found["switches"]["all"]
    assert counts["queries"] > 100 and (counts["errors"], counts["mixed"]) == (0, 0), found["switches"]["faults"]
    assert found["naive"]["mixed"] > 0
    assert found["kill"]["mixed"] == 0
    assert not [fault for fault in found["kill"]["faults"] if "TRACEBACK" in fault or "\n" in fault]
    assert found["kill"]["answered_at_the_end"]
    found["overhead"] = overhead(stage, 20)
    assert found["overhead"]["p50_ms"]["searcher"] > 0
    assert "0 errors, 0 mixed answers" in figures.table(json.loads(json.dumps(found)))
