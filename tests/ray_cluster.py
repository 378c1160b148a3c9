"""A real Ray cluster on loopback: a head and a second node, each some processes that end with the tests.

    with RayCluster(head_cpus=1, second_cpus=2) as cluster:
        run(command, env=cluster.environment)
        cluster.second.kill()       # as a power cut would
        cluster.mend()              # a new second node

Only who has the token in `environment` gets in: parts of Ray listen on every interface, whatever address they are told (2.60).
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.servers import _LEASH, free_ports

START_LIMIT_S = 120
# Ray replaces 127.0.0.1 by the address of a network card.
HEAD, SECOND = "127.0.0.2", "127.0.0.3"


class RayNode:
    """`ray start --block` and all that it starts."""

    def __init__(self, folder: Path, words: list[str], environment: dict[str, str]) -> None:
        folder.mkdir()
        self.log = folder / "start.log"
        leash = [sys.executable, "-c", _LEASH, str(int(signal.SIGTERM))] if sys.platform == "linux" else []
        command = [*leash, sys.executable, "-m", "ray.scripts.scripts", "start", *words, f"--temp-dir={folder}", "--disable-usage-stats", "--block"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Ends all its processes at once (SIGKILL)."""
        for pid in [self._process.pid, *_descendants(self._process.pid)] if self.is_alive else []:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while "Ray runtime started" not in self.log.read_text(errors="replace"):
            if not self.is_alive or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"A Ray node did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)


class RayCluster:
    def __init__(self, *, head_cpus: int, second_cpus: int) -> None:
        self._cpus = head_cpus, second_cpus
        port, self._client_port = free_ports(2)
        self.address = f"{HEAD}:{port}"
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_ADDRESS": self.address}
        self._nodes: list[RayNode] = []

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # not pytest's: the path of a socket may have 107 bytes
        try:
            port = self.address.rpartition(":")[2]
            self._start(
                "--head", f"--node-ip-address={HEAD}", f"--port={port}", f"--ray-client-server-port={self._client_port}", f"--num-cpus={self._cpus[0]}",
                "--include-dashboard=false",
            )  # fmt: skip
            self.mend()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self._nodes):
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def second(self) -> RayNode:
        return self._nodes[-1]

    def mend(self) -> None:
        """Starts a second node, unless there is one."""
        if len(self._nodes) < 2 or not self.second.is_alive:
            self._start(f"--address={self.address}", f"--node-ip-address={SECOND}", f"--num-cpus={self._cpus[1]}")

    def has_written(self, text: str) -> list[Path]:
        """Files of the cluster, its logs among them, that this text stands in."""
        return [path for path in self.folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]

    def _start(self, *words: str) -> None:
        environment = {name: value for name, value in self.environment.items() if name != "RAY_ADDRESS"}
        self._nodes.append(RayNode(self.folder / str(len(self._nodes)), list(words), environment))


def _descendants(pid: int) -> list[int]:
    """All processes under this one."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):  # gone meanwhile
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    found = list(children.get(pid, []))
    for child in found:
        found += children.get(child, [])
    return found
