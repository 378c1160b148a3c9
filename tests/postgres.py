"""A real PostgreSQL for the tests, from Debian's package `postgresql`.

    with PostgresServer(folder) as server:
        connection = psycopg.connect(server.address, password=server.password)

It refuses to run as root; started by root, it runs as the user `postgres` that the package made.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.servers import START_LIMIT_S, Server, ServerFailed, free_ports

_ACCOUNT = "postgres"


def postgres_programs() -> Path | None:
    """The folder of initdb and postgres, newest version first; None where they are not installed."""
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        return None
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    named = shutil.which("initdb")
    return next((folder for folder in [*folders, *([Path(named).parent] if named else [])] if (folder / "initdb").exists()), None)


class PostgresServer(Server):
    """One cluster with one user, `kit`, whose password is asked for, and the database `postgres`."""

    orphan_signal = signal.SIGQUIT  # at which its children end too
    user = "kit"
    password = "s3cret-of-postgres"

    def __init__(self, folder: Path, programs: Path) -> None:
        (self.port,) = free_ports(1)
        self.address = f"postgresql://{self.user}@127.0.0.1:{self.port}/postgres"
        self.uri = self.address.replace("://", "+psycopg://")
        self._programs = programs
        # In the common folder for such: the account that it runs as cannot look into the tests' own.
        self._home = Path(tempfile.mkdtemp(prefix="kit-postgres-"))
        self._data = self._home / "data"
        super().__init__(folder, self.port, {})

    def start(self) -> None:
        if not self._data.exists():
            self._initialise()
        super().start()

    def command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 20,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*_as_account(), str(self._programs / "postgres"), "-D", str(self._data), *options]

    def settings(self) -> dict[str, str]:
        return {"LC_ALL": "C.UTF-8"}

    def __exit__(self, *unused: object) -> None:
        super().__exit__(*unused)
        shutil.rmtree(self._home, ignore_errors=True)

    def _initialise(self) -> None:
        password = self._home / "password"
        password.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self._home, password):
                shutil.chown(path, _ACCOUNT, _ACCOUNT)
        options = ["-D", self._data, "-U", self.user, f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        made = subprocess.run([*_as_account(), self._programs / "initdb", *options], cwd=self._home, capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr}")

    def _wait_for_health(self) -> None:
        """pg_isready is what the package brings for it."""
        ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + START_LIMIT_S
        while subprocess.run(ready).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed(self, "did not start")
            time.sleep(0.1)


def _as_account() -> list[str]:
    """A process that changes its user loses the leash of `servers.py`, so it is put on again."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--init-groups", "--pdeathsig", PostgresServer.orphan_signal.name.removeprefix("SIG")]
