"""What `capacity` says, held against the real server: memory and disk of one collection, by index and number of rows.

    python -m benchmarks.capacity --wheel .venv/milvus-2.3.5 --out docs/capacity.md

Starts a Milvus 2.3.5 of its own. Of each size some collections that are alike are written for each index (three of 10,000 rows, one of
the larger ones), vectors of 384 numbers without other columns; what one collection takes is its share of what was measured.

Memory is what the server's process holds (Anonymous of each mapping, proc_pid_smaps(5)) outside of the addresses where Go has its heap,
0xc000000000 and on: loaded segments lie in the part that is written in C++, and Go's heap moves by hundreds of megabytes while nothing is asked.

Milvus brings an allocator of its own, jemalloc (libmilvus_common.so of the wheel defines malloc). It keeps what was freed and uses it again, so that
loading seems to cost nothing; MALLOC_CONF tells it to give back at once, and to have one arena (glibc's settings change nothing). In each round the
server is started again with everything released, a small collection of each index is loaded to warm up, and then the indexes are loaded one after the
other, in each round in another order: what an index takes is what the process has grown by. No memory that another collection left is used again.
Compaction is off, for a segment that is replaced meanwhile counts twice.

Milvus itself is no witness: mem_size of its loaded segments is 0 (2.3.5). The allocator's own statistics are (stats_interval in MALLOC_CONF): of HNSW
with 2,001 rows they told 4.63 MB where this told 4.59, of IVF_SQ8 1.87 in use and 2.03 with its pages where this told 2.05.

Disk is what the segments that are alive have in insert_log and index_files: the rows and the index as stored. Not in it: the statistics of keys
(stats_log), deletes, logs, etcd, the message queue, and what compaction leaves until garbage is collected.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import numpy as np

from scripts import digests
from scripts.adapters.milvus import MilvusStore
from scripts.footprint import estimate
from scripts.layout import Column, FieldType, Index, IndexType, Layout
from scripts.ports import Collection
from scripts.records import Rows
from tests.servers import MilvusServer

DIMENSION = 384
PIECE = 5_000
WARM_ROWS = 2_000
COPIES = {10_000: 3}
INDEXES = (IndexType.HNSW, IndexType.IVF_FLAT, IndexType.IVF_SQ8)
_STILL_S, _PATIENCE_S = 5, 40
_ENVIRONMENT = {
    "MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0,narenas:1,tcache:false",
    "DATACOORD_COMPACTION_ENABLEAUTOCOMPACTION": "false",
}
_MAPPING = re.compile(r"([0-9a-f]+)-[0-9a-f]+ ")
_GO_HEAP = range(0xC000000000, 0xE000000000)


@dataclass
class Cell:
    """One index and number of rows; of one collection, in bytes. `memory` has the rounds."""

    kind: IndexType
    rows: int
    copies: int
    disk: int = 0
    segments: float = 0
    memory: list[float] = field(default_factory=list)

    @property
    def layout(self) -> Layout:
        # How long HNSW looks for its links (efConstruction) decides how good they are, not how many there are.
        params = {"efConstruction": 40} if self.kind is IndexType.HNSW else {}
        return Layout(key=Column(name="id", type=FieldType.INT64), columns=(), dimension=DIMENSION, index=Index(type=self.kind, params=params))

    @property
    def names(self) -> list[str]:
        return [f"capacity_{self.kind.lower()}_{self.rows}_{number}" for number in range(self.copies)]

    def row(self) -> str:
        middle, guess = statistics.median(self.memory), estimate(self.layout, self.rows)
        spread = f"{_mb(min(self.memory))} – {_mb(max(self.memory))}"
        memory = (_mb(middle), spread, _mb(guess.memory), _error(guess.memory, middle))
        disk = (_mb(self.disk), _mb(guess.disk), _error(guess.disk, self.disk))
        return f"| {' | '.join((str(self.kind), f'{self.rows:,}', f'{self.copies} × {self.segments:.0f}', *memory, *disk))} |"


HEAD = (
    "| index | rows | collections × segments | memory, MB | lowest – highest | estimate | error | disk, MB | estimate | error |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


class Server:
    """A real Milvus, and what it holds in memory and on disk."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self._milvus = MilvusServer(folder, wheel, _ENVIRONMENT, fsync=True)
        self._folder = folder
        self._milvus.start()

    def store(self) -> MilvusStore:
        return MilvusStore(self._milvus.uri, self._milvus.token)

    def restart(self) -> None:
        self._milvus.stop()
        self._milvus.start()

    def stop(self) -> None:
        self._milvus.kill()

    def memory(self) -> float:
        """Bytes, the median of the last readings, when these differ by less than a megabyte; after 40 seconds as they are."""
        readings: list[int] = []
        pid = self._pid()
        for _ in range(_PATIENCE_S):
            time.sleep(1)
            readings = [*readings[1 - _STILL_S :], allocated(pid)]
            if len(readings) == _STILL_S and max(readings) - min(readings) < 1_000_000:
                break
        return statistics.median(readings)

    def disk(self, segments: set[int]) -> int:
        """Of these segments; the folder above a field's files, or above those of an index, has the segment's number."""
        data = self._folder / "data"
        logs = (file for file in (data / "insert_log").rglob("*") if file.is_file() and int(file.parts[-3]) in segments)
        indexes = (file for file in (data / "index_files").rglob("*") if file.is_file() and int(file.parts[-2]) in segments)
        return sum(file.stat().st_size for files in (logs, indexes) for file in files)

    def _pid(self) -> int:
        """Of the process that works in the server's folder."""
        for link in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if link.resolve(strict=True) == self._folder.resolve():
                    return int(link.parent.name)
            except OSError:
                continue  # another user's, or it ended
        raise RuntimeError(f"No process works in {self._folder}.")


