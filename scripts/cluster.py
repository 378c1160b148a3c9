"""`embed --engine ray`: the shards of a pair, spread over the actors of a Ray cluster that exists already.

Ray Data gives shards to a pool of actors, each with a model of its own, and an actor does with a shard what `embed --shard` does. So a shard
that was lost with its actor is simply run again, and `finish` proves the whole.
"""

from __future__ import annotations

import logging
import pickle
import re
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from scripts.config import prepare_for_ray
from scripts.errors import KitError, Refused, Unreachable, UsageError
from scripts.jobs.embed import Embedded, embed
from scripts.pace import Pace
from scripts.pair import Content
from scripts.settings import Settings
from scripts.shards import MAX_SHARDS, Shard
from scripts.sync import Pass
from scripts.sync_report import SyncReport
from scripts.wiring import Wiring

CONNECT_SECONDS = 5.0
# An actor that dies takes its shard along. When a whole round brings no shard to its end, it is the shards or the machines.
BARREN_ROUNDS = 3
PAUSE_SECONDS = 5.0  # until the cluster knows what it lost
# What is lost with a machine is small then, and nobody waits long for the last one.
SHARDS_PER_ACTOR = 4


@dataclass(frozen=True)
class Crew:
    """Who does the work, and where."""

    actors: int
    shards: int
    gpus_per_actor: float
    address: str
    """Empty for what the environment says."""

    @classmethod
    def of(cls, actors: int | None, shards: int | None, gpus_per_actor: float | None, ray_address: str | None) -> Crew:
        """Of what was asked for. Raises UsageError."""
        actors, gpus = actors or 1, gpus_per_actor or 0.0
        shards = shards or min(actors * SHARDS_PER_ACTOR, MAX_SHARDS)
        if not actors <= shards <= MAX_SHARDS:
            raise UsageError(f"{shards} shards and {actors} actors: there are at most {MAX_SHARDS} shards, and one for each actor.")
        if gpus > 1 and gpus % 1:
            raise UsageError(f"--gpus-per-actor {gpus:g}: Ray gives a share of one GPU, or whole ones.")
        return cls(actors, shards, gpus, ray_address or "")


@dataclass(frozen=True)
class Work:
    """What every actor is told. It travels through Ray's object store, which nobody prints: it has the secrets in it."""

    settings: Settings
    pair: str
    shards: int
    reuse: bool
    allow_empty: bool
    bulk: bool
    rows_per_second: float | None
    """Of one actor."""


@dataclass(frozen=True)
class Failure:
    """A shard that ended in an error: no reason to try again, and the same one line here as without Ray."""

    exit_code: int | None
    """None for a fault of the kit."""
    what: str
    hint: str = ""

    def error(self) -> Exception:
        kinds = {kind.exit_code: kind for kind in KitError.__subclasses__()}
        return RuntimeError(self.what) if self.exit_code is None else kinds[self.exit_code](self.what, hint=self.hint)


@dataclass(frozen=True)
class Spread:
    """All shards together."""

    embedded: Embedded
    shards: int
    actors: int
    rounds: int
    """More than one where actors were lost with their shards."""
    exit_code: int = 0

    def lines(self) -> list[str]:
        again = f", in {self.rounds} rounds because actors were lost" if self.rounds > 1 else ""
        return [*self.embedded.lines(), f"  {self.shards} shards by {self.actors} actors{again}"]

    def facts(self) -> dict[str, Any]:
        return self.embedded.facts() | {"engine": "ray", "shards": self.shards, "actors": self.actors, "rounds": self.rounds}


