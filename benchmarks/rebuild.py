"""What rebuilding costs: the kit's own figures, as ratios measured side by side in one run.

    python -m benchmarks.rebuild --rows 10000 --out docs/rebuild.md

Starts a Milvus 2.3.5 of its own. Encodes products of the icecat catalogue with MiniLM on the CPU, about ten minutes for 10,000. With other
work on the machine the ratios mean little. `--only` picks figures by name.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded; the kit does the same

import click
import numpy as np
import pyarrow
import pyarrow.parquet
from pymilvus import DataType, MilvusClient

from benchmarks import icecat, plain
from benchmarks.peers.minilm import BATCH, Alone, counted
from benchmarks.peers.place import INDEX, METRIC, PARAMS, wait_until_indexed, wait_until_served
from benchmarks.texts import EDITION, ICECAT
from benchmarks.texts import icecat as icecat_texts
from scripts import config
from scripts.encoding import Encoder
from scripts.jobs.create import create
from scripts.jobs.embed import embed
from scripts.jobs.finish import finish
from scripts.pair import Build, Embedding
from scripts.sync import WINDOW_ROWS
from scripts.wiring import Wiring
from tests.servers import MilvusServer

MODEL = "rebuild"


@dataclass(frozen=True)
class Figure:
    name: str
    goal: str
    measured: str
    detail: str


@dataclass(frozen=True)
class Bench:
    """A Milvus, a service's folder with `rows` products in it, and what all figures are about."""

    milvus: MilvusServer
    folder: Path
    rows: int

    @property
    def environment(self) -> dict[str, str]:
        return {"MILVUS_URI": self.milvus.uri, "MILVUS_TOKEN": self.milvus.token}

    def kit(self) -> Wiring:
        return Wiring(config.load(self.folder / "promotion.yaml", self.environment))

    def client(self) -> MilvusClient:
        return MilvusClient(self.milvus.uri, token=self.milvus.token)

    def write_products(self, *, changed: float = 0.0) -> int:
        """The first rows of the catalogue, a share of the texts changed. Gives how many were."""
        columns = ["product_id", "product_name", "product_description", "supplier", "price_cents"]
        products = pyarrow.parquet.read_table(ICECAT / "products.parquet", columns=columns).slice(0, self.rows).to_pylist()
        doomed = products[:: round(1 / changed)] if changed else []
        for product in doomed:
            product["product_description"] = (product["product_description"] or "") + EDITION
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(products), self.folder / "products.parquet")
        return len(doomed)

    def child(self, rows: int, collection: str, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchmarks.plain", "--rows", str(rows), "--collection", collection, *more]
        return subprocess.Popen(command, env=os.environ | self.environment, stdout=subprocess.PIPE, text=True, start_new_session=True)


def build(bench: Bench) -> Iterator[Figure]:
    """A full build, then a delta build: wall time of `embed` and `finish`."""
    alone = Alone(list(icecat_texts(bench.rows).values()))
    bench.write_products()
    with bench.kit() as kit:
        full = create(kit, pinned=None, build=_build("full")).pair.collection
        alone.first_half()
        with counted() as encoded:
            full_seconds, tail_seconds = _timed(kit, full, reuse=False)
        alone.second_half()
        own = _own_tail(bench, full)
        best = alone.seconds + own
        yield Figure(
            "build ÷ (encode alone in the best order + the server's own flush, index, load)",
            "≤ 1.02",
            f"{full_seconds / best:.3f}",
            f"{full_seconds:.1f} s, of which {tail_seconds:.1f} s `finish`; encode alone {alone.seconds:.1f} s, the server's own {own:.1f} s; "
            f"{encoded.texts:,} texts encoded in {encoded.seconds:.1f} s; ÷ encode alone, tail included: {full_seconds / alone.seconds:.2f}",
        )
        kit.store.point(kit.settings.alias, full)
        changed = bench.write_products(changed=0.01)
        delta = create(kit, pinned=None, build=_build("delta")).pair.collection
        with counted() as encoded:
            delta_seconds, tail_seconds = _timed(kit, delta, reuse=True)
        yield Figure(
            "delta build at 1% changed: texts encoded; wall ÷ full build",
            "exactly the changed ones; ≤ 0.1",
            f"{encoded.texts - _probes(encoded.texts, changed):,} of {changed:,}; {delta_seconds / full_seconds:.3f}",
            f"{delta_seconds:.1f} s, of which {tail_seconds:.1f} s `finish`: the server's own flush, index and load, {own:.1f} s, do not shrink; "
            f"without them {(delta_seconds - own) / (full_seconds - own):.3f}",
        )


def _probes(encoded: int, changed: int) -> int:
    """The one text of no importance that a loaded model is asked for its dimension with."""
    return 1 if encoded == changed + 1 else 0


def _build(name: str) -> Build:
    return Build(id=name, created_at=datetime.now(UTC))


def _timed(kit: Wiring, pair: str, *, reuse: bool) -> tuple[float, float]:
    """Seconds of `embed` and `finish`, and of `finish` alone."""
    began = time.perf_counter()
    embed(kit, pair, reuse=reuse)
    embedded = time.perf_counter()
    finish(kit, pair)
    return time.perf_counter() - began, time.perf_counter() - embedded


def _own_tail(bench: Bench, pair: str) -> float:
    """What Milvus itself takes to flush, index and load the same vectors, asked without any of the kit and looked at ten times a second.

    It is asked right after the last row, as after a build: a flush takes 2.5 to 3 s then, and less than one when nothing came for 3 s (2.3.5).
    """
    client, name = bench.client(), "own_tail"
    with bench.kit() as kit:
        collection = kit.store.open(pair)
        keys = [key for page in collection.contents() for key in page.keys]
    schema = MilvusClient.create_schema()
    schema.add_field("key", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=plain.DIMENSION)
    client.create_collection(name, schema=schema)
    for start in range(0, len(keys), 1_000):
        found = client.query(pair, ids=keys[start : start + 1_000], output_fields=["vector"])
        client.insert(name, [{"key": key, "vector": row["vector"]} for key, row in zip(keys[start:], found, strict=False)])
    began = time.perf_counter()
    client.flush(name)
    params = MilvusClient.prepare_index_params()
    params.add_index("vector", index_type=INDEX, metric_type=METRIC, params=PARAMS)
    client.create_index(name, params)
    client.load_collection(name)
    wait_until_served(client, name, wait_until_indexed(client, name))
    seconds = time.perf_counter() - began
    client.drop_collection(name)
    return seconds


def order(bench: Bench) -> Iterator[Figure]:
    """Encoding in the kit's windows, in order of arrival, against everything sorted. CPU seconds, which other work does not lengthen."""
    from sentence_transformers import SentenceTransformer

    from benchmarks.peers.minilm import WEIGHTS
    from scripts.adapters.embedders import SentenceTransformerModel

    texts = list(icecat_texts(bench.rows).values())
    model = SentenceTransformer(WEIGHTS, device="cpu")
    encoder = Encoder(SentenceTransformerModel(model), Embedding(template="{x}"))

    def windows() -> None:
        for start in range(0, len(texts), WINDOW_ROWS):
            for _ in encoder.documents(texts[start : start + WINDOW_ROWS], str):
                pass

    best = _cpu(lambda: model.encode(sorted(set(texts), key=len), batch_size=BATCH, show_progress_bar=False))
    ours = _cpu(windows)
    few = texts[:: max(1, len(texts) // 2_000)]
    unsorted = _cpu(lambda: [model.encode(few[i : i + BATCH], show_progress_bar=False) for i in range(0, len(few), BATCH)])
    few_sorted = _cpu(lambda: model.encode(sorted(few, key=len), batch_size=BATCH, show_progress_bar=False))
    yield Figure(
        "encoding cost of rows in arrival order ÷ fully length-sorted",
        "≤ 1.05",
        f"{ours / best:.3f}",
        f"CPU: {ours:.1f} s in windows of {WINDOW_ROWS:,}, {best:.1f} s sorted; without any order (every {len(texts) // len(few)}th text): {unsorted / few_sorted:.2f}",
    )


def _cpu(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def scan(bench: Bench) -> Iterator[Figure]:
    """Catch-up of a collection of 100,000 rows to which nothing has happened."""
    rows = 100_000
    with bench.kit() as kit:
        settings = plain.write_source(bench.folder / "plain.parquet", rows)
        plain.run(kit.store, "scan_v1_00000001", settings, plain.Model())
        collection = kit.store.open("scan_v1_00000001")
        collection.flush()
        collection.build_index()
        collection.load()
        rates = []
        for _ in range(5):
            facts = plain.run(kit.store, "scan_v1_00000001", settings, plain.Model())
            assert facts["unchanged"] == rows
            rates.append(rows / facts["seconds"])
        began = time.perf_counter()
        collection.count()
        strong = time.perf_counter() - began
        kit.store.drop("scan_v1_00000001")
    told = f"median of five, {min(rates):,.0f} to {max(rates):,.0f}; of each pass about {strong * 1000:.0f} ms are one strongly consistent read"
    yield Figure("catch-up scan of an unchanged 100,000-row collection", "≥ 100,000 rows/s", f"{np.median(rates):,.0f} rows/s", told)


def memory(bench: Bench) -> Iterator[Figure]:
    """Peak memory of a process that builds 400,000 rows, minus one that builds 20,000."""
    peaks = {}
    for rows in (20_000, 400_000):
        with bench.child(rows, f"memory_v1_{rows:08x}") as child:
            peaks[rows] = json.loads(child.communicate()[0])["peak_mib"]
        bench.client().drop_collection(f"memory_v1_{rows:08x}")
    small, large = peaks.values()
    yield Figure("peak memory, 400,000 rows minus 20,000 rows", "≤ 64 MiB", f"{large - small:.0f} MiB", f"{large:.0f} and {small:.0f} MiB")


def crash(bench: Bench) -> Iterator[Figure]:
    """`kill -9` at half way, and the same command again."""
    rows, name = 40_000, "crash_v1_00000001"
    journal = bench.folder / "journal.txt"
    journal.write_text("")
    with bench.child(rows, name, "--journal", str(journal), "--pause", "0.1") as child:
        while journal.read_text().count("\n") < rows // 2:
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGKILL)
    with bench.child(rows, name, "--journal", str(journal)) as child:
        facts = json.loads(child.communicate()[0])
    bench.client().drop_collection(name)
    times = Counter(line for line in journal.read_text().splitlines() if "number" in line)
    assert len(times) == rows and facts["unchanged"] + facts["written"] == rows
    yield Figure(
        "`kill -9` at half way: texts encoded twice", f"≤ one window ({WINDOW_ROWS:,})", f"{sum(times.values()) - rows:,}", f"of {rows:,}; {facts['unchanged']:,} were there"
    )


FIGURES: dict[str, Callable[[Bench], Iterator[Figure]]] = {"build": build, "order": order, "scan": scan, "memory": memory, "crash": crash}


@contextmanager
def opened(rows: int, wheel: Path, model: bool) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as name, MilvusServer(Path(name) / "milvus", wheel, fsync=True) as milvus:
        folder = Path(name) / "service"
        source = {"uri": "products.parquet", "key": "product_id", "text": "{product_name}. {product_description}", "columns": ["supplier", "price_cents"]}
        folder.mkdir()
        (folder / "promotion.yaml").write_text(
            json.dumps({"service": "rebuild", "model": {"name": MODEL, "candidate": "@staging", "production": "@production"}, "source": source | {"unescape_html": True}, "golden": "none"})
        )
        bench = Bench(milvus, folder, rows)
        if model:
            import mlflow

            with bench.kit() as kit:
                kit.registry  # noqa: B018 - opens, and so makes, the database
                mlflow.set_tracking_uri(kit.settings.environment.mlflow_uri)
                version = icecat.register_minilm(MODEL)
                mlflow.MlflowClient().set_registered_model_alias(MODEL, "staging", str(version))
        yield bench


PAGE = """\
# What rebuilding costs

Measured {day} with

    python -m benchmarks.rebuild {options}

on {cpus} CPU cores ({machine}, Python {python}), the real Milvus 2.3.5 on the same machine, {rows:,} products of the icecat catalogue, MiniLM on the CPU.
What each figure means: [benchmarks/README.md](../benchmarks/README.md).

| figure | goal | measured | |
|---|---|---|---|
{table}
"""


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", type=int, default=10_000, show_default=True)
@click.option("--wheel", type=click.Path(path_type=Path), default=icecat.MILVUS_WHEEL, help="The unpacked wheel of Milvus 2.3.5.")
@click.option("--only", multiple=True, type=click.Choice(list(FIGURES)))
@click.option("--out", type=click.Path(path_type=Path))
def main(rows: int, wheel: Path, only: tuple[str, ...], out: Path | None) -> None:
    lines = []
    with opened(rows, wheel, model=not only or "build" in only) as bench:
        for name in only or FIGURES:
            for figure in FIGURES[name](bench):
                lines.append(f"| {figure.name} | {figure.goal} | {figure.measured} | {figure.detail} |")
                click.echo(lines[-1])
    options = " ".join([f"--rows {rows}", *(f"--only {name}" for name in only)])
    page = PAGE.format(
        day=f"{datetime.now(UTC):%Y-%m-%d}", options=options, cpus=os.cpu_count(), machine=platform.machine(), python=platform.python_version(), rows=rows, table="\n".join(lines)
    )
    if out:
        out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
