"""`health --watch --serve` and `ensure-loaded --every` as processes of their own, which run until they are ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from urllib.request import urlopen

import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.pair import State
from tests.conftest import ROOT
from tests.health.test_exposition import parsed
from tests.health.world import NOW, PRODUCTION, RETIRED, ROWS, build, write
from tests.test_pair import stamp

WITHIN_SECONDS = 90
FEW = 500  # which need no index, and so no time until it is in use


@pytest.fixture(scope="module")
def server(module_milvus_server):
    with MilvusStore(module_milvus_server.uri, module_milvus_server.token) as store:
        build(store, PRODUCTION, stamp(promoted_at=NOW, state=State.VALIDATED), rows=FEW).load()
        store.point("shop_prod", PRODUCTION)
    yield module_milvus_server


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "promotion.yaml"
    path.write_text("service: shop\nmodel: {name: m}\ngolden: golden\nsource: {uri: products.jsonl, key: id, text: '{name}'}\n")
    return path


@contextmanager
def running(server, config, *words):
    """Interrupted at the end, as Ctrl-C does."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(config.parent), "MILVUS_URI": server.uri, "MILVUS_TOKEN": server.token}
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts", *words, "--config", str(config)],
        env=environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130 and "interrupted" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def page(address: str) -> str:
    until = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            with closing(urlopen(address, timeout=10)) as answer:
                return answer.read().decode()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.2)


def test_watch_tells_each_look_and_keeps_the_file_and_the_page_new(server, config):
    """One line of JSON a look; all three say the same of what came meanwhile. A file that cannot be written for once does not end it."""
    folder = config.parent / "metrics"
    folder.mkdir()
    with running(server, config, "health", "--watch", "1", "--serve", "0", "--metrics-file", str(folder / "health.prom"), "--json") as process:
        address = process.stderr.readline().removeprefix("health: ").strip()
        first = json.loads(process.stdout.readline())
        assert first["summary"] == {"healthy": 1, "warning": 0, "error": 0}
        (growing,) = (value for key, value in parsed(page(address)).items() if key[0].endswith("collection_growing_rows"))
        assert growing == 0
        folder.rename(config.parent / "away")
        with MilvusStore(server.uri, server.token) as store:
            write(store, PRODUCTION, range(FEW, FEW + ROWS))
        assert "cannot be written" in process.stderr.readline()
        (config.parent / "away").rename(folder)
        while (look := json.loads(process.stdout.readline()))["summary"]["error"] == 0:
            assert look["at"] > first["at"]
        process.stdout.readline()  # the file is written before a look is told
        for text in (page(address), (folder / "health.prom").read_text()):
            (growing,) = (value for key, value in parsed(text).items() if key[0].endswith("collection_growing_rows"))
            assert growing == ROWS


def test_the_sidecar_loads_again_what_is_released_under_it(server, config):
    """It tells what has changed and nothing twice, and goes on beside what it cannot change: a stamp that it cannot read."""
    with running(server, config, "ensure-loaded", "--every", "1") as process:
        assert "was loaded" in process.stdout.readline()
        with MilvusStore(server.uri, server.token) as store:
            store.create(RETIRED, stamp().layout, {"promotion.format": "99"})
            store.open(PRODUCTION).release()
            assert process.stdout.readline().endswith(": loaded\n") and "was loaded" in process.stdout.readline()
            assert store.open(PRODUCTION).count() >= FEW
