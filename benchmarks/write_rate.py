"""How fast rows go into Milvus when their vectors are at hand: the kit's `write` against the best that can be done by hand.

    python -m benchmarks.write_rate --wheel .venv/milvus-2.3.5

Every way writes the same rows (an INT64 key, two hashes, a text of 215 bytes, 384 dimensions) into an empty collection of one real server,
one after the other and again from the beginning, so that what else the machine does meets all of them. "By hand" fills Milvus' own messages
from the vectors' memory and sends them with 1, 2 and 4 calls in flight, inserting and upserting.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from pymilvus import DataType
from pymilvus.grpc_gen import milvus_pb2

from scripts import digests
from scripts.adapters.milvus import MilvusStore
from scripts.flow import InFlight
from scripts.layout import COLUMNS_HASH, TEXT_HASH, VECTOR, Column, FieldType, Index, Layout
from scripts.records import Rows
from tests.servers import MilvusServer

DIMENSION = 384
TEXT_BYTES = 215
# What `sync` hands over at once, and what a call by hand has: 1,000 to 10,000 rows are alike.
ROWS_AT_ONCE = 4_000
COLLECTION = "write_rate"


class Work:
    """The rows, and each way to write them. A way returns when the server has acknowledged every row."""

    def __init__(self, store: MilvusStore, count: int) -> None:
        self._store = store
        self._client = store._milvus._client
        keys = list(range(count))
        texts = [f"{key:08d} ".ljust(TEXT_BYTES, "x") for key in keys]
        hashes = digests.of_texts(texts)
        self._rows = Rows(keys, texts, {"text": texts}, [""] * count, digests.of_keys(keys), hashes, hashes)
        self._vectors = np.random.default_rng(0).normal(size=(count, DIMENSION)).astype(np.float32)
        self._parts = [slice(start, start + ROWS_AT_ONCE) for start in range(0, count, ROWS_AT_ONCE)]
        self._pieces = [self._rows.take(range(count)[part]) for part in self._parts]
        self._layout = Layout(
            key=Column(name="id", type=FieldType.INT64), columns=(Column(name="text", type=FieldType.STRING),), dimension=DIMENSION, index=Index()
        )

    def empty(self) -> None:
        if COLLECTION in self._store.collections():
            self._client.drop_collection(COLLECTION)
        self._store.create(COLLECTION, self._layout, {})

    def kit(self) -> None:
        from scripts.adapters.milvus.collection import MilvusCollection

        collection = MilvusCollection(self._store._milvus, COLLECTION, self._layout)
        with InFlight(collection.writes_in_flight) as writes:
            for piece, part in zip(self._pieces, self._parts, strict=True):
                writes.submit(collection.write, piece, self._vectors[part])

    def by_hand(self, call: str, threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda part: self._send(call, part), self._parts))

    def by_row(self, call: str) -> None:
        for some, part in zip(self._pieces, self._parts, strict=True):
            named = zip(some.keys, some.texts, some.text_hashes.tolist(), some.column_hashes.tolist(), self._vectors[part], strict=True)
            rows = [{"id": key, "text": text, TEXT_HASH: one, COLUMNS_HASH: other, VECTOR: vector} for key, text, one, other, vector in named]
            getattr(self._client, call)(COLLECTION, rows)

    def _send(self, call: str, part: slice) -> None:
        vectors = self._vectors[part]
        request = getattr(milvus_pb2, f"{call}Request")(collection_name=COLLECTION, num_rows=len(vectors))
        numbers = {"id": self._rows.keys[part], TEXT_HASH: self._rows.text_hashes[part].tolist(), COLUMNS_HASH: self._rows.column_hashes[part].tolist()}
        for name, values in numbers.items():
            request.fields_data.add(field_name=name, type=int(DataType.INT64)).scalars.long_data.data.extend(values)
        request.fields_data.add(field_name="text", type=int(DataType.VARCHAR)).scalars.string_data.data.extend(self._rows.texts[part])
        field = request.fields_data.add(field_name=VECTOR, type=int(DataType.FLOAT_VECTOR)).vectors
        field.dim = DIMENSION
        packed = vectors.tobytes()
        size, digits = len(packed), []
        while size:
            digits.append(size & 127 | (128 if size > 127 else 0))
            size >>= 7
        field.float_vector.ParseFromString(b"\x0a" + bytes(digits) + packed)
        answer = getattr(self._client._get_connection()._stub, call)(request, timeout=60)
        if answer.status.code:
            raise SystemExit(answer.status.reason)


def measure(work: Work, count: int, rounds: int) -> dict[str, list[float]]:
    """Rows per second of each way, round by round."""
    ways: dict[str, Callable[[], Any]] = {f"by hand, {call.lower()}, {threads} in flight": lambda call=call, threads=threads: work.by_hand(call, threads)
                                          for call in ("Insert", "Upsert") for threads in (1, 2, 4)}  # fmt: skip
    ways |= {f"MilvusClient.{call}, rows": lambda call=call: work.by_row(call) for call in ("insert", "upsert")}
    ways["the kit's write"] = work.kit
    found: dict[str, list[float]] = {name: [] for name in ways}
    work.empty()
    work.kit()  # not counted: a server's first rows are slower than all others
    for number in range(rounds):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            work.empty()
            began = time.perf_counter()
            ways[name]()
            found[name].append(count / (time.perf_counter() - began))
    return found


def table(found: dict[str, list[float]]) -> str:
    middle = {name: statistics.median(rates) for name, rates in found.items()}
    best = max((name for name in middle if name.startswith("by hand")), key=middle.__getitem__)
    lines = ["| way | rows/s, median | lowest – highest | ÷ best by hand |", "|---|---|---|---|"]
    for name, rates in sorted(found.items(), key=lambda item: -middle[item[0]]):
        shown = f"**{name}**" if name in (best, "the kit's write") else name
        lines.append(f"| {shown} | {middle[name]:,.0f} | {min(rates):,.0f} – {max(rates):,.0f} | {middle[name] / middle[best]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, required=True, help="where the wheel milvus==2.3.5 is installed (pip install --target)")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, MilvusServer(Path(folder), asked.wheel, fsync=True) as server, MilvusStore(server.uri, server.token) as store:
        print(table(measure(Work(store, asked.rows), asked.rows, asked.rounds)))


if __name__ == "__main__":
    main()
