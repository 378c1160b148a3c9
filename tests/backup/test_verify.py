"""`backup verify`: a restore test that a schedule can run for years."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner

from scripts.backup_commands import backup as backup_command
from scripts.errors import Refused, UsageError
from scripts.jobs.backup import backup
from scripts.jobs.backup_verify import verify
from scripts.jobs.restore import restore
from tests.backup.world import OTHER, PAIR, SERVICE, a_pair, built, folder, opened

ROWS = 400


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return a_pair(tmp_path_factory.mktemp("pair"), ROWS)


@pytest.fixture
def kit(tmp_path, pair):
    with built(tmp_path, pair) as kit:
        yield kit


def test_it_leaves_nothing_behind(kit, tmp_path):
    """Neither where it succeeds nor where a file was changed; beside the pair itself."""
    there = folder(tmp_path / "there")
    made = backup(kit, PAIR, there)
    done = verify(kit, there)
    assert f"can be restored: {ROWS} rows" in done.lines()[0] and done.exit_code == 0
    assert done.facts()["backup_of"] == PAIR and done.facts()["pair"] != PAIR and done.facts()["age_days"] < 1
    assert kit.store.collections() == [PAIR]
    file = tmp_path / "there" / made.manifest.parts[0].name
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(Refused, match=file.name):
        verify(kit, there)
    assert kit.store.collections() == [PAIR]


def test_of_several_backups_the_newest_is_tried(kit, tmp_path, monkeypatch):
    """One folder for each day, one address for the schedule. A backup that was begun and never finished is none, and another service's neither."""
    root = folder(tmp_path / "all")
    with pytest.raises(UsageError, match=f"There is no backup of {SERVICE} in .*all, nor below it"):
        verify(kit, root)
    now = kit.now()
    for day, ago in (("monday", 3), ("sunday", 1), ("tuesday", 2)):
        monkeypatch.setattr(type(kit), "now", lambda self, ago=ago: now - timedelta(days=ago))
        backup(kit, PAIR, root.below(day))
    monkeypatch.undo()
    (tmp_path / "all" / "newest").mkdir()
    begun = (tmp_path / "all" / "sunday" / "manifest.json").read_bytes()
    (tmp_path / "all" / "newest" / "unfinished.json").write_bytes(begun)
    done = verify(kit, root)
    assert done.folder == f"{tmp_path}/all/sunday" and 0.9 < done.facts()["age_days"] < 1.1
    with pytest.raises(UsageError, match="all: it has no manifest.json. Below it there is one in tuesday"):
        restore(kit, root, OTHER)
    with opened(tmp_path / "other", str(tmp_path / "other.db")) as other:
        other.settings = other.settings.model_copy(update={"service": "another"})
        with pytest.raises(UsageError, match="There is no backup of another"):
            verify(other, root)


def test_a_manifest_below_that_cannot_be_read_is_not_passed_over(kit, tmp_path):
    """It might be the newest backup, and nobody would notice for as long as an older one is there."""
    root = folder(tmp_path / "all")
    backup(kit, PAIR, root.below("monday"))
    (tmp_path / "all" / "tuesday").mkdir()
    (tmp_path / "all" / "tuesday" / "manifest.json").write_text("{")
    with pytest.raises(Refused, match="all/tuesday/manifest.json is not of a backup"):
        verify(kit, root)


def test_an_old_backup_is_said_to_be_old_and_one_of_the_future_to_have_no_age(kit, tmp_path, monkeypatch):
    """It can be restored, and the exit code is 1 all the same: nobody has made one since, or a clock was wrong. A backup from a year ahead would be
    never too old, and hide all that are made until then; five minutes are nobody's fault."""
    there, now = folder(tmp_path / "there"), kit.now()
    backup(kit, PAIR, there)
    monkeypatch.setattr(type(kit), "now", lambda self: now + timedelta(days=9))
    old = verify(kit, there, max_age=timedelta(days=2))
    assert (old.exit_code, old.facts()["too_old"]) == (1, True)
    assert "9.0 days ago: TOO OLD, 2 days are allowed" in "\n".join(old.lines())
    assert replace(old, max_age=timedelta(days=10)).exit_code == 0 == replace(old, max_age=None).exit_code
    ahead = replace(old, age=timedelta(days=-9))
    assert (ahead.exit_code, ahead.facts()["of_the_future"]) == (1, True) and "9.0 days FROM NOW: the clock" in "\n".join(ahead.lines())
    assert replace(ahead, age=timedelta(minutes=-3)).exit_code == 0


def test_the_commands_back_up_production_and_try_the_newest_out(tmp_path, pair):
    """As a schedule runs them: by the word `production`, into the day's folder, and one address for all of them."""
    uri = str(tmp_path / "milvus.db")
    words = ["--config", str(tmp_path / "kit" / "promotion.yaml"), "--json"]
    with built(tmp_path, pair):
        pass
    runner, there = CliRunner(), tmp_path / "all" / "2026-11-21"

    def run(*arguments):
        return runner.invoke(backup_command, [*arguments, *words], env={"MILVUS_URI": uri})

    nothing = run("--pair", "production", "--to", str(there))
    assert "points to nothing: there is no production pair" in str(nothing.exception)
    with opened(tmp_path / "kit", uri) as kit:
        kit.store.point(kit.settings.alias, PAIR)
    assert json.loads(run("--pair", "production", "--to", str(there)).stdout)["pair"] == PAIR
    done = run("verify", str(tmp_path / "all"), "--max-age-days", "2")
    assert done.exit_code == 0 and json.loads(done.stdout)["folder"] == str(there)
    assert run("verify", str(tmp_path / "all"), "--max-age-days", "0.0000001").exit_code == 1