class Embedder:
    """One of the pool: a process on some machine of the cluster that loads the model once, for all shards that it is given."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._kit = Wiring(_at_home(work.settings))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """A failure of the kit is an answer: what is raised, Ray takes for a loss."""
        (index,) = batch["shard"]
        outcome: Embedded | Failure
        try:
            outcome = self._embed(Shard(int(index), self._work.shards))
        except KitError as error:
            outcome = Failure(error.exit_code, error.what, error.hint)
        except ImportError as error:
            outcome = Failure(UsageError.exit_code, f"A machine of the cluster lacks a package: {error}.", "Install requirements.txt on each of them.")
        except Exception:
            outcome = Failure(None, traceback.format_exc())
        return {"shard": [int(index)], "outcome": [pickle.dumps(outcome)]}

    def _embed(self, shard: Shard) -> Embedded:
        work = self._work
        importer = self._kit.importer if work.bulk else None
        how = Pass(shard=shard, pace=Pace(work.rows_per_second), allow_empty=work.allow_empty, importer=importer)
        return embed(self._kit, work.pair, how, reuse=work.reuse)


def embed_on_ray(
    settings: Settings, pair: str, crew: Crew, *, reuse: bool, allow_empty: bool, max_rows_per_second: float | None, writer: str
) -> Spread:
    """Safe to run again after any crash. Completes as long as the cluster has room for one actor; what was lost with a machine is run again
    on the others.

    Raises what `embed` raises; Unreachable when there is no such cluster; Refused when it has no room for so many actors.
    """
    if "://" not in settings.environment.milvus_uri:
        raise UsageError(
            "--engine ray needs a Milvus server: a milvus-lite file belongs to one process.", hint="Set MILVUS_URI to one that every machine of the cluster reaches."
        )
    if settings.environment.shard:
        raise UsageError("--engine ray does all shards, so it is no job for CIRCLE_NODE_TOTAL machines in parallel.", hint="Take `parallelism` off this job.")
    began = time.monotonic()
    pace = max_rows_per_second / crew.actors if max_rows_per_second else None
    work = Work(settings, pair, crew.shards, reuse, allow_empty, writer == "bulk", pace)
    with _connected(crew.address or settings.environment.ray_address):
        _refuse_too_many(crew)
        done, rounds = _all_shards(work, crew)
    return Spread(_total(done, time.monotonic() - began), crew.shards, crew.actors, rounds)


def _all_shards(work: Work, crew: Crew) -> tuple[list[Embedded], int]:
    """Round after round until none is missing, and how many rounds it took."""
    done: list[Embedded] = []
    missing, rounds, barren = list(range(crew.shards)), 0, 0
    while missing:
        before, rounds = len(missing), rounds + 1
        for index, outcome in _round(work, missing, crew):
            if isinstance(outcome, Failure):
                raise outcome.error()
            missing.remove(index)
            done.append(outcome)
            click.echo(f"embed: shard {index}/{crew.shards} is done, {outcome.report.seen:,} rows ({len(done)} of {crew.shards} shards)", err=True)
        barren = barren + 1 if len(missing) == before else 0
        if barren == BARREN_ROUNDS:
            raise Refused(
                f"Every actor that took one of the {len(missing)} last shards was lost, {BARREN_ROUNDS} times in a row (shard {missing[0]}/{crew.shards} is one).",
                hint="Ray's logs say why; most often memory is short. Run the same command again: what is done stays done.",
            )
        if missing:
            click.echo(f"embed: actors were lost; another round for {len(missing)} of {crew.shards} shards", err=True)
            time.sleep(PAUSE_SECONDS)
    return done, rounds


def _round(work: Work, missing: list[int], crew: Crew) -> Iterator[tuple[int, Embedded | Failure]]:
    """One go at these shards, in the order in which they end; those that are lost with an actor are left out.

    An actor that is lost starts again, elsewhere if need be. But not with its shard, as Ray Data would have it: one that ends every actor
    would be tried for ever (2.60).
    """
    import ray

    actors = min(crew.actors, max(1, _room(ray.nodes(), crew)), len(missing))
    shards = ray.data.from_items([{"shard": index} for index in missing], override_num_blocks=len(missing))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)  # of max_task_retries: there is no other way to say it (2.60)
        outcomes = shards.map_batches(
            Embedder,
            fn_constructor_args=(work,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=crew.gpus_per_actor or None,
            max_restarts=-1,
            max_task_retries=0,
        )
    try:
        for batch in outcomes.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):  # each as soon as it is there
            for index, outcome in zip(batch["shard"], batch["outcome"], strict=True):
                yield int(index), pickle.loads(outcome)
    except ray.exceptions.RayError as error:
        raise Unreachable(f"Ray gave up: {_line(error)}.", hint="Is requirements.txt installed on every machine of the cluster?") from None


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Joins the cluster, with this kit's code for its workers, and says nothing of it. Never starts one."""
    prepare_for_ray()
    try:
        import ray
        import ray.data
    except ImportError:
        raise UsageError("--engine ray needs Ray, which is not installed here.", hint="pip install -r requirements-ray.txt, in the version that the cluster has.") from None
    _refuse_dead(address)
    code = {"py_modules": [str(Path(__file__).parent)], "excludes": ["**/__pycache__"]}
    try:
        ray.init(address=address, runtime_env=code, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:  # ConnectionError, RuntimeError, ValueError …
        raise Unreachable(f"No Ray cluster can be joined at {address}: {_line(error)}.", hint="Run this on a machine of the cluster, or name its head: --ray-address HOST:6379.") from None
    try:
        _configure(ray.data.DataContext.get_current())
        with redirect_stdout(sys.stderr):  # Ray tells there of lost machines, but it is for the command's answer alone
            yield
    finally:
        ray.shutdown()


def _configure(context: Any) -> None:
    logging.getLogger("ray.data").setLevel(logging.CRITICAL + 1)  # a lost actor is told by us, in one line
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a shard that is lost with its actor does not end the others


def _refuse_dead(address: str) -> None:
    """Raises Unreachable at once where nothing answers. Ray would try for two minutes and then end this process (2.60)."""
    if address == "auto":
        return
    if not (found := re.fullmatch(r"([^/\s]+):(\d{1,5})", address)):
        raise UsageError(
            f"The address of Ray {address!r} is neither `auto` nor HOST:PORT of its head.", hint="The job runs on a machine of the cluster; `ray job submit` brings it there."
        )
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError):
        raise Unreachable(f"No Ray cluster answers at {address}.", hint="Name its head: --ray-address HOST:6379.") from None


