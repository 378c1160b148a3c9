"""Jobs that are killed: a process of its own does one, and ends itself and its Milvus with SIGKILL right before its n-th act on the outside.

Processes are forked from one that has imported what they need, so that a test can afford one for every act.
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.backup.killing_jobs"])
ACTS = {
    "scripts.adapters.backup_files.BackupFiles": ("write", "remove", "part", "_settle"),
    "scripts.adapters.backup_files._Part": ("add", "close"),
    "scripts.adapters.milvus.store.MilvusStore": ("create", "set_properties", "drop"),
    "scripts.adapters.milvus.collection.MilvusCollection": ("write", "flush", "build_index", "load", "release", "search"),
}


def every_kill(job: Callable[..., None], *args: Any) -> Iterator[str]:
    """Has the job killed before its first act, then before its second, and so on until it comes to its end. Gives each act after the kill."""
    for step in itertools.count():
        told = Path(args[0]) / "act"
        process = FORKS.Process(target=doomed, args=(step, told, job, args))
        process.start()
        process.join(120)
        if process.exitcode == 0:
            return
        assert process.exitcode == -signal.SIGKILL, f"before act {step}: {process.exitcode}"
        yield f"{step}: {told.read_text()}"


def doomed(step: int, told: Path, job: Callable[..., None], args: tuple[Any, ...]) -> None:
    os.setsid()  # so that milvus-lite's server goes as well
    acts = itertools.count()
    for name, methods in ACTS.items():
        module, _, kind = name.rpartition(".")
        owner = getattr(__import__(module, fromlist=[kind]), kind)
        for method in methods:
            setattr(owner, method, _deadly(getattr(owner, method), acts, step, told))
    job(*args)
    os._exit(0)


def _deadly(act: Callable[..., Any], acts: Iterator[int], step: int, told: Path) -> Callable[..., Any]:
    @functools.wraps(act)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(acts) == step:
            told.write_text(act.__qualname__)
            os.killpg(0, signal.SIGKILL)
        return act(*args, **kwargs)

    return wrapped
