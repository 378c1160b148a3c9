"""What `backup` and `restore` refuse, each in one line, and what they leave untouched then."""

from __future__ import annotations

import json
import resource
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts import digests
from scripts.adapters.backup_files import open_folder
from scripts.backup_commands import backup as backup_command
from scripts.backup_commands import restore as restore_command
from scripts.errors import KitError, Refused, UsageError
from scripts.jobs.backup import backup
from scripts.jobs.restore import restore
from scripts.pair import State
from tests.backup.world import DIMENSION, OTHER, PAIR, build, folder, layout, opened, rows, stamp, vectors


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """A pair that no test changes."""
    path = tmp_path_factory.mktemp("backups")
    with opened(path / "kit", str(path / "milvus.db")) as kit:
        build(kit)
        yield kit


@pytest.fixture(scope="module")
def whole(kit, tmp_path_factory) -> Path:
    """A backup to copy."""
    path = tmp_path_factory.mktemp("whole") / "backup"
    backup(kit, PAIR, folder(path))
    return path


@pytest.fixture
def copied(whole, tmp_path) -> Path:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in whole.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def rewritten(path: Path, honest: bool = True, **changes) -> None:
    """Another manifest; an honest one has the checksum that belongs to it."""
    raw = json.loads((path / "manifest.json").read_text()) | changes
    if honest:
        raw["sha256"] = digests.of_json({name: value for name, value in raw.items() if name != "sha256"})
    (path / "manifest.json").write_text(json.dumps(raw))


@pytest.mark.parametrize("name", ["notes.txt", "deep/er.parquet", "part-1.parquet", "part-00000-0123abcd.parquet"])
def test_a_folder_with_something_else_is_left_alone(kit, tmp_path, name):
    """It is named, and nothing is written beside it."""
    file = tmp_path / "there" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(Refused, match=name):
        backup(kit, PAIR, folder(tmp_path / "there"))
    assert [path for path in (tmp_path / "there").rglob("*") if path.is_file()] == [file] and file.read_text() == "mine"


def test_a_file_is_no_folder(kit, tmp_path):
    """One line, no traceback."""
    (tmp_path / "there").write_text("")
    with pytest.raises(Refused, match="is a file, not a folder"):
        backup(kit, PAIR, folder(tmp_path / "there"))


def test_a_backup_of_another_pair_is_not_gone_on_with(kit, copied):
    """Nor of the same pair with other content."""
    raw = json.loads((copied / "manifest.json").read_text())
    rewritten(copied, pair=OTHER)
    with pytest.raises(Refused, match=f"holds a backup of {OTHER}, not of {PAIR}"):
        backup(kit, PAIR, folder(copied))
    rewritten(copied, pair=PAIR, stamp=raw["stamp"] | {"promotion.content.fingerprint": "0" * 16})
    with pytest.raises(Refused, match="as it was before it changed"):
        backup(kit, PAIR, folder(copied))


@pytest.mark.parametrize("damage", ["changed", "shortened", "gone", "swapped"])
def test_a_damaged_file_is_named_before_anything_is_written(kit, copied, damage):
    """By its checksum, whatever happened to it."""
    (file,) = copied.glob("*.parquet")
    content = file.read_bytes()
    spoiled = {"changed": content[:5_000] + bytes([content[5_000] ^ 1]) + content[5_001:], "shortened": content[:-1], "swapped": content[::-1]}
    file.unlink()
    if damage in spoiled:
        file.write_bytes(spoiled[damage])
    with pytest.raises(Refused, match=file.name):
        restore(kit, folder(copied), OTHER)
    assert kit.store.collections() == [PAIR]