def _refuse_too_many(crew: Crew) -> None:
    """Raises Refused where the cluster has no room for so many actors even when it is idle: Ray would wait for ever."""
    import ray

    room = _room(ray.nodes(), crew)
    if room < crew.actors:
        gpus = f" and {crew.gpus_per_actor:g} GPUs" if crew.gpus_per_actor else ""
        raise Refused(
            f"The cluster has room for {room} actors of 1 CPU{gpus}, not for {crew.actors}.", hint=f"--actors {room}, or more machines." if room else "Add machines to it."
        )


def _room(nodes: list[dict[str, Any]], crew: Crew) -> int:
    def of(resources: dict[str, float]) -> int:
        cpus = resources.get("CPU", 0)
        return int(min(cpus, resources.get("GPU", 0) / crew.gpus_per_actor) if crew.gpus_per_actor else cpus)

    return sum(of(node["Resources"]) for node in nodes if node["Alive"])


def _at_home(settings: Settings) -> Settings:
    """Where this machine does not have the folder of promotion.yaml, models are kept beside the code that Ray brought here for this job."""
    return settings if settings.root.is_dir() else settings.model_copy(update={"root": Path(__file__).parents[1]})


def _total(parts: list[Embedded], seconds: float) -> Embedded:
    report = SyncReport.total([part.report for part in parts], seconds)
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return replace(parts[0], shard=Shard(), report=report, content=Content.total([part.content for part in parts]), notes=notes)


def _line(error: Exception) -> str:
    """Its last line: above it, Ray puts traces of other processes."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()[:300].rstrip(".")
