"""`kill -9` during `embed`, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from scripts.adapters.milvus import MilvusStore
from tests.shop import Shop

ROOT = Path(__file__).parents[1]
ROWS = 12_000
WINDOW = 4_096  # rows that `sync` takes at once: what a crash can make it do again


@pytest.fixture
def shop(tmp_path, milvus, mlflow_server) -> Shop:
    return Shop(tmp_path / "shop", milvus.uri, milvus.token, mlflow_server.uri)


def embed(shop: Shop, pair: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "scripts", "embed", "--pair", pair, "--config", str(shop.folder / "promotion.yaml")]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | shop.environment, start_new_session=True)


def test_a_killed_embed_is_simply_run_again(shop):
    """The same content as without the crash, no duplicates, and at most one window of texts encoded twice."""
    shop.write_products([{"product_id": i, "name": f"product number {i}", "description": "", "price_cents": i} for i in range(ROWS)])
    journal = shop.folder / "journal.txt"
    pointer = shop.folder / "pointer.txt"
    pointer.write_text(str(journal))
    shop.stage("slow", journal=str(pointer))
    pair = shop.do("create")["pair"]
    journal.write_text("")

    with embed(shop, pair) as process:
        deadline = time.monotonic() + 120
        while journal.read_text().count("\n") < ROWS // 2:
            assert process.poll() is None, "ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    encoded_before = journal.read_text().splitlines()

    again = shop.do("embed", "--pair", pair)
    assert again["unchanged"] > 0
    assert again["unchanged"] + again["written"] == ROWS
    assert shop.do("finish", "--pair", pair)["rows"] == ROWS

    with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
        keys = [key for page in store.open(pair).contents() for key in page.keys]
    assert sorted(keys) == list(range(ROWS))
    counts = Counter(line for line in journal.read_text().splitlines() if line.startswith("product"))
    assert len(counts) == ROWS
    assert sum(counts.values()) - ROWS <= WINDOW
    assert len(encoded_before) >= ROWS // 2