def test_a_manifest_that_was_edited_is_refused(kit, copied):
    """Also one that is of a newer format, or half written, or not there."""
    rewritten(copied, honest=False, pair=OTHER)
    with pytest.raises(Refused, match="manifest.json was changed since it was written"):
        restore(kit, folder(copied))
    rewritten(copied, format=2)
    with pytest.raises(Refused, match="has format 2; this kit reads 1"):
        restore(kit, folder(copied))
    (copied / "manifest.json").write_text('{"format": 1, "pai')
    with pytest.raises(Refused, match="only half of it is there"):
        restore(kit, folder(copied))
    (copied / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(Refused, match="is not of a backup"):
        restore(kit, folder(copied))
    (copied / "manifest.json").unlink()
    with pytest.raises(UsageError, match="There is no backup in"):
        restore(kit, folder(copied))


def test_what_a_newer_kit_stamped_is_refused(kit, copied, tmp_path):
    """Neither a pair nor a backup of which this kit may know only half."""
    raw = json.loads((copied / "manifest.json").read_text())
    rewritten(copied, stamp=raw["stamp"] | {"promotion.format": "2"})
    with pytest.raises(Refused, match=f"The stamp of {PAIR} has format 2; this kit reads 1. Use the version of the kit that built it"):
        restore(kit, folder(copied), OTHER)
    kit.store.set_properties(PAIR, {"promotion.format": "2"})
    try:
        with pytest.raises(Refused, match=f"The stamp of {PAIR} has format 2"):
            backup(kit, PAIR, folder(tmp_path / "there"))
    finally:
        kit.store.set_properties(PAIR, {"promotion.format": "1"})


def test_a_manifest_that_leads_elsewhere_is_refused(kit, copied):
    """Files are in the folder itself, whatever it says."""
    raw = json.loads((copied / "manifest.json").read_text())
    raw["parts"][0]["name"] = f"../{raw['parts'][0]['name']}"
    rewritten(copied, parts=raw["parts"])
    with pytest.raises(Refused, match="manifest.json cannot be read .parts.0.name"):
        restore(kit, folder(copied), OTHER)


def test_nothing_is_restored_over_what_is_there(kit, whole):
    """Neither over a collection, the kit's or not, nor over an alias."""
    with pytest.raises(Refused, match=f"There is a collection {PAIR} already"):
        restore(kit, folder(whole))
    alias = f"{PAIR[:-8]}aaaaaaaa"
    kit.store.point(alias, PAIR)
    try:
        with pytest.raises(Refused, match=f"{alias} is an alias of {PAIR}"):
            restore(kit, folder(whole), alias)
    finally:
        kit.store.withdraw(alias)
    assert kit.store.collections() == [PAIR]


@pytest.mark.parametrize(("name", "why"), [("small_shop_v4_0123abcd", "another service or model version"), ("shop_v3_0123abcd", "another service"), ("shop", "not the name of a pair"), ("", "not the name of a pair")])
def test_a_restored_pair_keeps_its_service_and_model_version(kit, whole, name, why):
    """They are in its name, and its vectors are that model's."""
    with pytest.raises(UsageError, match=why):
        restore(kit, folder(whole), name)


@pytest.mark.parametrize(("changes", "why"), [({"state": State.BUILDING, "content": None}, "is not finished"), ({"shards": {"0-of-1": None}}, "is being brought up to date")])
def test_a_pair_that_is_being_filled_is_not_backed_up(tmp_path, changes, why):
    """What belongs in it is not known then."""
    with opened(tmp_path / "kit", str(tmp_path / "milvus.db")) as kit:
        kit.store.create(PAIR, layout(), stamp(**changes).properties())
        with pytest.raises(Refused, match=why):
            backup(kit, PAIR, folder(tmp_path / "there"))
        assert not (tmp_path / "there").exists()


def test_a_collection_that_changed_during_the_backup_leaves_no_manifest(tmp_path):
    """Also where the number of rows is the same: what was read is held against the content that the stamp says."""
    with opened(tmp_path / "kit", str(tmp_path / "milvus.db")) as kit:
        build(kit)
        first = rows(1)
        kit.store.open(PAIR).write(replace(first, text_hashes=first.text_hashes + 1), vectors(1))
        with pytest.raises(Refused, match="changed while it was read"):
            backup(kit, PAIR, folder(tmp_path / "there"))
        assert not (tmp_path / "there" / "manifest.json").exists()


def test_a_full_disk_ends_in_one_line(tmp_path):
    """It says that there is no room, and names the file."""
    there = folder(tmp_path / "there")
    with opened(tmp_path / "kit", str(tmp_path / "milvus.db")) as kit:
        build(kit)
        (page, *_) = kit.store.open(PAIR).whole()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(KitError, match="There is no room for .*part-00000"), there.part("part-00000-00000000.parquet", layout(DIMENSION)) as part:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
            for _ in range(20):
                part.add(page)
            part.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_commands_ask_for_what_they_need():
    """In the way of every other command."""
    runner = CliRunner()
    assert "Missing option '--to'" in runner.invoke(backup_command, ["--pair", PAIR]).output
    assert "do not go with `verify`" in runner.invoke(backup_command, ["--pair", PAIR, "verify", "there"]).output
    assert "Missing argument 'FOLDER'" in runner.invoke(restore_command, []).output
    for days in ("nan", "inf", "1e300", "0"):
        done = runner.invoke(backup_command, ["verify", "there", "--max-age-days", days])
        assert done.exit_code == 2 and "Invalid value for '--max-age-days'" in done.output


@pytest.mark.parametrize(("address", "why"), [("", "is empty"), (" ", "is empty"), ("a\udcffb", "'a.udcffb' has a character in it that is none"), ("a\0b", "is none")])
def test_an_address_that_is_none_ends_in_one_line(address, why):
    """A variable that is not set, a name in another encoding."""
    with pytest.raises(UsageError, match=why):
        open_folder(address, Path("/"))


def test_a_file_is_no_backup(kit, whole):
    """It is said what it is."""
    with pytest.raises(UsageError, match="manifest.json is a file, not a folder"):
        restore(kit, open_folder(str(whole / "manifest.json"), Path("/")), OTHER)
