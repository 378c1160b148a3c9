"""Many milvus-lite databases in one process: the same file is the same database, and closed when nobody uses it any more."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from milvus_lite.db import MilvusLite

from scripts.adapters.milvus import MilvusStore, embedded, lite_files
from scripts.adapters.milvus.embedded import EmbeddedDatabases, databases
from scripts.errors import KitError, Refused, Unreachable, UsageError
from scripts.layout import FieldType
from tests.adapters.test_milvus import NAME, OTHER, made, ready_with, vectors
from tests.conftest import ROOT

HOLDER = """
import sys
from scripts.adapters.milvus.embedded import databases
with databases.hold(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""

FORKING = """
import os, sys
from pathlib import Path
from scripts.adapters.milvus import MilvusStore, lite_files
with MilvusStore(sys.argv[1]) as store:
    store.collections()
    if not (child := os.fork()):
        store.close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(status, store.collections(), lite_files.holder(Path(sys.argv[1])) in (os.getpid(), None))
"""


@pytest.fixture(autouse=True)
def nothing_stays_open():
    yield
    assert databases.held() == []


def is_free(path: Path) -> bool:
    """Whether anybody else could open it now."""
    try:
        MilvusLite(str(path)).close()
    except Exception:
        return False
    return True


def names(folder: Path) -> list[str]:
    """Of one database: absolute, relative, through a symbolic link and through `..`."""
    (folder / "real").mkdir()
    (folder / "link.db").symlink_to(folder / "real" / "dev.db")
    return [str(folder / "real" / "dev.db"), "real/dev.db", "link.db", f"{folder}/real/../real/dev.db"]


def test_one_file_under_many_names_is_one_database(tmp_path, monkeypatch):
    """Relative, absolute, linked: what one user writes the other reads, and nobody is told that the file is held."""
    monkeypatch.chdir(tmp_path)
    stores = [MilvusStore(name) for name in names(tmp_path)]
    made(stores[0])
    assert [store.collections() for store in stores] == [[NAME]] * 4
    assert databases.held() == [(tmp_path / "real" / "dev.db").resolve()]
    for number, store in enumerate(stores):
        store.close()
        store.close()
        assert is_free(tmp_path / "real" / "dev.db") is (number == 3)


def test_dev_staging_and_test_live_side_by_side(tmp_path):
    """A file each; what is in one is in no other, and one that is closed closes no other."""
    with MilvusStore(str(tmp_path / "dev.db")) as dev, MilvusStore(str(tmp_path / "test.db")) as test:
        with MilvusStore(str(tmp_path / "staging.db")) as staging:
            made(dev)
            made(staging, OTHER)
            assert (dev.collections(), staging.collections(), test.collections()) == ([NAME], [OTHER], [])
            assert len(databases.held()) == 3
        assert is_free(tmp_path / "staging.db")
        assert (dev.collections(), test.collections()) == ([NAME], [])


def test_who_is_late_closes_nothing_under_others(tmp_path):
    """As a look of `health` that was given up: it ends at some time, and the next one goes on."""
    path = str(tmp_path / "dev.db")
    given_up, next_one = MilvusStore(path), MilvusStore(path)
    made(given_up)
    assert next_one.collections() == [NAME]
    given_up.close()
    assert next_one.collections() == [NAME]
    next_one.close()
    assert is_free(tmp_path / "dev.db")


def test_a_release_is_told_to_who_still_has_the_database(tmp_path):
    """One, or all; others open it anew, and the late close of who had it before closes nothing under them."""
    dev, staging = MilvusStore(str(tmp_path / "dev.db")), MilvusStore(str(tmp_path / "staging.db"))
    made(dev)
    assert staging.collections() == []
    databases.release(tmp_path / "dev.db")
    databases.release(tmp_path / "dev.db")
    with pytest.raises(Unreachable, match="was closed while it was in use"):
        dev.collections()
    assert staging.collections() == []
    with MilvusStore(str(tmp_path / "dev.db")) as anew:
        assert anew.collections() == [NAME]
        dev.close()
        assert anew.collections() == [NAME]
        databases.release_all()
        assert databases.held() == [] and is_free(tmp_path / "dev.db") and is_free(tmp_path / "staging.db")
    staging.close()


def test_only_who_opens_a_database_loads_it(tmp_path):
    """It comes with its collections loaded; what a user has released stays so when another joins."""
    path = str(tmp_path / "dev.db")
    with MilvusStore(path) as first:
        ready_with(first, FieldType.INT64, [1, 2])
    with MilvusStore(path) as again:
        assert again.open(NAME).count() == 2
        again.open(NAME).release()
        with MilvusStore(path) as joined, pytest.raises(Refused, match="not loaded"):
            joined.open(NAME).search(vectors(1), 1)


def test_threads_open_use_and_close_without_order(tmp_path):
    """Two files, twelve threads: every call is answered, and in the end both are free."""
    paths = [tmp_path / "one.db", tmp_path / "two.db"]
    for path in paths:
        with MilvusStore(str(path)) as store:
            made(store)

    def use(number: int) -> list[str]:
        found = []
        for turn in range(6):
            with MilvusStore(str(paths[(number + turn) % 2])) as store:
                found += store.collections()
        return found

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(use, range(12))) == [[NAME] * 6] * 12
    assert all(map(is_free, paths))


