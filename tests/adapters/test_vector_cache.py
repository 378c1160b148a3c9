"""The cache of vectors: what it gives back is what was kept, whatever happens to its files, its place and its processes."""

import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from scripts.adapters.vector_cache import open_cache
from scripts.errors import UsageError
from scripts.settings import CacheSettings

ROOT = Path(__file__).parents[2]
OURS, OTHER = "aa" * 32, "bb" * 32
DIMENSION = 32
MIB = 2**20


def texts(start: int, stop: int) -> list[str]:
    return [f"product number {i}" for i in range(start, stop)]


def vectors(start: int, stop: int, dimension: int = DIMENSION) -> np.ndarray:
    """Each tells which text it is for."""
    return np.arange(start, stop, dtype=np.float32)[:, None] + np.arange(dimension, dtype=np.float32) / 1024


def _size(path: Path) -> int:
    """A file may go between being listed and being looked at: the cache makes room in a thread of its own."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class Place:
    """A folder for caches, here or elsewhere."""

    def __init__(self, root: Path, uri: str = "vectors") -> None:
        self.root = root
        self.uri = uri

    def open(self, embedding: str = OURS, dimension: int = DIMENSION, mib: float = 64):
        return open_cache(CacheSettings(uri=self.uri, max_gib=mib / 1024), self.root, embedding, dimension)

    def keep(self, start: int, stop: int, embedding: str = OURS, mib: float = 64) -> str:
        """What a process does that encodes these; the answer is its trouble."""
        cache = self.open(embedding, mib=mib)
        for at in range(start, stop, 100):
            cache.keep(texts(at, min(at + 100, stop)), vectors(at, min(at + 100, stop)))
        cache.close()
        return cache.trouble

    def found(self, start: int, stop: int, **how) -> list[int]:
        """Which of these are kept. Every vector that comes is the right one."""
        cache = self.open(**how)
        positions, got = cache.find(texts(start, stop))
        cache.close()
        assert got.dtype == np.float32 and (np.diff(positions) > 0).all()
        np.testing.assert_array_equal(got, vectors(start, stop)[positions] if positions.size else got)
        return (positions + start).tolist()

    def files(self) -> list[Path]:
        return sorted(path for path in (self.root / self.uri).rglob("*") if path.is_file())

    def bytes(self) -> int:
        """While others write, what is there at some moment."""
        return sum(map(_size, self.files()))


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


def run(place: Place, code: str) -> subprocess.Popen:
    """Another process, to which `place` is the same place."""
    head = f"from pathlib import Path; from tests.adapters.test_vector_cache import *; place = Place(Path({str(place.root)!r}), {place.uri!r})\n"
    return subprocess.Popen([sys.executable, "-c", head + code], cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True)


def test_what_is_kept_is_found_at_once(place):
    """Before its file is written and after, by the one who kept it; the rest is missing, and order does not matter."""
    cache = place.open()
    cache.keep(texts(10, 20), vectors(10, 20))
    positions, got = cache.find([*reversed(texts(5, 15)), *texts(10, 12)])
    assert positions.tolist() == [0, 1, 2, 3, 4, 10, 11]
    np.testing.assert_array_equal(got, vectors(0, 20)[[14, 13, 12, 11, 10, 10, 11]])
    cache.close()
    assert place.found(0, 30) == list(range(10, 20))


def test_another_process_finds_it(place):
    """On the same folder, after `close`, in any number of segments."""
    assert place.keep(0, 3_000, mib=1) == ""
    assert len(place.files()) > 3
    with run(place, "print(len(place.found(0, 3_500)))") as other:
        assert int(other.stdout.read()) == 3_000


def test_nothing_kept_and_nothing_asked(place):
    """An empty cache, and empty questions, are nothing special; an empty cache has no files."""
    cache = place.open()
    cache.keep([], np.empty((0, DIMENSION), dtype=np.float32))
    for asked in ([], texts(0, 3)):
        positions, got = cache.find(asked)
        assert positions.shape == (0,) and got.shape == (0, DIMENSION)
    cache.close()
    assert place.files() == [] and cache.trouble == ""


def test_another_embedding_finds_nothing(place):
    """The same text means another vector there."""
    place.keep(0, 100)
    assert place.found(0, 100, embedding=OTHER) == []


def test_another_dimension_finds_nothing(place):
    """Files of a wrong dimension are left alone, and not mistaken for others."""
    place.keep(0, 100)
    assert place.found(0, 100, dimension=DIMENSION * 2) == []
    assert place.found(0, 100) == list(range(100))


def test_equal_texts_are_kept_once(place):
    """Within one call, from call to call, and when they were kept by an earlier run."""
    place.keep(0, 100)
    once = place.bytes()
    cache = place.open()
    cache.keep(texts(0, 100) * 2, np.concatenate([vectors(0, 100)] * 2))
    cache.keep(texts(50, 100), vectors(50, 100))
    cache.close()
    assert place.bytes() == once
    cache = place.open()
    cache.keep(texts(100, 200) * 3, np.concatenate([vectors(100, 200)] * 3))
    cache.keep(texts(150, 200), vectors(150, 200))
    cache.close()
    assert place.bytes() == 2 * once
    assert place.found(0, 300) == list(range(200))


def test_two_processes_keep_at_the_same_time(place):
    """Both succeed, and all that either kept is found."""
    writers = [run(place, f"print(place.keep({start}, {start} + 6_000, mib=4))") for start in (0, 4_000)]
    assert [writer.communicate()[0].strip() for writer in writers] == ["", ""]
    assert place.found(0, 11_000, mib=4) == list(range(10_000))


def test_one_thread_finds_while_another_keeps(place):
    """As `sync` does: nothing wrong is found, and in the end everything."""
    cache = place.open(mib=1)
    keeper = threading.Thread(target=lambda: [cache.keep(texts(at, at + 10), vectors(at, at + 10)) for at in range(0, 4_000, 10)])
    keeper.start()
    while keeper.is_alive():
        positions, got = cache.find(texts(0, 4_000))
        np.testing.assert_array_equal(got, vectors(0, 4_000)[positions])
    positions, _ = cache.find(texts(0, 4_000))
    assert positions.size == 4_000
    cache.close()


def test_kill_9_while_writing_leaves_a_usable_cache(place):
    """What was complete is found, nothing else is, and one can go on."""
    forever = "cache = place.open(mib=1)\nfor at in range(0, 10**9, 100): cache.keep(texts(at, at + 100), vectors(at, at + 100))"
    with run(place, forever) as writer:
        deadline = time.monotonic() + 60
        while len(place.files()) < 5:
            assert writer.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        writer.send_signal(signal.SIGKILL)
    survived = place.found(0, 200_000)
    assert len(survived) > 500
    assert place.keep(0, 500) == ""
    assert place.found(0, 200_000) == sorted({*survived, *range(500)})


def test_what_a_killed_process_left_is_removed(place):
    """After an hour, for until then it may be alive; and it is never read."""
    place.keep(0, 10)
    whole = place.files()[0]
    old, young = (whole.with_name(f"{when:020d}-{'0' * 16}.part") for when in (time.time_ns() - 2 * 3_600 * 10**9, time.time_ns()))
    old.write_bytes(whole.read_bytes()[:100])
    young.write_bytes(whole.read_bytes()[:100])
    assert place.found(0, 20) == list(range(10))
    assert place.files() == sorted([whole, young])


@pytest.mark.parametrize("where", [0, 9, 12, 20, 40, 32 + 8 * 100 + 3, 32 + 8 * 100 + 60, -1])
def test_a_damaged_segment_is_a_miss(place, where):
    """Whichever byte is wrong, no wrong vector is given; what was missed can be kept anew, and is found from then on."""
    place.keep(0, 100)
    (file,) = place.files()
    content = bytearray(file.read_bytes())
    content[where] ^= 0x10
    file.write_bytes(content)
    cache = place.open()
    positions, got = cache.find(texts(0, 100))
    np.testing.assert_array_equal(got, vectors(0, 100)[positions])
    assert positions.size < 100
    missing = np.setdiff1d(np.arange(100), positions)
    cache.keep([texts(0, 100)[i] for i in missing], vectors(0, 100)[missing])
    assert cache.find(texts(0, 100))[0].size == 100
    cache.close()
    assert cache.trouble == ""
    assert place.found(0, 100) == list(range(100))


@pytest.mark.parametrize("length", [0, 1, 31, 32, 500, -1])
def test_a_cut_off_segment_is_a_miss(place, length):
    """As after a power cut."""
    place.keep(0, 100)
    (file,) = place.files()
    file.write_bytes(file.read_bytes()[:length])
    assert place.found(0, 100) == []


def test_a_vanished_segment_is_a_miss(place):
    """Another process deletes what this one found when it began."""
    place.keep(0, 100)
    cache = place.open()
    for file in place.files():
        file.unlink()
    assert cache.find(texts(0, 100))[0].size == 0
    cache.keep(texts(0, 50), vectors(0, 50))
    cache.close()
    assert cache.trouble == ""
    assert place.found(0, 100) == list(range(50))


def test_the_bound_holds(place):
    """While writing and afterwards; what was written last stays."""
    cache = place.open(mib=0.5)
    for at in range(0, 20_000, 500):
        cache.keep(texts(at, at + 500), vectors(at, at + 500))
        assert place.bytes() <= MIB // 2
    cache.close()
    assert MIB // 4 < place.bytes() <= MIB // 2
    assert cache.trouble == ""
    assert place.found(0, 20_000, mib=0.5)


def test_the_bound_holds_for_several_processes(place):
    """When all of them have closed it."""
    writers = [run(place, f"place.keep({start}, {start} + 6_000, mib=0.5)") for start in (0, 10_000)]
    for writer in writers:
        writer.communicate()
    assert 0 < place.bytes() <= MIB // 2


def test_other_embeddings_go_first_and_the_oldest_of_them(place):
    """What another run of this embedding kept stays where it can, and so does what this run wrote."""
    place.keep(0, 1_000, OURS, mib=0.5)
    place.keep(0, 500, OTHER, mib=0.5)
    place.keep(500, 1_000, OTHER, mib=0.5)
    place.keep(1_000, 2_500, OURS, mib=0.5)
    assert place.found(0, 2_500, mib=0.5) == list(range(2_500))
    left = place.found(0, 1_000, embedding=OTHER, mib=0.5)
    assert set(range(500, 1_000)) <= set(left) and len(left) < 1_000


def test_a_catalogue_larger_than_the_cache_still_finds_some(place):
    """Read again in the same order, it does not always meet what was just deleted."""
    rows, found = 4_000, []
    for _ in range(4):
        cache = place.open(mib=0.5)
        found.append(0)
        for at in range(0, rows, 100):
            positions, _ = cache.find(texts(at, at + 100))
            missing = np.setdiff1d(np.arange(100), positions)
            cache.keep([texts(at, at + 100)[i] for i in missing], vectors(at, at + 100)[missing])
            found[-1] += positions.size
        cache.close()
    assert found[0] == 0 and all(found[1:])


def test_files_that_are_not_its_own_are_left_alone(place):
    """Whatever they are called, and however full the cache is."""
    folder = place.root / "vectors" / OURS
    folder.mkdir(parents=True)
    strangers = [folder.parent / "notes.txt", folder / "model.vectors", folder.parent / f"{time.time_ns():020d}-{'0' * 16}.vectors"]
    for stranger in strangers:
        stranger.write_bytes(b"x" * MIB)
    assert place.keep(0, 5_000, mib=0.5) == ""
    assert all(stranger.stat().st_size == MIB for stranger in strangers)


def test_a_bound_below_one_vector_is_told(place):
    """Nothing is kept, and the result says why."""
    assert "max_gib" in place.keep(0, 10, mib=0.00001)
    assert place.files() == []


def test_any_fsspec_file_system_will_do(tmp_path):
    """One that neither renames nor makes folders as a disk does: kept, found, and bounded."""
    place = Place(tmp_path, f"memory://{tmp_path.name}/vectors")
    assert place.keep(0, 3_000, mib=0.5) == ""
    assert place.found(0, 3_500, mib=0.5) == list(range(3_000))
    assert place.keep(3_000, 10_000, mib=0.5) == ""
    assert 1_500 < len(place.found(0, 10_000, mib=0.5)) <= MIB // 2 / (DIMENSION * 4)


def test_a_full_disk_ends_keeping_and_nothing_else(place):
    """The process goes on, is told once, leaves no half file, and what was kept before is found."""
    place.keep(0, 50)
    before = place.files()

    # What a disk without space answers, whoever runs the tests. Asked for in the process itself: gRPC's threads do not bear a fork in which Python goes on.
    no_space = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
    code = "cache = place.open(mib=8)\nfor at in range(0, 9_000, 100): cache.keep(texts(at, at + 100), vectors(at, at + 100))\nfound = len(cache.find(texts(0, 50))[0])\ncache.close()\nprint(found, cache.trouble)"
    with run(place, no_space + code) as writer:
        answer = writer.stdout.read()
    assert writer.returncode == 0
    assert "8,950 vectors were not kept" in answer and "too large" in answer and "vectors" in answer
    assert len(answer.splitlines()) == 1
    assert place.files() == before
    assert place.found(0, 100) == list(range(50))


@pytest.mark.parametrize("uri", ["file", "file/below", "nosuch://bucket/x", "/proc/nowhere"])
def test_a_place_that_cannot_be_is_refused_at_once(tmp_path, uri):
    """Before any text is encoded."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=uri.partition(":")[0]):
        Place(tmp_path, uri).open()


def test_the_index_takes_16_bytes_a_row(place):
    """What a large cache costs in memory."""
    rows = 100_000
    cache = place.open(dimension=1)
    cache.keep([str(i) for i in range(rows)], np.ones((rows, 1), dtype=np.float32))
    cache.close()
    tracemalloc.start()
    cache = place.open(dimension=1)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cache.find(["7", "-7"])[0].tolist() == [0]
    cache.close()
    assert held < 16 * rows + 512 * 1024 + 8 * MIB  # 8 MiB wait to be filled
