"""`backup` and `restore`: from milvus-lite to a server and back, with everything that a pair has."""

from __future__ import annotations

import json

import pytest

from scripts.jobs import finish
from scripts.jobs.backup import backup
from scripts.jobs.restore import RESTORED, restore
from scripts.pair import Stamp, State
from tests.backup.world import BEGAN, COLUMNS, OTHER, PAIR, ROWS, build, folder, held, opened, rows, stamp, vectors


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    """Several pages and files of few rows."""
    monkeypatch.setattr("scripts.adapters.milvus.collection.PAGE_BYTES", 64 << 10)


def test_a_pair_goes_from_a_laptop_to_a_server_and_back(milvus, tmp_path):
    """Every key, every value of every type, and every vector to its last bit; on the way nothing is loaded that was not, and no verdict is kept. Machines
    read the same of it as people."""
    expected = rows()
    with opened(tmp_path / "laptop", str(tmp_path / "laptop.db")) as laptop:
        build(laptop)
        made = backup(laptop, PAIR, folder(tmp_path / "there"), part_bytes=20_000)
        before = held(laptop)
    assert len(made.manifest.parts) > 2 and made.manifest.rows == ROWS == len(before)
    for at, key in enumerate(expected.keys):
        values, text, columns, vector = before[key]
        assert values == {name: expected.columns[name][at] for name in COLUMNS}
        assert (text, columns, vector) == (int(expected.text_hashes[at]), int(expected.column_hashes[at]), vectors()[at].tobytes())

    with opened(tmp_path / "cluster", milvus.uri, milvus.token) as cluster:
        restored = restore(cluster, folder(tmp_path / "there"))
        facts = json.loads(json.dumps(restored.facts()))
        assert (facts["pair"], facts["backup_of"], facts["rows"], facts["queries"], facts["sha256"]) == (PAIR, PAIR, ROWS, 32, made.facts()["sha256"])
        assert facts["recall"] > 0.95 and facts["fingerprint"] == made.facts()["fingerprint"]
        assert held(cluster) == before
        found = Stamp.read(PAIR, cluster.store.properties(PAIR))
        assert found.state is State.BUILT and found.content == stamp().content and not found.missing_shards
        assert (found.verdict, found.evidence, found.evidence_digest, found.replaces) == ("", "", "", "")
        assert found.build.id == stamp().build.id and found.build.created_at > BEGAN
        assert cluster.store.properties(PAIR)[RESTORED] == made.manifest.digest
        assert finish.finish(cluster, PAIR).readiness.rows == ROWS
        cluster.store.open(PAIR).release()
        backup(cluster, PAIR, folder(tmp_path / "back"))
        assert not cluster.store.open(PAIR).is_loaded()

    with opened(tmp_path / "laptop", str(tmp_path / "laptop.db")) as laptop:
        assert str(restore(laptop, folder(tmp_path / "back"), OTHER).pair) == OTHER
        assert held(laptop, OTHER) == before
        assert Stamp.read(OTHER, laptop.store.properties(OTHER)).build.id == f"restored-{OTHER[-8:]}"


def test_whole_rows_are_the_same_without_the_fast_way(tmp_path, monkeypatch):
    """A pymilvus whose insides are others gives Python values instead of messages."""
    with opened(tmp_path / "kit", str(tmp_path / "milvus.db")) as kit:
        build(kit, count=300)
        fast = held(kit)
        monkeypatch.setattr("scripts.adapters.milvus.connection.Connection.wire", None)
        assert held(kit) == fast


def test_an_empty_pair_is_backed_up_as_well(tmp_path):
    """No rows are no reason to fail, nor to search for anything."""
    with opened(tmp_path / "kit", str(tmp_path / "milvus.db")) as kit:
        nothing = stamp().content.model_copy(update={"rows": 0, "fingerprint": "0" * 16})
        of = stamp(content=nothing, shards={"0-of-1": nothing})
        kit.store.create(PAIR, of.layout, of.properties())
        made = backup(kit, PAIR, folder(tmp_path / "there"))
        assert made.manifest.rows == 0
        restored = restore(kit, folder(tmp_path / "there"), OTHER)
        assert restored.answers is None and restored.facts()["rows"] == 0
