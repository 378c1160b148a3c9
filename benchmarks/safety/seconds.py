"""How long it takes: a rollback until the alias is switched, beside a process that does nothing but switch it; and each step of each act."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click
from pymilvus import MilvusClient

from benchmarks.safety import servers
from tests.safety.place import Place, Start

ROOT = Path(__file__).resolve().parents[2]
BARE = "import sys; from pymilvus import MilvusClient; MilvusClient(sys.argv[1], token=sys.argv[2]).alter_alias(sys.argv[3], sys.argv[4])"
PAUSE_SECONDS = 0.001
_IMPORT = re.compile(r"import time:\s*(\d+) \|\s*\d+ \| *(\S+)")
# What a rollback has no use for, at least not before its switch.
HEAVY = ("mlflow", "pandas", "pyarrow", "ir_measures", "scipy", "sklearn", "sqlalchemy", "torch", "numpy", "pydantic", "grpc", "pymilvus")


@dataclass(frozen=True)
class Imported:
    """By the time of the switch: the seconds that imports took, and which of HEAVY they were; and which came after it."""

    seconds: float
    before: tuple[str, ...]
    after: tuple[str, ...]


def environment(place: Place) -> dict[str, str]:
    return os.environ | place.shop.environment


def kit(place: Place, *words: str, options: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *options, "-m", "scripts", *words, "--config", str(place.config)]


@contextmanager
def watching(place: Place, target: str) -> Iterator[list[float]]:
    """The moment at which the alias was first seen at this pair."""
    client = MilvusClient(place.shop.milvus_uri, token=place.shop.milvus_token)
    seen: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        while not seen and not ended.is_set():
            if client.describe_collection(place.alias)["collection_name"] == target:
                seen.append(time.perf_counter())
            time.sleep(PAUSE_SECONDS)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
        client.close()


def until_switched(place: Place, command: list[str], target: str) -> tuple[float, float]:
    """Seconds from the command's start until the alias was seen switched, and until it ended."""
    with watching(place, target) as seen:
        began = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=environment(place), capture_output=True, text=True, check=False)
        ended = time.perf_counter()
    if done.returncode or not seen:
        raise click.ClickException(f"`{' '.join(command[1:5])}` ended with exit code {done.returncode}.\n{done.stdout}{done.stderr}")
    return seen[0] - began, ended - began


def steps(place: Place, *words: str) -> dict[str, float]:
    """Seconds of each step, the first with what comes before it: Python's start, imports, reading the world."""
    taken: dict[str, float] = {}
    before = time.perf_counter()
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(kit(place, *words), cwd=ROOT, env=environment(place), **pipes) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("  "):
                now = time.perf_counter()
                step = line.split()[0].rstrip(":") if taken else "start and lock"
                taken[step] = taken.get(step, 0.0) + now - before
                before = now
    if process.returncode:
        raise click.ClickException(f"{words[0]} ended with exit code {process.returncode}.")
    return taken


def imported(place: Place) -> Imported:
    """Of one rollback: Python tells its imports, and the command its steps, on the same stream."""
    command = kit(place, "rollback", options=("-X", "importtime"))
    said = subprocess.run(command, cwd=ROOT, env=environment(place), capture_output=True, text=True, check=True).stderr
    before, _, after = said.partition("\n  switch")
    names = [{name.split(".")[0] for _, name in _IMPORT.findall(part)} & set(HEAVY) for part in (before, after)]
    seconds = sum(int(micros) for micros, _ in _IMPORT.findall(before)) / 1e6
    return Imported(seconds, tuple(sorted(names[0])), tuple(sorted(names[1] - names[0])))


def measured(times: int) -> str:
    """Tables. The two sides of the ratio take turns."""
    with servers.matrix("server") as matrix:
        place, worlds = matrix.place, matrix.worlds
        back = place.pairs["b"]
        bare = [sys.executable, "-c", BARE, place.shop.milvus_uri, place.shop.milvus_token, back, place.alias]
        sides: dict[str, list[tuple[float, float]]] = {"rollback": [], "alter_alias alone": []}
        for turn in range(times + 1):
            for name, command in zip(sides, (kit(place, "rollback"), bare), strict=True):
                place.reset(worlds.third)
                taken = until_switched(place, command, back)
                if turn:  # the first warms everything up
                    sides[name].append(taken)
        place.reset(worlds.third)
        imports = imported(place)
        told = {
            "promote": [_steps(place, worlds.first, "promote", "--pair", place.pairs["b"]) for _ in range(times)],
            "rollback": [_steps(place, worlds.third, "rollback") for _ in range(times)],
            "rollback to a released pair": [_steps(place, replace(worlds.third, released=frozenset([back])), "rollback") for _ in range(times)],
            "cleanup": [_steps(place, worlds.third, "cleanup") for _ in range(times)],
        }
    return "\n\n".join([_switched(sides), _imports(imports, sides), _by_step(told)])


def _steps(place: Place, world: Start, *words: str) -> dict[str, float]:
    place.reset(world)
    return steps(place, *words)


def _switched(sides: dict[str, list[tuple[float, float]]]) -> str:
    lines = ["| | until the alias is switched | least to most | until it ends |", "|---|--:|--:|--:|"]
    for name, taken in sides.items():
        first, whole = ([each[side] for each in taken] for side in (0, 1))
        lines.append(f"| {name} | {statistics.median(first):.2f} s | {min(first):.2f} to {max(first):.2f} s | {statistics.median(whole):.2f} s |")
    kit_side, bare_side = ([each[0] for each in taken] for taken in sides.values())
    ratio = statistics.median(one / other for one, other in zip(kit_side, bare_side, strict=True))
    return "\n".join([*lines, f"| ratio | {ratio:.2f} | | |"])


def _imports(found: Imported, sides: dict[str, list[tuple[float, float]]]) -> str:
    whole = statistics.median(each[0] for each in sides["rollback"])
    return (
        f"Imports before the switch: {found.seconds:.2f} s as Python counts them, and counting takes time; the whole way there is {whole:.2f} s. "
        f"Imported by then: {', '.join(found.before)}; only after it: {', '.join(found.after) or 'nothing'}."
    )


def _by_step(told: dict[str, list[dict[str, float]]]) -> str:
    lines = ["| act | seconds of each step, medians |", "|---|---|"]
    for act, runs in told.items():
        medians = {step: statistics.median(run.get(step, 0.0) for run in runs) for step in runs[0]}
        listed = ", ".join(f"{step} {seconds:.2f}" for step, seconds in medians.items())
        lines.append(f"| {act} | {listed}; together {sum(medians.values()):.1f} |")
    return "\n".join(lines)
