"""Backups and restores that are broken off, and what goes on from there."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts import lock
from scripts.errors import KitError, Refused, UsageError
from scripts.jobs.acts import holder
from scripts.jobs.backup import backup
from scripts.jobs.restore import restore
from tests.backup.world import OTHER, PAIR, ROWS, a_pair, built, folder, held

PART_BYTES = 30_000


class BrokenOff(Exception):
    """What ends a job half way."""


def telling(advance, of: str = "backup"):
    """Progress of one step, told to this function."""

    @contextmanager
    def show(label, total):
        yield advance if label == of else lambda rows: None

    return show


def break_off_after(count: int, of: str = "backup"):
    """Progress that ends whoever reports it when so many rows of a step are done."""
    done = 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        if done >= count:
            raise BrokenOff

    return telling(advance, of)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    """Several pages and files of few rows."""
    monkeypatch.setattr("scripts.adapters.milvus.collection.PAGE_BYTES", 24 << 10)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return a_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def kit(tmp_path, pair):
    with built(tmp_path, pair) as kit:
        yield kit


def listed(path: Path) -> list[str]:
    return [part["name"] for part in json.loads((path / "unfinished.json").read_text())["parts"]]


def test_a_broken_off_backup_goes_on_behind_its_last_whole_file(kit, tmp_path):
    """Whole files are kept as they are, a damaged one and what follows is made anew, leftovers vanish, and what comes out can be restored."""
    path = tmp_path / "there"
    with pytest.raises(BrokenOff):
        backup(kit, PAIR, folder(path), break_off_after(ROWS - 100), part_bytes=PART_BYTES)
    whole = listed(path)
    assert len(whole) >= 3 and not (path / "manifest.json").exists()
    leftover = path / "part-00077-00000000.parquet"
    leftover.write_bytes(b"half of a")
    (path / whole[2]).write_bytes((path / whole[2]).read_bytes()[:-7])
    stamps = {name: (path / name).stat().st_mtime_ns for name in whole[:2]}

    made = backup(kit, PAIR, folder(path), part_bytes=PART_BYTES)

    assert 0 < made.kept_rows < ROWS and made.manifest.rows == ROWS
    assert [part.name for part in made.manifest.parts[:2]] == whole[:2]
    assert {name: (path / name).stat().st_mtime_ns for name in whole[:2]} == stamps
    assert sorted(file.name for file in path.iterdir()) == sorted(["manifest.json", *(part.name for part in made.manifest.parts)])
    restore(kit, folder(path), OTHER)
    assert held(kit, OTHER) == held(kit)


def test_a_whole_backup_is_only_checked_when_it_is_made_again(kit, tmp_path, monkeypatch):
    """The collection is not read again, for which it would have to be loaded; and a file that is gone since is named."""
    first = backup(kit, PAIR, folder(tmp_path / "there"), part_bytes=PART_BYTES)
    kit.store.open(PAIR).release()
    with monkeypatch.context() as patch:
        patch.setattr("scripts.adapters.milvus.collection.MilvusCollection.load", lambda self: pytest.fail("it is read"))
        again = backup(kit, PAIR, folder(tmp_path / "there"), part_bytes=PART_BYTES)
    assert again.manifest == first.manifest and again.kept_rows == ROWS
    name = first.manifest.parts[1].name
    (tmp_path / "there" / name).unlink()
    with pytest.raises(Refused, match=f"{name} is gone"):
        backup(kit, PAIR, folder(tmp_path / "there"))


def test_a_broken_off_restore_goes_on(kit, tmp_path):
    """What it left is an unfinished pair; the same restore finishes it, and another backup does not."""
    backup(kit, PAIR, folder(tmp_path / "there"), part_bytes=PART_BYTES)

    with pytest.raises(BrokenOff):
        restore(kit, folder(tmp_path / "there"), OTHER, break_off_after(ROWS // 2, "restore"))
    with pytest.raises(Refused, match="is not finished"):
        backup(kit, OTHER, folder(tmp_path / "elsewhere"))
    backup(kit, PAIR, folder(tmp_path / "second"))
    with pytest.raises(Refused, match="There is a collection .* already"):
        restore(kit, folder(tmp_path / "second"), OTHER)
    restore(kit, folder(tmp_path / "there"), OTHER)
    assert held(kit, OTHER) == held(kit)


def test_a_second_writer_ends_the_first(kit, tmp_path):
    """Whoever came later has taken the folder over; the first says so in one line, and what comes out is whole."""
    path = tmp_path / "there"
    begun = False

    def meanwhile(rows: int) -> None:
        nonlocal begun
        if not begun:
            begun = True
            backup(kit, PAIR, folder(path), part_bytes=PART_BYTES)

    with pytest.raises(KitError) as caught:
        backup(kit, PAIR, folder(path), telling(meanwhile), part_bytes=PART_BYTES)
    assert "Another process writes a backup" in str(caught.value)
    restore(kit, folder(path), OTHER)


def test_a_backup_that_is_finished_while_another_looks_at_its_files_stays_whole(kit, tmp_path):
    """Of two that go on with the same folder the later one takes over, and the earlier one, which has read the files that are there, neither removes
    what was written meanwhile nor writes another."""
    path = tmp_path / "there"
    with pytest.raises(BrokenOff):
        backup(kit, PAIR, folder(path), break_off_after(ROWS // 2), part_bytes=PART_BYTES)
    finished = {}

    def meanwhile(rows: int) -> None:
        if not finished:
            finished["kept"] = None
            finished["kept"] = backup(kit, PAIR, folder(path), part_bytes=PART_BYTES).kept_rows
            finished["files"] = {file.name: file.stat().st_mtime_ns for file in path.iterdir()}

    with pytest.raises(Refused, match="Another process writes a backup"):
        backup(kit, PAIR, folder(path), telling(meanwhile), part_bytes=PART_BYTES)
    assert finished["kept"] > 0 and {file.name: file.stat().st_mtime_ns for file in path.iterdir()} == finished["files"]
    assert backup(kit, PAIR, folder(path)).kept_rows == ROWS


def test_a_restore_that_another_one_overtakes_leaves_its_pair_alone(kit, tmp_path):
    """While it still reads its files the other has finished, and the pair may have been promoted since: nothing is written over it."""
    backup(kit, PAIR, folder(tmp_path / "there"), part_bytes=PART_BYTES)
    with pytest.raises(BrokenOff):
        restore(kit, folder(tmp_path / "there"), OTHER, break_off_after(1, "restore"))
    overtaken = False

    def meanwhile(rows: int) -> None:
        nonlocal overtaken
        if not overtaken:
            overtaken = True
            restore(kit, folder(tmp_path / "there"), OTHER)
            kit.store.set_properties(OTHER, {"promotion.state": "validated"})

    with pytest.raises(Refused, match=f"There is a collection {OTHER} already"):
        restore(kit, folder(tmp_path / "there"), OTHER, telling(meanwhile, "verify"))
    assert overtaken and kit.store.properties(OTHER)["promotion.state"] == "validated"
    assert restore(kit, folder(tmp_path / "there"), OTHER).state == "validated"


def test_a_collection_that_is_dropped_during_its_backup_is_said_to_be(kit, tmp_path):
    """In one line, and there is no backup."""
    with pytest.raises(KitError, match=PAIR) as caught:
        backup(kit, PAIR, folder(tmp_path / "there"), telling(lambda rows: kit.store.properties(PAIR) and kit.store.drop(PAIR)), part_bytes=PART_BYTES)
    assert "\n" not in str(caught.value) and not (tmp_path / "there" / "manifest.json").exists()


def test_a_released_pair_is_released_again_unless_production_is_being_changed(kit, tmp_path):
    """A rollback may be about to switch to it, and has seen that it is loaded: then it stays, and a note says why."""
    kit.store.open(PAIR).release()
    assert backup(kit, PAIR, folder(tmp_path / "one")).notes == ()
    assert not kit.store.open(PAIR).is_loaded()
    with lock.held(kit.store, kit.settings.alias, holder(kit, "rollback")):
        (note,) = backup(kit, PAIR, folder(tmp_path / "two")).notes
    assert note.startswith(f"{PAIR} stays in memory: rollback, begun by ") and kit.store.open(PAIR).is_loaded()


def test_half_a_backup_is_not_restored(kit, tmp_path):
    """It says how much is there and how to go on."""
    with pytest.raises(BrokenOff):
        backup(kit, PAIR, folder(tmp_path / "there"), break_off_after(ROWS // 2), part_bytes=PART_BYTES)
    with pytest.raises(UsageError, match=rf"is unfinished: .* of 1,200 rows. Run `backup --pair {PAIR} --to"):
        restore(kit, folder(tmp_path / "there"), OTHER)
