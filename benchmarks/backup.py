"""How fast a pair is backed up and restored, against the fastest that its rows can be read and written by hand, and how much memory it takes.

    python -m benchmarks.backup --wheel .venv/milvus-2.3.5

One real server, one collection (an INT64 key, two hashes, a text of 215 bytes, 384 dimensions). Each round reads it by hand (Milvus' own messages,
pages in order of keys, 5,000 rows at a time: once the key and the vector alone, once every field), backs it up, writes the same rows by hand
into an empty collection, and restores the backup under another name; so what else the machine does meets all of them. `restore` is told apart in
its steps, because by hand nothing is verified, indexed or compared. Memory is the peak of a process that does nothing but back up, or restore, so
many rows, above what it has when it is connected; with a FLAT index, since the server's work on one is no part of it. `--rounds 0` measures it alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.write_rate import DIMENSION, Work
from scripts import config, digests
from scripts.adapters.backup_files import open_folder
from scripts.flow import InFlight
from scripts.jobs.backup import backup
from scripts.jobs.restore import restore
from scripts.layout import COLUMNS_HASH, TEXT_HASH, VECTOR, Index, IndexType
from scripts.pair import Build, Content, Embedding, ModelIdentity, Pair, Stamp, State
from scripts.shards import Shard
from scripts.wiring import Wiring
from tests.servers import MilvusServer

SERVICE = "backup_rate"
PAIR, COPY = (Pair.of(SERVICE, 1, build).collection for build in ("all", "copy"))
PAGE_ROWS = 5_000
KEY_AND_VECTOR, EVERYTHING = ["id", VECTOR], ["id", TEXT_HASH, COLUMNS_HASH, VECTOR, "text"]


class Bench:
    def __init__(self, kit: Wiring, count: int, folder: Path) -> None:
        self._kit = kit
        self._count = count
        self._folder = folder
        self._work = Work(kit.store, count)  # type: ignore[arg-type]
        self._wire = kit.store._milvus.wire  # type: ignore[attr-defined]

    def fill(self, name: str, count: int, index: Index | None = None) -> None:
        rows, vectors = self._work._rows.take(range(count)), self._work._vectors[:count]
        fingerprint = digests.of_rows(rows.key_ids, rows.text_hashes, rows.column_hashes)
        now = datetime.now(UTC)
        content = Content(rows=count, fingerprint=f"{fingerprint:016x}", skipped=0, read_at=now)
        stamp = Stamp(
            service=SERVICE,
            model=ModelIdentity(name="none", version=1, digest="0" * 64),
            embedding=Embedding(template="{text}"),
            layout=self._work._layout.model_copy(update={"index": index or self._work._layout.index}),
            source="none",
            build=Build(id=name, created_at=now),
            state=State.BUILT,
            shards={str(Shard()): content},
            content=content,
        )
        self._kit.store.create(name, stamp.layout, stamp.properties())
        collection = self._kit.store.open(name)
        with InFlight(collection.writes_in_flight) as writes:
            for start in range(0, count, PAGE_ROWS):
                part = range(start, min(start + PAGE_ROWS, count))
                writes.submit(collection.write, rows.take(part), vectors[start : part.stop])
        for step in (collection.flush, collection.build_index, collection.load):
            step()
        collection.count()

    def round(self) -> dict[str, float]:
        """Rows per second of each way."""
        steps: dict[str, float] = {}
        shutil.rmtree(self._folder, ignore_errors=True)
        found = {"read by hand, key and vector": self._rate(lambda: self._read(KEY_AND_VECTOR)), "read by hand, everything": self._rate(lambda: self._read(EVERYTHING))}
        found["backup"] = self._rate(lambda: backup(self._kit, PAIR, self._open()))
        for call in ("Insert", "Upsert"):
            self._work.empty()
            found[f"written by hand, {call.lower()}"] = self._rate(lambda call=call: self._work.by_hand(call, 4))
        found["restore, all of it"] = self._rate(lambda: restore(self._kit, self._open(), COPY, _timed(steps)))
        self._kit.store.drop(COPY)
        steps["flush, index, load"] = self._count / found["restore, all of it"] - sum(steps.values())
        return found | {f"restore: {label}": self._count / seconds for label, seconds in steps.items()}

    def _rate(self, way: Callable[[], Any]) -> float:
        began = time.perf_counter()
        way()
        return self._count / (time.perf_counter() - began)

    def _open(self) -> Any:
        return open_folder(str(self._folder), Path.cwd())

    def _read(self, fields: list[str]) -> None:
        after, rows = -1, 0
        while True:
            page = self._wire.query(PAIR, f"id > {after}", fields, 60.0, page=PAGE_ROWS)
            if not page or not len(page["id"]):
                break
            vectors = np.array(page[VECTOR], dtype=np.float32).reshape(-1, DIMENSION)
            after, rows = int(page["id"][-1]), rows + len(vectors)
        if rows != self._count:
            raise SystemExit(f"read {rows} of {self._count} rows")


def _timed(steps: dict[str, float]) -> Callable[[str, int], Any]:
    @contextmanager
    def show(label: str, total: int) -> Iterator[Callable[[int], None]]:
        began = time.perf_counter()
        yield lambda rows: None
        steps[label] = time.perf_counter() - began

    return show


@contextmanager
def opened(root: Path, uri: str, token: str) -> Iterator[Wiring]:
    file = root / "promotion.yaml"
    file.write_text(f"service: {SERVICE}\nmodel: {{name: none}}\nsource: {{uri: none.csv, key: id, text: '{{text}}'}}\ngolden: golden\n")
    with Wiring(config.load(file, {"MILVUS_URI": uri, "MILVUS_TOKEN": token})) as kit:
        yield kit


def memory(kit: Wiring, root: Path, server: MilvusServer, sizes: list[int]) -> str:
    """A table of what processes of their own take for so many rows."""
    bench = Bench(kit, max(sizes), root / "unused")
    lines = ["| rows | backup, MB | restore, MB |", "|---|---|---|"]
    for count in sizes:
        name = Pair.of(SERVICE, 1, f"{count}").collection
        bench.fill(name, count, Index(type=IndexType.FLAT))
        peaks = []
        for way in ("backup", "restore"):
            words = [str(root), server.uri, server.token, way, name]
            done = subprocess.run([sys.executable, "-m", "benchmarks.backup", "--alone", *words], capture_output=True, text=True, check=True)
            peaks.append(json.loads(done.stdout))
        for each in (name, COPY):
            kit.store.drop(each)
        shutil.rmtree(root / name)
        lines.append(f"| {count:,} | {peaks[0]:,.0f} | {peaks[1]:,.0f} |")
    return "\n".join(lines)


def alone(root: str, uri: str, token: str, way: str, pair: str) -> None:
    """Prints the MB that one process takes above what it has before its first row."""
    with opened(Path(root), uri, token) as kit:
        folder = open_folder(f"{root}/{pair}", Path.cwd())
        kit.store.open(pair).count()
        before = _peak()
        backup(kit, pair, folder) if way == "backup" else restore(kit, folder, COPY)
        print(json.dumps(_peak() - before))


def _peak() -> float:
    """MB; unlike getrusage it does not begin with what the parent process had."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def table(rounds: list[dict[str, float]]) -> str:
    middle = {name: statistics.median(found[name] for found in rounds) for name in rounds[0]}
    read = max(rate for name, rate in middle.items() if name.startswith("read"))
    write = max(rate for name, rate in middle.items() if name.startswith("written"))
    lines = ["| way | rows/s, median | lowest – highest | ÷ fastest by hand |", "|---|---|---|---|"]
    for name, rate in middle.items():
        rates = [found[name] for found in rounds]
        best = write if name.startswith(("written", "restore")) else read
        lines.append(f"| {name} | {rate:,.0f} | {min(rates):,.0f} – {max(rates):,.0f} | {rate / best:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="where the wheel milvus==2.3.5 is installed (pip install --target)")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-rows", type=int, nargs="*", default=[25_000, 100_000, 200_000])
    parser.add_argument("--alone", nargs=5, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        return alone(*asked.alone)
    if not asked.wheel:
        parser.error("--wheel is missing")
    with tempfile.TemporaryDirectory() as folder, MilvusServer(Path(folder) / "milvus", asked.wheel, fsync=True) as server:
        root = Path(folder)
        with opened(root, server.uri, server.token) as kit:
            if asked.rounds:
                bench = Bench(kit, asked.rows, root / "backup")
                bench.fill(PAIR, asked.rows)
                bench.round()  # not counted: a server's first rows are slower than all others
                print(table([bench.round() for _ in range(asked.rounds)]), flush=True)
            if asked.memory_rows:
                print(f"\n{memory(kit, root, server, asked.memory_rows)}")


if __name__ == "__main__":
    main()
