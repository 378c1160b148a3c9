"""A backup while the pair is written to by a real `catch-up`, on the real server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts import config
from scripts.adapters.backup_files import open_folder
from scripts.errors import Refused
from scripts.jobs.backup import backup
from scripts.wiring import Wiring
from tests.backup.test_broken_off import telling
from tests.conftest import ROOT
from tests.shop import Shop, products, refusal

PART_BYTES = 10_000


@pytest.fixture
def shop(tmp_path, empty_milvus_server, mlflow_server, monkeypatch):
    """A shop whose collections are read a few rows at a time."""
    monkeypatch.setattr("scripts.adapters.milvus.collection.FIRST_PAGE_ROWS", 16)
    monkeypatch.setattr("scripts.adapters.milvus.collection.PAGE_BYTES", 8 << 10)
    return Shop(tmp_path / "shop", empty_milvus_server.uri, empty_milvus_server.token, mlflow_server.uri)


def opened(shop: Shop) -> Wiring:
    return Wiring(config.load(shop.folder / "promotion.yaml", shop.environment))


def test_a_catch_up_during_a_backup_is_never_mixed_into_it(shop, tmp_path):
    """Rows change, vanish and come in the middle, or right after the last one was read: it says so, and there is no backup. The same command then makes
    one, of what is there now alone."""
    pair = shop.build("words")
    for moment, word in ((60, "one"), (len(products()) - 9, "two")):
        there, left = open_folder(str(tmp_path / word), tmp_path), moment

        def meanwhile(rows: int, word: str = word) -> None:
            nonlocal left
            left -= rows
            if left <= 0 < left + rows:
                new = products()[0] | {"product_id": 1000}
                shop.write_products([row | {"name": f"{word} {row['name']}"} for row in [*products()[10:], new]])
                shop.do("catch-up", pair)

        with opened(shop) as kit, pytest.raises(Refused, match=f"{pair} changed while it was read"):
            backup(kit, pair, there, telling(meanwhile), part_bytes=PART_BYTES)
        assert left <= 0 and "manifest.json" not in there.names()
        with opened(shop) as kit:
            made = backup(kit, pair, there, part_bytes=PART_BYTES)
            found = kit.store.properties(pair)
        assert (made.kept_rows, made.manifest.rows) == (0, len(products()) - 9)
        assert made.manifest.fingerprint == found["promotion.content.fingerprint"]
        layout = made.manifest.read_stamp().layout
        names = [name for part in made.manifest.parts for page in there.pages(part.name, layout) for name in page.columns["name"]]
        assert all(name.startswith(word) for name in names)


def test_what_is_being_filled_is_not_backed_up(shop, tmp_path):
    """A finished pair that a `catch-up` of another process writes to: told in one line, by the beats of who is at work. What it leaves when it is killed
    is not backed up either."""
    gate = tmp_path / "gate.txt"
    gate.write_text(str(tmp_path / "never"))
    shop.stage("held", gate=str(gate))
    pair = shop.do("build")["pair"]
    words = ("backup", "--pair", pair, "--to", str(tmp_path / "there"))
    shop.write_products([row | {"name": f"another {row['name']}"} for row in products()])
    with at_work(shop, tmp_path, "catch-up", pair):
        assert f"{pair} is being filled" in refusal(shop.run(*words), 4)
    assert f"{pair} is being brought up to date, or was when that stopped" in refusal(shop.run(*words), 4)
    assert not (tmp_path / "there").exists()


@contextmanager
def at_work(shop: Shop, folder: Path, *words: str) -> Iterator[None]:
    """The command, held at its first text and killed at the end."""
    command = [sys.executable, "-m", "scripts", *words, "--config", str(shop.folder / "promotion.yaml")]
    environment = os.environ | shop.environment | {"CIRCLE_JOB": "embed", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not (folder / "waiting").exists():
                assert process.poll() is None
                time.sleep(0.02)
            yield
        finally:
            process.kill()
    (folder / "waiting").unlink()