def allocated(pid: int) -> int:
    """Bytes in memory that no file stands behind, without Go's heap."""
    total, start = 0, 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if found := _MAPPING.match(line):
            start = int(found[1], 16)
        elif line.startswith("Anonymous:") and start not in _GO_HEAP:
            total += int(line.split()[1]) * 1024
    return total


def write(server: Server, store: MilvusStore, cell: Cell) -> None:
    """Makes the cell's collections, indexed and not loaded."""
    segments: set[int] = set()
    for seed, name in enumerate(cell.names):
        store.create(name, cell.layout, {})
        collection = store.through(name, cell.layout)
        for keys, vectors in _pieces(cell.rows, seed):
            hashes = digests.of_texts([str(key) for key in keys])
            collection.write(Rows(keys.tolist(), [""] * keys.size, {}, [""] * keys.size, hashes, hashes, hashes), vectors)
        collection.flush()
        collection.build_index()
        segments |= {segment.segment_id for segment in store._milvus.call("list_persistent_segments", name)}
        collection.release()
    cell.disk, cell.segments = server.disk(segments) // cell.copies, len(segments) / cell.copies


def measure(server: Server, cells: list[Cell]) -> None:
    """One round: each cell's collections, loaded one cell after the other into a process that has just begun."""
    server.restart()
    with server.store() as store:
        for kind in INDEXES:
            _load(store, Cell(kind, WARM_ROWS, 1))
        before = server.memory()
        for cell in cells:
            _load(store, cell)
            now = server.memory()
            cell.memory.append((now - before) / cell.copies)
            click.echo(f"{cell.kind} {cell.rows:,}: {cell.memory[-1] / 1e6:.2f} MB", err=True)
            before = now
        for cell in [*cells, *(Cell(kind, WARM_ROWS, 1) for kind in INDEXES)]:
            for name in cell.names:
                store.through(name, cell.layout).release()


def _load(store: MilvusStore, cell: Cell) -> None:
    """And waits until every segment is loaded with its index."""
    for name in cell.names:
        collection: Collection = store.through(name, cell.layout)
        collection.load()
        while not (state := collection.readiness()).covered or not state.loaded:
            time.sleep(1)


def _write(server: Server, cells: list[Cell]) -> None:
    with server.store() as store:
        for cell in cells:
            began = time.monotonic()
            write(server, store, cell)
            click.echo(f"{cell.kind} {cell.rows:,} × {cell.copies}: written and indexed in {time.monotonic() - began:.0f} s", err=True)


def _drop(server: Server, cells: list[Cell]) -> None:
    with server.store() as store:
        for cell in cells:
            click.echo(json.dumps(asdict(cell)), err=True)
            for name in cell.names:
                store.drop(name)


def _pieces(count: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Directions at random: they cannot be compressed, as embeddings cannot."""
    source = np.random.default_rng(seed)
    for start in range(0, count, PIECE):
        keys = np.arange(start, min(start + PIECE, count), dtype=np.int64)
        vectors = source.normal(size=(keys.size, DIMENSION)).astype(np.float32)
        yield keys, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _mb(size: float) -> str:
    return f"{size / 1e6:.1f}"


def _error(estimated: float, measured: float) -> str:
    return f"{estimated / measured - 1:+.1%}" if measured > 0 else "–"


def put(table: str, out: Path) -> None:
    """Into the document where it has such a table, as all of it where it has none."""
    lines = out.read_text(encoding="utf-8").split("\n") if out.exists() else []
    head = HEAD.split("\n")[0]
    if head not in lines:
        out.write_text(f"{table}\n", encoding="utf-8")
        return
    start = lines.index(head)
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    out.write_text("\n".join([*lines[:start], table, *lines[end:]]), encoding="utf-8")


@click.command()
@click.option("--rows", "counts", type=click.IntRange(min=WARM_ROWS), multiple=True, default=(10_000, 100_000, 300_000), show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--wheel", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(sys.prefix) / "milvus-2.3.5", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A document whose table is replaced, or a new file.")
def main(counts: tuple[int, ...], rounds: int, wheel: Path, out: Path | None) -> None:
    """Measure each size with each index."""
    cells = [Cell(kind, count, COPIES.get(count, 1)) for count in counts for kind in INDEXES]
    with tempfile.TemporaryDirectory() as root:
        server = Server(Path(root) / "milvus", wheel)
        try:
            _write(server, [Cell(kind, WARM_ROWS, 1) for kind in INDEXES])
            for count in counts:
                of_count = [cell for cell in cells if cell.rows == count]
                _write(server, of_count)
                for number in range(rounds):
                    turn = number % len(of_count)
                    measure(server, of_count[turn:] + of_count[:turn])
                _drop(server, of_count)
        finally:
            server.stop()
    table = "\n".join([HEAD, *(cell.row() for cell in cells)])
    click.echo(table)
    if out:
        put(table, out)


if __name__ == "__main__":
    main()
