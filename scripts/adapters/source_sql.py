"""Rows from a database: a table or a query, read through a server-side cursor in one read-only snapshot."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.exc import NoSuchTableError

from scripts.adapters import source_types
from scripts.adapters.databases import Database
from scripts.adapters.source_formats import ROWS_AT_ONCE, Columns, Unusable, require, strings_as_bytes
from scripts.adapters.source_types import Kind, TypedSource
from scripts.layout import FieldType
from scripts.records import RawRows
from scripts.settings import SourceSettings

# What PostgreSQL calls types in a cursor's description (pg_type.oid, the same in every version). All others are strings.
_OF_POSTGRESQL = (
    {16: FieldType.BOOL, 114: FieldType.JSON, 3802: FieldType.JSON}
    | dict.fromkeys((20, 21, 23, 26), FieldType.INT64)
    | dict.fromkeys((700, 701, 1700), FieldType.DOUBLE)
    | dict.fromkeys((1005, 1007, 1016), FieldType.INT64S)
    | dict.fromkeys((1021, 1022, 1231), FieldType.DOUBLES)
)
# What the last ANALYZE found.
_ROWS_OF_POSTGRESQL = sa.text("SELECT reltuples FROM pg_class WHERE oid = to_regclass(:name)")
_NULLS_OF_POSTGRESQL = sa.text(
    "SELECT attname FROM pg_stats JOIN pg_namespace ON nspname = schemaname JOIN pg_class ON relnamespace = pg_namespace.oid AND relname = tablename "
    "WHERE pg_class.oid = to_regclass(:name) AND null_frac > 0"
)
# What a table's declaration says where values do not: SQLite's true is 1, and its JSON is text.
_DECLARED = ((sa.Boolean, FieldType.BOOL), (sa.JSON, FieldType.JSON))
_DECLARED_OF_GAPS = (*_DECLARED, (sa.Integer, FieldType.INT64), (sa.Numeric, FieldType.DOUBLE))


class SqlSource(TypedSource):
    """The rows of one table or query. Each pass is one transaction, and sees the database as it was when the pass began."""

    def __init__(self, settings: SourceSettings, root: Path, password: SecretStr) -> None:
        super().__init__(settings)
        self._what = f"table {settings.table}" if settings.table else "query"
        self._database = Database(settings.uri[0], root, password)
        schema, _, name = settings.table.rpartition(".")
        self._table = sa.table(name, schema=schema or None)

    def read(self) -> Iterator[RawRows]:
        first_row = 1
        with self._database.snapshot(self._what) as connection:
            for columns in self._pieces(connection, self._execute(connection)):
                rows = RawRows(self._what, first_row, columns)
                yield rows
                first_row += len(rows)

    def rows_estimate(self) -> int | None:
        """Counted on SQLite, which has no other idea of it; on PostgreSQL what the last ANALYZE found. Nothing large is scanned."""
        if not self._settings.table:
            return None
        with self._database.snapshot(self._what) as connection:
            self._declared(connection)
            if connection.dialect.name == "sqlite":
                return connection.execute(sa.select(sa.func.count()).select_from(self._table)).scalar()
            if connection.dialect.name != "postgresql":
                return None
            found = connection.execute(_ROWS_OF_POSTGRESQL, {"name": self._quoted(connection)}).scalar()
        return int(found) if found is not None and found >= 0 else None  # -1 where nothing was analyzed yet

    def look_up(self) -> dict[str, Kind]:
        with self._database.snapshot(self._what) as connection:
            declared = self._declared(connection) if self._settings.table else {}
            result = self._execute(connection)
            oids = {column[0]: column[1] for column in result.cursor.description or ()} if connection.dialect.name == "postgresql" else {}
            first = next(self._pieces(connection, result), {name: [] for name in self._settings.read_columns})
            result.close()
            kinds = {name: _kind(values, oids.get(name), declared.get(name)) for name, values in first.items()}
            for name in self._gaps(connection, [name for name, kind in kinds.items() if not kind.missing]) if declared else ():
                kinds[name] = replace(kinds[name], missing=True)
        return kinds

    def _gaps(self, connection: sa.Connection, names: Sequence[str]) -> set[str]:
        """Those of the table's columns that have a NULL beyond the first rows, as far as that is known or soon found.

        A type that cannot say "nothing" would end the pass at the first of them, hours later.
        """
        if connection.dialect.name == "postgresql":
            nulls = connection.execute(_NULLS_OF_POSTGRESQL, {"name": self._quoted(connection)}).scalars()
            return set(nulls) & set(names)
        if connection.dialect.name == "sqlite":
            some = sa.select(sa.literal(1)).select_from(self._table).limit(1)
            return {name for name in names if connection.execute(some.where(sa.column(name).is_(None))).first()}
        return set()

    def _quoted(self, connection: sa.Connection) -> str:
        return connection.dialect.identifier_preparer.format_table(self._table)

    def _execute(self, connection: sa.Connection) -> sa.CursorResult:
        options: dict[str, Any] = {"yield_per": ROWS_AT_ONCE}  # a server-side cursor, where there are such
        if self._settings.table:
            self._declared(connection)
            return connection.execute(sa.select(*map(sa.column, self._settings.read_columns)).select_from(self._table), execution_options=options)
        query = self._settings.query.strip().rstrip(";")
        # As it is written: neither % nor :name stands for a parameter.
        result = connection.exec_driver_sql(query, execution_options=options | {"no_parameters": True})
        if not result.returns_rows:
            raise Unusable("gives no rows", hint="source.query is a SELECT.")
        require(self._settings.read_columns, list(result.keys()))
        return result

    def _declared(self, connection: sa.Connection) -> dict[str, sa.types.TypeEngine]:
        """The table's columns and their types. Raises Unusable where it is not there, or lacks one that is read."""
        inspector, schema = sa.inspect(connection), self._table.schema
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Did not recognize type")  # read as text, or not at all (2.1)
                columns = {column["name"]: column["type"] for column in inspector.get_columns(self._table.name, schema)}
        except NoSuchTableError:
            there = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
            near = difflib.get_close_matches(self._table.name, there, n=1)
            raise Unusable("is not in the database", hint=f"Did you mean {near[0]}?" if near else "Check source.table.") from None
        require(self._settings.read_columns, list(columns))
        return columns

    def _pieces(self, connection: sa.Connection, result: sa.CursorResult) -> Iterator[Columns]:
        names = list(result.keys())
        wanted = [(name, names.index(name)) for name in self._settings.read_columns]
        with self._database.text_as_bytes(connection):
            for rows in result.partitions(ROWS_AT_ONCE):
                by_column = list(zip(*rows, strict=True))
                yield {name: [strings_as_bytes(value) for value in by_column[i]] for name, i in wanted}


def _kind(values: Sequence[Any], oid: int | None, declared: sa.types.TypeEngine | None) -> Kind:
    found = source_types.of_values(values)
    if oid is not None:
        lists = any(isinstance(value, list) for value in values)
        return Kind(_OF_POSTGRESQL.get(oid, FieldType.STRINGS if lists else FieldType.STRING), found.missing)
    empty = all(value is None for value in values)
    for type_, says in _DECLARED_OF_GAPS if empty else _DECLARED:
        if isinstance(declared, type_):
            return Kind(says, found.missing)
    return found
