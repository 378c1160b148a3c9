"""Databases that rows are read from: one read-only connection, one snapshot, and their errors in one line."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from scripts.adapters.source_formats import Unusable
from scripts.addresses import has_secret, shown
from scripts.errors import KitError, Unreachable, UsageError

CONNECT_SECONDS = 10
# A server that vanishes without a word is noticed within a minute, not after the two hours of TCP's own.
_LIBPQ = {"connect_timeout": CONNECT_SECONDS, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
_LIBPQ_DRIVERS = ("psycopg", "psycopg2")
_PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}

_DENIED = re.compile(r"authentication failed|no password supplied|pg_hba\.conf|role .* does not exist|permission denied for database|access denied", re.I)
_ABSENT = re.compile(r"database .* does not exist|unknown database|unable to open database file", re.I)
# SQLSTATE classes that are no fault of the query: connection, resources, an operator or a server that goes down, a time limit.
_PASSING = ("08", "53", "57", "58", "25P03", "40")


class Database:
    """An address, opened anew for each pass. The password is SOURCE_PASSWORD's, or what the driver finds by itself (PGPASSWORD, ~/.pgpass)."""

    def __init__(self, uri: str, root: Path, password: SecretStr) -> None:
        if has_secret(uri):
            raise UsageError(f"{shown(uri).partition('?')[0]} has a secret in it.", hint="Take it out and set SOURCE_PASSWORD.")
        self._shown = shown(uri)
        try:
            url = make_url(uri)
        except (SQLAlchemyError, ValueError):
            raise UsageError(f"source.uri {self._shown} is not a database address.", hint="Write postgresql+psycopg://user@host:5432/db.") from None
        self._engine = self._engine_of(url, root, password.get_secret_value())

    @contextmanager
    def snapshot(self, what: str) -> Iterator[sa.Connection]:
        """A read-only transaction. On PostgreSQL everything that is read in it is as it was at its first query; on SQLite each query is so.

        `what` is read, for messages. Raises UsageError where the query is wrong; Unreachable where nothing answers or lets us in, and
        where the connection is lost on the way.
        """
        try:
            connection = self._engine.connect()
        except (SQLAlchemyError, OSError) as error:
            raise self._not_connected(error) from None
        try:
            with connection:
                if connection.dialect.name == "postgresql":
                    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                yield connection
        except Unusable as error:
            raise UsageError(f"{what}: {error}.", hint=error.hint) from None
        except (RecursionError, ValueError) as error:  # of the driver, which reads JSON: nested without end, or a number of thousands of digits
            raise UsageError(f"{what} cannot be read: {_line_of(error)}.", hint="Leave that row out, or select the column as text.") from None
        except SQLAlchemyError as error:
            raise self._failed(error, what) from None

    @contextmanager
    def text_as_bytes(self, connection: sa.Connection) -> Iterator[None]:
        """SQLite may hold text that is no UTF-8; as bytes it is found in its row, and does not end the whole pass."""
        raw = connection.connection.driver_connection
        if not isinstance(raw, sqlite3.Connection):
            yield
            return
        raw.text_factory = bytes
        try:
            yield
        finally:
            raw.text_factory = str

    def _engine_of(self, url: URL, root: Path, password: str) -> sa.Engine:
        options: dict[str, Any] = {"poolclass": NullPool}
        if url.get_backend_name() == "sqlite":
            options["creator"] = self._sqlite(url, root)
            url = URL.create("sqlite")
        elif password:
            url = url.set(password=password)
        try:
            if url.get_dialect().driver in _LIBPQ_DRIVERS:
                options["connect_args"] = {name: value for name, value in _LIBPQ.items() if name not in url.query}
            return sa.create_engine(url, **options)
        except NoSuchModuleError:
            raise UsageError(
                f"source.uri {self._shown}: SQLAlchemy knows no {url.drivername}.",
                hint="Write postgresql+psycopg:// or sqlite:///, or install the package of that dialect.",
            ) from None
        except ModuleNotFoundError as error:
            package = _PACKAGES.get(error.name or "", error.name)
            raise UsageError(f"source.uri {self._shown} needs a driver that is not installed.", hint=f"pip install '{package}'.") from None

    def _sqlite(self, url: URL, root: Path) -> Any:
        if not url.database or url.database == ":memory:":
            raise UsageError(f"source.uri {self._shown} names no file.", hint="Write sqlite:///products.db, relative to promotion.yaml.")
        path = root / url.database
        if not path.is_file():
            raise UsageError(f"source.uri {self._shown}: there is no file {path}.", hint="Check the address.")
        # Opened so, SQLite neither creates nor changes anything. SQLAlchemy's pool gives a connection to one thread at a time.
        return lambda: sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, check_same_thread=False)

    def _not_connected(self, error: Exception) -> KitError:
        line = _line_of(error)
        if _DENIED.search(line):
            hint = "Check the user in source.uri and SOURCE_PASSWORD (or the driver's own: PGPASSWORD, ~/.pgpass)."
            return Unreachable(f"{self._shown} does not let us in: {line}.", hint=hint)
        if _ABSENT.search(line):
            return UsageError(f"source.uri {self._shown}: {line}.")
        return Unreachable(f"Nothing answers at {self._shown}: {line}.", hint="Is the address right and the database up?")

    def _failed(self, error: SQLAlchemyError, what: str) -> KitError:
        line, state = _line_of(error), _sqlstate(error)
        lost = isinstance(error, DBAPIError) and error.connection_invalidated
        if lost or (state or "").startswith(_PASSING) or "database is locked" in line:
            return Unreachable(f"{what}: the database was lost while it was read: {line}.", hint="Run the same command again.")
        if state == "42501":
            return Unreachable(f"{what}: {self._shown} does not let us read it: {line}.", hint="Grant SELECT to the user in source.uri.")
        return UsageError(f"{what} cannot be read: {line}.", hint=_hint(error))


def _line_of(error: Exception) -> str:
    """What the database says, without SQLAlchemy's frame, the statement and the arrow that points into it."""
    said = str(getattr(error, "orig", None) or error).strip()
    said = said.partition("\nLINE ")[0].partition("\n(Background")[0].partition("\n[SQL")[0]
    return shown(" ".join(said.split()))[:300].rstrip(".")


def _sqlstate(error: Exception) -> str | None:
    original = getattr(error, "orig", None)
    return getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)


def _hint(error: Exception) -> str:
    """PostgreSQL often knows which name was meant."""
    return getattr(getattr(getattr(error, "orig", None), "diag", None), "message_hint", None) or ""
