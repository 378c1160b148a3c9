"""What everything that talks to MLflow has in common: a client that fails soon and prints nothing, and failures in one line."""

from __future__ import annotations

import logging
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.environment_variables import (
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR,
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from scripts.adapters import mlflow_trust
from scripts.addresses import shown
from scripts.errors import Unreachable

CONNECT_SECONDS = 5.0
# With MLflow's own backoff (2, 4, 8 s …) about half a minute; the default of 7 would keep a person waiting for over four.
MAX_RETRIES = 4
ANSWER_SECONDS = 10.0

_SQLITE = "sqlite:///"
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
_DENIED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "401", "403")


def connect(uri: str) -> MlflowClient:
    """A dead address fails here at once with Unreachable, and so does TLS that is not trusted, not after MLflow's retries, which are for
    connections lost on the way. Raises UsageError where what the environment says of TLS cannot be."""
    _quieten()
    with translated(uri, "its address"):
        if folder := sqlite_folder(uri):
            folder.mkdir(parents=True, exist_ok=True)
        _refuse_dead(uri)
        if _is_server(uri):
            mlflow_trust.refuse_untrusted(uri, CONNECT_SECONDS)
        return MlflowClient(tracking_uri=uri)


def refuse_silent(uri: str) -> None:
    """Raises Unreachable where a server takes connections and answers nobody: MLflow's retries would wait three minutes for it. Whatever it
    answers is an answer."""
    if _is_server(uri):
        with translated(uri, "its health"):
            http_request(get_default_host_creds(uri), "/health", "GET", max_retries=0, timeout=ANSWER_SECONDS, raise_on_status=False)


def sqlite_folder(uri: str) -> Path | None:
    """Where the embedded database is; None for any other."""
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]).parent if uri.startswith(_SQLITE) else None


@contextmanager
def translated(uri: str, what: str) -> Iterator[None]:
    """Whatever MLflow and its database raise as Unreachable, without secrets; `what` was asked for."""
    try:
        yield
    except MlflowException as error:
        code, line = str(error.error_code), one_line(error.message)
        if any(word in code or f"error code {word}" in line for word in _DENIED):
            raise Unreachable(f"MLflow does not let us in ({what}).", hint="Check MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD.") from None
        raise Unreachable(f"MLflow at {shown(uri)} did not answer for {what}: {line}.") from None
    except (OSError, ImportError, ValueError, *_of_databases()) as error:  # a database's driver missing, its file corrupt, an odd address
        raise Unreachable(f"MLflow at {shown(uri)} cannot be used for {what}: {type(error).__name__}: {one_line(error)}.") from None


def _of_databases() -> tuple[type[Exception], ...]:
    """What SQLAlchemy raises, where somebody loaded it: it costs a quarter of a second, and with a server nobody needs it."""
    loaded = sys.modules.get("sqlalchemy.exc")
    return (loaded.SQLAlchemyError,) if loaded else ()


def one_line(message: object) -> str:
    return shown(" ".join(str(message).split()))[:300]


def _quieten() -> None:
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Stages are deprecated since 2.9 and still what most registries use: known, and no news to the user of every command.
    warnings.filterwarnings("ignore", category=FutureWarning, module="(mlflow|scripts).*")
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")  # said once, by whoever opens this
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # else a run that ends is announced there
    MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(MAX_RETRIES)
    MLFLOW_HTTP_REQUEST_TIMEOUT.set(30)


def _refuse_dead(uri: str) -> None:
    """A database too: MLflow asks for one that is down again and again, for a minute and a half (3.17)."""
    try:
        address = urlsplit(uri)
        port = address.port or _PORTS.get(address.scheme.partition("+")[0])
        if address.hostname and port:
            socket.create_connection((address.hostname, port), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError):
        raise Unreachable(f"Nothing answers at MLFLOW_TRACKING_URI {shown(uri)}.", hint="Is the address right and the server up?") from None


def _is_server(uri: str) -> bool:
    return urlsplit(uri).scheme in ("http", "https")