def test_who_closes_while_the_file_is_being_opened_leaves_it_free(tmp_path, monkeypatch):
    """As a look that is given up before it has begun; whoever was opening is told."""
    opening, go_on, load_all = Event(), Event(), embedded._load_all

    def slowly(address: str) -> None:
        opening.set()
        assert go_on.wait(60)
        load_all(address)

    monkeypatch.setattr(embedded, "_load_all", slowly)
    store = MilvusStore(str(tmp_path / "dev.db"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.collections)
        assert opening.wait(60)
        store.close()
        go_on.set()
        assert "is closed" in str(waiting.exception())
    assert is_free(tmp_path / "dev.db")


def test_a_relative_path_is_of_the_folder_that_it_was_named_in(tmp_path, monkeypatch):
    """Nothing is opened before the first call, and the current folder may be another by then."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with MilvusStore("dev.db") as store:
        monkeypatch.chdir("elsewhere")
        assert store.collections() == []
    assert (tmp_path / "dev.db").is_dir() and list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_closes_nothing_under_the_one_that_opened_it(tmp_path):
    """It has none of the database's threads: to close it there ended in a crash, and what it wrote down was the other's."""
    opened = subprocess.run([sys.executable, "-c", FORKING, str(tmp_path / "dev.db")], cwd=ROOT, capture_output=True, text=True)
    assert opened.stdout.split() == ["0", "[]", "True"], opened.stderr[-500:]


def test_a_file_that_another_process_holds_is_said_to_be_so(tmp_path):
    """With the process, and what to do; and it is opened when that one has ended."""
    path = tmp_path / "dev.db"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"open\n"
        with MilvusStore(str(path)) as store:
            with pytest.raises(Unreachable, match=rf"process {process.pid} \(.*\) holds it\. Stop it, or share it: `milvus-lite server") as held:
                store.collections()
            assert "\n" not in str(held.value)
            process.stdin.close()
            process.wait()
            assert store.collections() == []


def test_a_file_that_this_process_holds_otherwise_is_said_to_be_so(tmp_path):
    """By milvus-lite's own class: nobody else is to be stopped."""
    other = MilvusLite(str(tmp_path / "dev.db"))
    try:
        assert lite_files.holder(tmp_path / "dev.db") in (os.getpid(), None)
        with MilvusStore(str(tmp_path / "dev.db")) as store, pytest.raises(Unreachable, match="held by this very process|holds it"):
            store.collections()
    finally:
        other.close()


def a_file(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def another_folder(path: Path) -> None:
    path.mkdir()
    (path / "letters").mkdir()


def a_circle(path: Path) -> None:
    path.symlink_to(path)


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(a_file, "is a file"), (another_folder, "is a folder of something else"), (a_circle, "cannot be used"), (below_a_file, "cannot be used")],
)
def test_what_is_no_database_is_told_in_one_line(tmp_path, spoil, told):
    """And stays as it is."""
    path = tmp_path / "data" / "dev.db"
    path.parent.mkdir()
    spoil(path)
    before = sorted(map(str, tmp_path.rglob("*")))
    with MilvusStore(str(path)) as store, pytest.raises(UsageError, match=told) as refused:
        store.collections()
    assert "\n" not in str(refused.value)
    assert sorted(map(str, tmp_path.rglob("*"))) == before


@pytest.mark.parametrize("spoiled", ["manifest.json", "schema.json", "aliases.json"])
def test_a_broken_database_is_told_in_one_line(tmp_path, spoiled):
    """Whichever of its files is garbage, it is named. (milvus-lite then serves nothing of that database: 3.2.2.)"""
    path = tmp_path / "dev.db"
    with MilvusStore(str(path)) as store:
        ready_with(store, FieldType.INT64, [1, 2])
        store.point("shop_prod", NAME)
    for file in path.rglob(f"{spoiled}*"):
        file.write_text("{garbage")
    with MilvusStore(str(path)) as store, pytest.raises(KitError) as failed:
        store.open(store.target("shop_prod"))
    told = str(failed.value)
    assert spoiled in told and "\n" not in told and len(told) < 600 and "Traceback" not in told


def test_each_process_has_one_place_for_its_databases_but_tests_may_have_their_own(tmp_path):
    """The class keeps its own books; milvus-lite's lock is what both meet."""
    ours = EmbeddedDatabases()
    with ours.hold(tmp_path / "dev.db") as held:
        assert ours.held() == [(tmp_path / "dev.db").resolve()] and held.address.startswith("http://127.0.0.1:")
        assert not held.is_released
        ours.release(tmp_path / "dev.db")
        assert held.is_released
