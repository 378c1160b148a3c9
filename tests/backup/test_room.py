"""`restore` asks, as `create` does, whether what it makes would fit; `backup verify` does so on a server."""

from __future__ import annotations

import pytest

from scripts.capacity.policy import CapacitySettings
from scripts.errors import Refused
from scripts.jobs.backup import backup
from scripts.jobs.backup_verify import verify
from scripts.jobs.restore import restore
from tests.backup.test_broken_off import BrokenOff, break_off_after
from tests.backup.world import OTHER, PAIR, a_pair, build, built, folder, opened

ROWS = 400
TOO_SMALL, LARGE = "1138Mi", "4x64Gi"  # nine tenths of the first are a node's own GiB, and 200 kB


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return a_pair(tmp_path_factory.mktemp("pair"), ROWS)


@pytest.fixture
def kit(tmp_path, pair):
    with built(tmp_path, pair) as kit:
        yield kit


def configure(kit, **capacity):
    kit.settings = kit.settings.model_copy(update={"capacity": CapacitySettings(**capacity)})


def test_a_restore_that_would_not_fit_is_refused_before_anything_is_made(kit, tmp_path):
    """Also before its files are read. It has the index that it had, so no other one is suggested."""
    there = folder(tmp_path / "there")
    made = backup(kit, PAIR, there)
    (tmp_path / "there" / made.manifest.parts[0].name).unlink()
    configure(kit, query_nodes=TOO_SMALL)
    with pytest.raises(Refused, match=rf"^The promotion would not fit: .* for 400 rows \(the backup's\) beside .* of {PAIR}, more than the 0 B") as refused:
        restore(kit, there, OTHER)
    assert "capacity.policy: warn" in str(refused.value) and "index.type" not in str(refused.value)
    assert kit.store.collections() == [PAIR]


@pytest.mark.parametrize(
    ("capacity", "fits", "told"),
    [
        ({"query_nodes": TOO_SMALL, "policy": "warn"}, False, "  warning: The promotion would not fit: "),
        ({"query_nodes": LARGE}, True, "  capacity: fits: "),
    ],
)
def test_where_it_fits_or_only_a_warning_is_wanted_it_is_restored_and_that_is_said(kit, tmp_path, capacity, fits, told):
    """In the words of `create`, to people and to machines."""
    backup(kit, PAIR, folder(tmp_path / "there"))
    configure(kit, **capacity)
    done = restore(kit, folder(tmp_path / "there"), OTHER)
    assert done.facts()["capacity"]["fits"] is fits and [line for line in done.lines() if line.startswith(told)]


@pytest.mark.parametrize("capacity", [{"query_nodes": TOO_SMALL, "policy": "off"}, {"policy": "warn"}])
def test_where_nobody_wants_to_know_or_nothing_is_known_nothing_is_said(kit, tmp_path, capacity):
    """With policy: off; and of milvus-lite, which has no query nodes, without the section."""
    backup(kit, PAIR, folder(tmp_path / "there"))
    configure(kit, **capacity)
    done = restore(kit, folder(tmp_path / "there"), OTHER)
    assert done.facts()["capacity"] is None and "fit" not in "\n".join(done.lines())


def test_a_restore_that_goes_on_is_not_asked_again(kit, tmp_path):
    """It was admitted when it was begun; and what is restored already is only told."""
    there = folder(tmp_path / "there")
    backup(kit, PAIR, there)
    with pytest.raises(BrokenOff):
        restore(kit, there, OTHER, break_off_after(ROWS, "restore"))
    configure(kit, query_nodes=TOO_SMALL)
    assert restore(kit, there, OTHER).facts()["capacity"] is None
    assert "restored_before" in restore(kit, there, OTHER).facts()


def test_a_restore_test_in_a_milvus_lite_file_is_not_asked(kit, tmp_path):
    """It takes nothing of the cluster's memory."""
    backup(kit, PAIR, folder(tmp_path / "there"))
    configure(kit, query_nodes=TOO_SMALL)
    assert verify(kit, folder(tmp_path / "there")).facts()["capacity"] is None


def test_on_a_server_a_restore_test_takes_room_as_a_restore_does(empty_milvus_server, tmp_path):
    """Refused where it would not fit, with nothing made; else what the server has is told."""
    there = folder(tmp_path / "there")
    with opened(tmp_path / "laptop", str(tmp_path / "laptop.db")) as laptop:
        build(laptop, count=ROWS)
        backup(laptop, PAIR, there)
    with opened(tmp_path / "kit", empty_milvus_server.uri, empty_milvus_server.token) as cluster:
        configure(cluster, query_nodes=TOO_SMALL)
        with pytest.raises(Refused, match="^The restore test would not fit: it takes .* during its restore test: .* Free memory"):
            verify(cluster, there)
        assert cluster.store.collections() == []
        configure(cluster)
        done = verify(cluster, there)
        assert done.facts()["capacity"]["fits"] is True and "  capacity: fits: " in "\n".join(done.lines())
