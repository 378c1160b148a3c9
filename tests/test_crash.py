"""`kill -9` of the kit and of Milvus during `embed`, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from scripts.adapters.milvus import MilvusStore
from tests.servers import MilvusServer
from tests.shop import Shop, refusal

ROOT = Path(__file__).parents[1]
ROWS = 12_000
WINDOW = 4_096  # rows that `sync` takes at once: what a crash can make it do again


def embed(shop: Shop, pair: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "scripts", "embed", "--pair", pair, "--json", "--config", str(shop.folder / "promotion.yaml")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | shop.environment, start_new_session=True, **pipes)


def unfinished_pair(shop: Shop) -> tuple[str, Path]:
    """A pair that takes a while to fill, and the file in which its model writes down what it encodes."""
    shop.write_products([{"product_id": i, "name": f"product number {i}", "description": "", "price_cents": i} for i in range(ROWS)])
    journal = shop.folder / "journal.txt"
    pointer = shop.folder / "pointer.txt"
    pointer.write_text(str(journal))
    shop.stage("slow", journal=str(pointer))
    pair = shop.do("create")["pair"]
    journal.write_text("")
    return pair, journal


def wait_for_half(process: subprocess.Popen[str], journal: Path) -> None:
    deadline = time.monotonic() + 120
    while journal.read_text().count("\n") < ROWS // 2:
        assert process.poll() is None, "ended before half of it was done"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_embed_is_simply_run_again(shop):
    """The same content as without the crash, no duplicates, and at most one window of texts encoded twice."""
    pair, journal = unfinished_pair(shop)
    with embed(shop, pair) as process:
        wait_for_half(process, journal)
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


def test_a_build_outlives_a_kill_of_milvus(tmp_path, milvus_wheel, mlflow_server):
    """It waits until the server is back, which takes it half a minute, and goes on: nothing is lost, nothing is there twice."""
    with MilvusServer(tmp_path / "milvus", milvus_wheel) as milvus:
        shop = Shop(tmp_path / "shop", milvus.uri, milvus.token, mlflow_server.uri)
        pair, journal = unfinished_pair(shop)
        with embed(shop, pair) as process:
            wait_for_half(process, journal)
            milvus.kill()
            milvus.start()
            out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert json.loads(out)["written"] == ROWS
        assert shop.do("finish", "--pair", pair)["rows"] == ROWS
        with MilvusStore(shop.milvus_uri, shop.milvus_token) as store:
            assert sorted(key for page in store.open(pair).contents() for key in page.keys) == list(range(ROWS))


def test_two_builds_of_one_pair_at_once(tmp_path, empty_milvus_server, mlflow_server):
    """The second is refused in one line, and the first does not notice. A milvus-lite file belongs to one process anyway."""
    shop = Shop(tmp_path / "shop", empty_milvus_server.uri, empty_milvus_server.token, mlflow_server.uri)
    pair, journal = unfinished_pair(shop)
    with embed(shop, pair) as first:
        while not journal.read_text():
            assert first.poll() is None
            time.sleep(0.05)
        assert "is being filled by another process" in refusal(shop.run("embed", "--pair", pair), 4)
        out, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    assert json.loads(out)["written"] == ROWS


def test_a_paused_build_goes_on(tmp_path, empty_milvus_server, mlflow_server):
    """SIGUSR1 stops it before its next write, SIGUSR2 lets it go on, and both say so."""
    shop = Shop(tmp_path / "shop", empty_milvus_server.uri, empty_milvus_server.token, mlflow_server.uri)
    pair, journal = unfinished_pair(shop)
    with embed(shop, pair) as process:
        while not journal.read_text():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGUSR1)
        time.sleep(2)
        paused_at = journal.read_text().count("\n")
        time.sleep(2)
        assert journal.read_text().count("\n") == paused_at < ROWS
        process.send_signal(signal.SIGUSR2)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "paused: SIGUSR2 resumes." in err and "resumed." in err
    assert json.loads(out)["written"] == ROWS
