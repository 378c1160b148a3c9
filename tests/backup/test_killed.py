"""kill -9 of `backup`, `restore` and `backup verify` before every one of their acts, and what the same command makes of it afterwards."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from scripts import catalogue, retention
from scripts.errors import Refused, UsageError
from scripts.jobs.backup import backup
from scripts.jobs.backup_verify import TRIAL, verify
from scripts.jobs.finish import finish
from scripts.jobs.promote import promote
from scripts.jobs.restore import restore
from scripts.pair import State
from scripts.retention import Fate, Policy
from tests.backup import killing_jobs
from tests.backup.killing import FORKS, doomed, every_kill
from tests.backup.world import OTHER, PAIR, build, folder, held, opened

ROWS = 400


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A milvus-lite file with a pair, what it holds, and a backup of it."""
    path = tmp_path_factory.mktemp("whole")
    with opened(path / "kit", str(path / "milvus.db")) as kit:
        build(kit, count=ROWS)
        backup(kit, PAIR, folder(path / "there"), part_bytes=killing_jobs.PART_BYTES)
        return path, held(kit)


def fates(kit, **later: float) -> dict[str, Fate]:
    """What cleanup would do, so much later."""
    world = catalogue.read(kit.store, kit.settings)
    return {each.entry.pair.collection: each.fate for each in retention.plan(world, Policy(), now=kit.now() + timedelta(**later)).decisions}


def test_a_backup_killed_at_any_point_is_simply_run_again(whole, tmp_path):
    """Before every write of every file: until there is a manifest nothing passes for a backup; afterwards the same command makes it whole, and leaves
    nothing else in the folder."""
    path, rows = whole
    there, acts = tmp_path / "there", []
    for act in every_kill(killing_jobs.back_up, tmp_path, str(path / "milvus.db")):
        acts.append(act)
        if not (there / "manifest.json").exists():
            with pytest.raises(UsageError, match="There is no backup in|is unfinished"), opened(tmp_path / "kit", str(tmp_path / "unused.db")) as kit:
                restore(kit, folder(there))
        with opened(tmp_path / "kit", str(path / "milvus.db")) as kit:
            made = backup(kit, PAIR, folder(there), part_bytes=killing_jobs.PART_BYTES)
        assert made.manifest.rows == ROWS and made.manifest.fingerprint == made.manifest.content.fingerprint, act
        assert sorted(file.name for file in there.iterdir()) == sorted(["manifest.json", *(part.name for part in made.manifest.parts)]), act
        layout = made.manifest.read_stamp().layout
        keys = [key for part in made.manifest.parts for page in folder(there).pages(part.name, layout) for key in page.keys]
        assert sorted(keys) == sorted(rows), act
        shutil.rmtree(there)
    assert {act.partition(": ")[2] for act in acts} >= {"BackupFiles.write", "BackupFiles.part", "_Part.add", "_Part.close", "BackupFiles.remove"}


def test_a_restore_killed_at_any_point_serves_nobody_and_is_simply_run_again(whole, tmp_path):
    """Until it is proved it is a pair that is being built: nobody can finish or promote it, and cleanup collects it."""
    path, rows = whole
    shutil.copytree(path / "there", tmp_path / "there")
    acts = []
    for act in every_kill(killing_jobs.bring_back, tmp_path, str(tmp_path / "milvus.db")):
        acts.append(act)
        with opened(tmp_path / "kit", str(tmp_path / "milvus.db")) as kit:
            found = kit.store.properties(OTHER)
            if found is not None and found["promotion.state"] != State.BUILT:
                for step in (finish, promote):
                    with pytest.raises(Refused):
                        step(kit, OTHER)
                assert found["promotion.state"] == kit.store.properties(OTHER)["promotion.state"] == State.BUILDING
                assert fates(kit, days=8) == {OTHER: Fate.DROP}
            restore(kit, folder(tmp_path / "there"), OTHER)
            assert held(kit, OTHER) == rows, act
            assert catalogue.read(kit.store, kit.settings).find(OTHER).state is State.BUILT
            kit.store.drop(OTHER)
    assert {act.partition(": ")[2] for act in acts} >= {"MilvusStore.create", "MilvusStore.set_properties", "MilvusCollection.write", "MilvusCollection.load"}


def test_what_a_killed_restore_test_leaves_goes_with_the_next_one(whole, tmp_path):
    """At no point is it a pair that anybody could promote; the next test of the same machine drops it, and cleanup would."""
    path, _ = whole
    shutil.copytree(path / "there", tmp_path / "there")
    dropped = 0
    for act in every_kill(killing_jobs.try_out, tmp_path, str(tmp_path / "milvus.db")):
        with opened(tmp_path / "kit", str(tmp_path / "milvus.db")) as kit:
            left = kit.store.collections()
            for name in left:
                found = kit.store.properties(name)
                assert found["promotion.state"] == State.BUILDING and found[TRIAL], act
                assert fates(kit, days=8) == {name: Fate.DROP}
            if left or not dropped:
                done = verify(kit, folder(tmp_path / "there"))
                assert [note.partition(",")[0] for note in done.notes] == left, act
                assert kit.store.collections() == []
                dropped += len(left)
    assert dropped > 5


def test_unfinished_json_is_all_that_a_killed_backup_needs(whole, tmp_path):
    """It lists what is whole, and its checksum is checked: one that was edited is refused."""
    path, _ = whole
    process = FORKS.Process(target=doomed, args=(9, tmp_path / "act", killing_jobs.back_up, (tmp_path, str(path / "milvus.db"))))
    process.start()
    process.join(120)
    file = tmp_path / "there" / "unfinished.json"
    assert json.loads(file.read_text())["pair"] == PAIR
    file.write_text(file.read_text().replace('"rows"', '"rows" ', 1).replace(PAIR, OTHER))
    with pytest.raises(Refused, match="unfinished.json was changed since it was written"), opened(tmp_path / "kit", str(path / "milvus.db")) as kit:
        backup(kit, PAIR, folder(tmp_path / "there"))


def test_a_restore_test_on_another_machine_is_left_alone_for_an_hour(whole, tmp_path):
    """Nobody here can see whether that process lives, only whether it beats."""
    path, _ = whole
    with opened(tmp_path / "kit", str(tmp_path / "milvus.db")) as kit:
        like = folder(Path(path / "there"))
        made = restore(kit, like, OTHER).manifest
        kit.store.drop(OTHER)
        stamp = made.read_stamp()
        young = stamp.changed(state=State.BUILDING, content=None, shards={}, build=stamp.build.model_copy(update={"created_at": kit.now()}))
        kit.store.create(OTHER, young.layout, young.properties() | {TRIAL: "elsewhere@1.2/77/0123abcd"})
        assert verify(kit, like).notes == ()
        assert kit.store.collections() == [OTHER]
        old = young.build.model_copy(update={"created_at": kit.now() - timedelta(hours=2)})
        kit.store.set_properties(OTHER, young.changes(build=old))
        assert verify(kit, like).notes == (f"{OTHER}, left over from a restore test that was killed, is dropped",)
        assert kit.store.collections() == []
