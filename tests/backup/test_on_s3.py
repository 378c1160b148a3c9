"""Backups on S3 (a real server, moto): what a folder does, what only a service can do to them, and that no message has a key in it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from scripts.adapters.backup_files import open_folder
from scripts.errors import KitError, Refused, Unreachable, UsageError
from scripts.jobs.backup import backup
from scripts.jobs.backup_verify import verify
from scripts.jobs.restore import restore
from tests.backup.killing import FORKS, doomed
from tests.backup.killing_jobs import PART_BYTES
from tests.backup.world import OTHER, PAIR, build, held, opened
from tests.s3 import S3Server, use

ROWS = 400
ADDRESS = "s3://shop/backups/one"


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    path = tmp_path_factory.mktemp("s3")
    with opened(path / "kit", str(path / "milvus.db")) as kit:
        build(kit, count=ROWS)
        yield kit


def there():
    return open_folder(ADDRESS, Path("/"))


def as_user(s3: S3Server, monkeypatch: pytest.MonkeyPatch, name: str, *actions: str) -> str:
    """From now on this process is that user; gives the secret."""
    variables = s3.user(name, *actions)
    s3.guard()
    use(monkeypatch, variables)
    return variables["AWS_SECRET_ACCESS_KEY"]


def test_a_backup_on_s3_is_restored_and_a_changed_file_named(s3, kit):
    """As on a disk: several files, a manifest at the end, checksums."""
    made = backup(kit, PAIR, there(), part_bytes=PART_BYTES)
    assert set(there().names()) == {"manifest.json", *(part.name for part in made.manifest.parts)}
    try:
        restore(kit, there(), OTHER)
        assert held(kit, OTHER) == held(kit)
    finally:
        kit.store.drop(OTHER)
    assert verify(kit, open_folder("s3://shop/backups", Path("/"))).folder == ADDRESS
    last = made.manifest.parts[-1]
    s3.put("shop", f"backups/one/{last.name}", b"x" * last.bytes)
    with pytest.raises(Refused, match=f"{ADDRESS}/{last.name} was changed since it was written: its checksum is"):
        restore(kit, there(), OTHER)
    assert kit.store.collections() == [PAIR]


def back_up_there(root: Path, milvus: str) -> None:
    with opened(root / "kit", milvus) as kit:
        backup(kit, PAIR, there(), part_bytes=PART_BYTES)


def test_a_killed_backup_on_s3_goes_on(s3, kit, tmp_path_factory):
    """kill -9 within its second file: the first is kept, of the second nothing is to be seen."""
    path = tmp_path_factory.mktemp("killed")
    with opened(path / "kit", str(path / "milvus.db")) as another:
        build(another, count=ROWS)
    process = FORKS.Process(target=doomed_there, args=(path, s3.variables()))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert len(there().names()) == 2
    made = backup(kit, PAIR, there(), part_bytes=PART_BYTES)
    assert 0 < made.kept_rows < ROWS == made.manifest.rows
    assert set(there().names()) == {"manifest.json", *(part.name for part in made.manifest.parts)}


def doomed_there(root: Path, variables: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        use(patch, variables)
        # Before: unfinished.json; a file, opened, filled and closed; unfinished.json; the next file, opened.
        doomed(6, root / "act", back_up_there, (root, str(root / "milvus.db")))


def test_who_may_not_remove_anything_makes_backups_all_the_same(s3, kit, monkeypatch):
    """So it should be of what keeps backups: unfinished.json stays, a note says so, and it does no harm."""
    as_user(s3, monkeypatch, "keeper", "s3:ListBucket", "s3:GetObject", "s3:PutObject")
    for _ in range(2):
        done = backup(kit, PAIR, there(), part_bytes=PART_BYTES)
        (note,) = done.notes
        assert note.startswith(f"left over from an earlier run: {ADDRESS}/unfinished.json: access is denied")
    assert "unfinished.json" in there().names()
    assert verify(kit, there()).exit_code == 0


@pytest.mark.parametrize("actions", [(), ("s3:ListBucket", "s3:GetObject"), ("s3:PutObject", "s3:GetObject"), ("s3:ListBucket", "s3:PutObject")])
def test_a_missing_permission_ends_in_one_line(s3, kit, monkeypatch, actions):
    """To list, to read or to write; the address is named, no key is."""
    secret = as_user(s3, monkeypatch, "lacking", *actions)
    with pytest.raises(Unreachable, match=f"^{ADDRESS}.*: access is denied. Check AWS_ACCESS_KEY_ID") as caught:
        backup(kit, PAIR, there(), part_bytes=PART_BYTES)
    assert secret not in str(caught.value) and "\n" not in str(caught.value)


def test_who_may_only_read_restores(s3, kit, monkeypatch):
    """The right to get objects is all that a new cluster needs; without it that is told, and nothing is begun."""
    backup(kit, PAIR, there(), part_bytes=PART_BYTES)
    reader, lister = s3.user("reader", "s3:GetObject"), s3.user("lister", "s3:ListBucket")
    s3.guard()
    use(monkeypatch, lister)
    with pytest.raises(Unreachable, match=f"{ADDRESS}/manifest.json: access is denied"):
        restore(kit, there(), OTHER)
    assert kit.store.collections() == [PAIR]
    use(monkeypatch, reader)
    try:
        assert restore(kit, there(), OTHER).manifest.rows == ROWS
    finally:
        kit.store.drop(OTHER)


@pytest.mark.parametrize(
    ("address", "error", "why"),
    [
        ("s3://key:secret-of-mine@shop/one", UsageError, "has a secret in it"),
        ("s3://shop/one?secret_key=secret-of-mine", UsageError, "has a secret in it"),
        ("s3://buckte/one", UsageError, "s3://buckte/one.*: there is no such file or bucket"),
        ("s3://", UsageError, "names no bucket"),
        ("s4://shop/one", UsageError, "knows s4://"),
    ],
)
def test_an_address_that_cannot_be_used_ends_in_one_line(s3, kit, address, error, why):
    """Without what is secret in it."""
    with pytest.raises(error, match=why) as caught:
        backup(kit, PAIR, open_folder(address, Path("/")))
    assert "secret-of-mine" not in str(caught.value)


def test_an_s3_that_goes_away_ends_in_one_line(kit, tmp_path, monkeypatch):
    """In the middle of a backup; what was written by then is there when it comes back."""
    from tests.backup.test_broken_off import telling

    with S3Server(tmp_path / "s3") as server:
        use(monkeypatch, server.variables())
        server.make("shop")
        done = 0

        def leave(rows: int) -> None:
            nonlocal done
            done += rows
            if done > ROWS // 2:
                server.stop()

        with pytest.raises(KitError, match=f"{ADDRESS}/.*: nothing answers") as caught:
            backup(kit, PAIR, there(), telling(leave), part_bytes=PART_BYTES)
    assert "\n" not in str(caught.value)
