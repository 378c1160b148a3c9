"""Rows from databases: SQLite and a real PostgreSQL, one snapshot per pass, and one clear line for whatever goes wrong."""

import json
import sqlite3
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from pydantic import SecretStr

from scripts.adapters.source_formats import ROWS_AT_ONCE
from scripts.adapters.sources import open_source
from scripts.errors import Unreachable, UsageError
from scripts.layout import FieldType
from scripts.records import Faults, RowCleaner
from scripts.settings import BadRow, SourceSettings
from tests.postgres import PostgresServer

PRODUCTS = [(3, "Lamp", "Gives light.", 10), (1, "Große Säge", 'Cuts "everything", 100%', 20), (2, "Tom & Jerry 🐭", None, 30)]
MADE = "CREATE TABLE products (id bigint, name text, about text, price bigint)"


def settings(uri: str, **changes) -> SourceSettings:
    what = {} if "query" in changes else {"table": "products"}
    return SourceSettings(**({"uri": uri, "key": "id", "text": "{name}. {about}", "columns": ("price",)} | what | changes))


class Database:
    """A database to write to, and how it is read: as a source of the kit."""

    def __init__(self, uri: str, root: Path, password: str = "") -> None:
        self.uri, self.root, self.password = uri, root, password

    def run(self, *statements: str, many: tuple[str, list] | None = None) -> None:
        raise NotImplementedError

    def fill(self, rows=PRODUCTS) -> None:
        mark = "?" if self.uri.startswith("sqlite") else "%s"
        self.run(MADE, many=(f"INSERT INTO products VALUES ({mark}, {mark}, {mark}, {mark})", list(rows)))

    def source(self, **changes):
        return open_source(settings(self.uri, **changes), self.root, SecretStr(self.password))

    def read(self, **changes) -> tuple[list, list, dict, Faults]:
        """Keys, texts, columns and faults of one pass."""
        of, source = settings(self.uri, **changes), self.source(**changes)
        faults = Faults(of)
        cleaner = RowCleaner(of, source.key, source.columns, faults)
        rows = [cleaner.clean(raw) for raw in source.read()]
        columns = {name: [value for piece in rows for value in piece.columns[name]] for name in of.columns}
        return [key for piece in rows for key in piece.keys], [text for piece in rows for text in piece.texts], columns, faults


class Sqlite(Database):
    def run(self, *statements, many=None):
        with sqlite3.connect(self.root / "shop.db") as connection:
            for statement in statements:
                connection.execute(statement)
            if many:
                connection.executemany(*many)
        connection.close()


class Postgres(Database):
    def run(self, *statements, many=None):
        with psycopg.connect(self.uri.replace("+psycopg", ""), password=self.password) as connection:
            for statement in statements:
                connection.execute(statement)
            if many:
                connection.cursor().executemany(*many)


@pytest.fixture
def sqlite(tmp_path: Path) -> Sqlite:
    return Sqlite("sqlite:///shop.db", tmp_path)


@pytest.fixture
def postgres(postgres_server: PostgresServer, tmp_path: Path) -> Postgres:
    """Empty, on the real server."""
    database = Postgres(postgres_server.uri, tmp_path, postgres_server.password)
    # A pass that a failed test left open would hold its locks.
    database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IN ('kit', 'guest')")
    database.run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return database


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    return request.getfixturevalue(request.param)


QUERY = "SELECT * FROM products WHERE name NOT LIKE 'x%' AND about <> ':none' OR about IS NULL;"


@pytest.mark.parametrize("what", [{"table": "products"}, {"query": QUERY}])
def test_a_table_and_a_query_give_its_rows(database, what):
    """Keys, texts and columns; %, : and the last semicolon of a query mean what they mean in SQL."""
    database.fill()
    keys, texts, columns, _ = database.read(**what)
    assert keys == [3, 1, 2]
    assert texts == ["Lamp. Gives light.", 'Große Säge. Cuts "everything", 100%', "Tom & Jerry 🐭."]
    assert columns == {"price": [10, 20, 30]}


def test_a_second_pass_gives_the_same_rows(database):
    """read() begins anew each time, and one that is left half way leaves nothing open."""
    database.fill()
    source = database.source()
    next(source.read())
    assert list(source.read()) == list(source.read())


def test_rows_come_in_pieces_that_count_their_rows(database):
    """And messages name the table or query, and the row."""
    database.fill((i, "Lamp", "", 1) for i in range(2 * ROWS_AT_ONCE + 5))
    pieces = list(database.source().read())
    assert [(piece.first_row, len(piece)) for piece in pieces] == [(1, 4096), (4097, 4096), (8193, 5)]
    assert {piece.file for piece in pieces} == {"table products"}
    assert next(database.source(query="SELECT * FROM products").read()).file == "query"


def test_memory_is_that_of_a_piece(database):
    """100,000 rows of 500 characters are 50 MB; a pass over them holds a few."""
    database.fill((i, "Lamp", "x" * 500, 1) for i in range(100_000))
    tracemalloc.start()
    try:
        count = sum(len(rows) for rows in database.source(query="SELECT id, name, about, price FROM products").read())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 100_000
    assert peak < 12 << 20


def test_postgresql_sends_rows_as_they_are_asked_for(postgres):
    """A server-side cursor: libpq's own memory, which Python cannot see, does not hold the table either."""
    postgres.fill((i, "Lamp", "", 1) for i in range(3 * ROWS_AT_ONCE))
    reading = postgres.source().read()
    next(reading)
    with psycopg.connect(postgres.uri.replace("+psycopg", ""), password=postgres.password) as connection:
        (last,) = connection.execute("SELECT query FROM pg_stat_activity WHERE state = 'idle in transaction'").fetchone()
    assert last.startswith("FETCH FORWARD 409")
    reading.close()


def test_a_pass_sees_one_moment(postgres):
    """What others write while it reads belongs to the next pass: no row is missed or comes twice."""
    postgres.fill((i, "Lamp", "", 1) for i in range(3 * ROWS_AT_ONCE))
    reading = postgres.source().read()
    first = next(reading)
    postgres.run("DELETE FROM products WHERE id > 100", "INSERT INTO products VALUES (-1, 'new', '', 1)", "UPDATE products SET name = 'changed'")
    rest = list(reading)
    assert len(first) + sum(map(len, rest)) == 3 * ROWS_AT_ONCE
    assert {name for piece in rest for name in piece.columns["name"]} == {b"Lamp"}
    assert len(postgres.read()[0]) == 102


@pytest.mark.parametrize("statement", ["DELETE FROM products RETURNING *", "CREATE TABLE t AS SELECT 1", "DROP TABLE products"])
def test_a_query_that_writes_is_refused(database, statement):
    """The source is only ever read."""
    database.fill()
    with pytest.raises(UsageError, match="^query "):
        list(database.source(query=statement).read())
    assert len(database.read()[0]) == 3


@pytest.mark.parametrize(
    ("type_", "values", "found", "stored"),
    [
        ("int", "7", FieldType.INT64, 7),
        ("smallint", "NULL", FieldType.DOUBLE, None),
        ("numeric(10,2)", "12.50", FieldType.DOUBLE, 12.5),
        ("real", "0.5", FieldType.DOUBLE, 0.5),
        ("boolean", "true", FieldType.BOOL, True),
        ("boolean", "NULL", FieldType.STRING, ""),
        ("date", "'2024-01-31'", FieldType.STRING, "2024-01-31"),
        ("timestamp", "'2024-01-31 12:30'", FieldType.STRING, "2024-01-31T12:30:00"),
        ("timestamptz", "'2024-01-31 12:30Z'", FieldType.STRING, "2024-01-31T12:30:00+00:00"),
        ("uuid", "'30313233-3435-3637-3839-616263646566'", FieldType.STRING, "30313233-3435-3637-3839-616263646566"),
        ("jsonb", """'{"a": [1, "é"]}'""", FieldType.JSON, {"a": [1, "é"]}),
        ("json", "NULL", FieldType.JSON, {}),
        ("int[]", "ARRAY[1, 2]", FieldType.INT64S, [1, 2]),
        ("numeric[]", "ARRAY[1.5]", FieldType.DOUBLES, [1.5]),
        ("text[]", "ARRAY['a', NULL]", FieldType.STRINGS, ["a", ""]),
        ("uuid[]", "ARRAY['30313233-3435-3637-3839-616263646566'::uuid]", FieldType.STRINGS, ["30313233-3435-3637-3839-616263646566"]),
        ("int[]", "NULL", FieldType.INT64S, []),
        ("varchar(9)", "'a'", FieldType.STRING, "a"),
        ("inet", "'127.0.0.1'", FieldType.STRING, "127.0.0.1"),
    ],
)
@pytest.mark.parametrize("what", [{"table": "products"}, {"query": "SELECT * FROM products"}])
def test_postgresql_types_are_those_of_its_columns(postgres, monkeypatch, what, type_, values, found, stored):
    """Of tables and of queries; a gap gets a type that can say "nothing", and a moment is the same in a session of another time zone."""
    monkeypatch.setenv("PGTZ", "Europe/Berlin")
    postgres.run(f"CREATE TABLE products (id int, name text, about text, price {type_})")
    postgres.run(f"INSERT INTO products VALUES (1, 'a', 'b', {values})")
    assert postgres.source(**what).columns[0].type is found
    (value,) = postgres.read(**what)[2]["price"]
    assert np.isnan(value) if stored is None else value == stored


@pytest.mark.parametrize(
    ("type_", "values", "found"),
    [
        ("integer", [1, 2], FieldType.INT64),
        ("integer", [1, None], FieldType.DOUBLE),
        ("integer", [None, None], FieldType.DOUBLE),
        ("decimal(10, 2)", [1, 2.5], FieldType.DOUBLE),
        ("boolean", [1, 0], FieldType.BOOL),
        ("json", ['{"a": 1}', None], FieldType.JSON),
        ("text", ["a", None], FieldType.STRING),
        ("date", ["2024-01-31", None], FieldType.STRING),
        ("", [1, "a"], FieldType.STRING),
    ],
)
def test_sqlite_types_are_those_of_its_values(sqlite, type_, values, found):
    """SQLite lets any column hold anything; the declaration counts where values do not tell."""
    sqlite.run(f"CREATE TABLE products (id int, name text, about text, price {type_})")
    sqlite.run(many=("INSERT INTO products VALUES (?, 'a', 'b', ?)", list(enumerate(values))))
    assert sqlite.source().columns[0].type is found
    assert len(sqlite.read()[0]) == 2


def test_sqlite_text_that_is_no_utf8_is_found_in_its_row(sqlite):
    """One row of a million does not end the pass with a riddle."""
    sqlite.fill()
    sqlite.run("INSERT INTO products VALUES (9, CAST(x'62ff' AS TEXT), '', 1)")
    keys, _, _, faults = sqlite.read(on_bad_row="skip")
    assert keys == [3, 1, 2]
    assert faults.examples[BadRow.INVALID_UTF8] == ["key 9 in table products, row 4: name invalid UTF-8 at byte 1"]


def test_an_empty_table_has_no_rows_but_types(database):
    """Its columns say them; a query of SQLite cannot."""
    database.run(MADE)
    source = database.source()
    assert list(source.read()) == []
    assert source.key.type in (FieldType.INT64, FieldType.STRING)
    assert source.rows_estimate() in (0, None)


def test_the_number_of_rows_is_never_found_by_a_long_scan(sqlite, postgres):
    """SQLite counts; PostgreSQL says what its last ANALYZE found, and nothing before there was one; of a query nobody knows."""
    for database in (sqlite, postgres):
        database.fill()
        assert database.source(query="SELECT * FROM products").rows_estimate() is None
    assert sqlite.source().rows_estimate() == 3
    assert postgres.source().rows_estimate() is None
    postgres.run("ANALYZE products")
    assert postgres.source().rows_estimate() == 3
    assert postgres.source(table="public.products").rows_estimate() == 3


def test_a_table_may_be_in_a_schema_and_need_quotes(postgres):
    """Written as it is, without quotes."""
    postgres.run('CREATE SCHEMA "Shop"', 'CREATE TABLE "Shop"."Order" (id int, name text, about text, price int, "group" text)')
    postgres.run("""INSERT INTO "Shop"."Order" VALUES (1, 'a', 'b', 2, 'g')""")
    assert postgres.read(table="Shop.Order", columns=("group",))[2] == {"group": ["g"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": "product"}, "table product: is not in the database. Did you mean products?"),
        ({"columns": ("prise",)}, "table products: there is no column prise, only id, name, about, price. Did you mean price?"),
        ({"query": "SELECT id, name, about FROM products"}, "query: there is no column price, only id, name, about."),
        ({"query": "SELECT *, id FROM products"}, "query: more than one column is named id."),
    ],
)
def test_what_is_not_there_is_named(database, changes, message):
    """With what there is, and the name that was probably meant."""
    database.fill()
    with pytest.raises(UsageError) as refusal:
        list(database.source(**changes).read())
    assert str(refusal.value) == message


@pytest.mark.parametrize("query", ["SELEC 1", "SELECT nonsense FROM products", "SELECT * FROM nowhere"])
def test_a_query_that_is_wrong_is_told_in_the_words_of_the_database(database, query):
    """In one line, without a traceback or SQLAlchemy's own pages."""
    database.fill()
    with pytest.raises(UsageError, match="^query cannot be read: .*(syntax|nonsense|nowhere)") as refusal:
        list(database.source(query=query).read())
    assert "\n" not in str(refusal.value) and "sqlalche" not in str(refusal.value)


def test_a_wrong_password_is_told_and_not_shown(postgres):
    """Nor is it in anything that Python would print."""
    postgres.password = "wr0ng-password"
    with pytest.raises(Unreachable, match=r"does not let us in: .*password authentication failed.*SOURCE_PASSWORD") as refusal:
        list(postgres.source().read())
    assert "wr0ng" not in str(refusal.value) + repr(vars(postgres.source()))
    postgres.password = ""
    with pytest.raises(Unreachable, match="no password supplied"):
        postgres.source().rows_estimate()


def test_the_drivers_own_password_is_used(postgres, monkeypatch):
    """PGPASSWORD, as psql reads it, where SOURCE_PASSWORD is not set."""
    postgres.fill()
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    source = open_source(settings(postgres.uri), postgres.root)
    assert sum(map(len, source.read())) == 3


def test_a_user_who_may_not_read_is_told(postgres):
    """It is neither a missing table nor a fault of the query."""
    postgres.fill()
    postgres.run("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN PASSWORD 'guest'", "GRANT USAGE ON SCHEMA public TO guest")
    guest = Postgres(postgres.uri.replace("kit@", "guest@"), postgres.root, "guest")
    with pytest.raises(Unreachable, match="does not let us read it: permission denied for table products. Grant SELECT"):
        list(guest.source().read())


def test_a_database_that_is_not_there_is_told(postgres, tmp_path):
    """A dead address, a server without that database, a file that does not exist: nothing is created."""
    with pytest.raises(Unreachable, match="Nothing answers at postgresql"):
        list(open_source(settings("postgresql+psycopg://kit@127.0.0.1:1/db"), tmp_path).read())
    with pytest.raises(UsageError, match='database "nowhere" does not exist'):
        list(open_source(settings(postgres.uri.replace("/postgres", "/nowhere")), tmp_path, SecretStr(postgres.password)).read())
    with pytest.raises(UsageError, match="there is no file .*none.db"):
        list(open_source(settings("sqlite:///none.db"), tmp_path).read())
    assert not (tmp_path / "none.db").exists()


def test_a_connection_lost_on_the_way_is_told_in_one_line(postgres):
    """The rows before it came; the same command run again does the rest."""
    postgres.fill((i, "Lamp", "x" * 100, 1) for i in range(20 * ROWS_AT_ONCE))
    reading = postgres.source().read()
    assert len(next(reading)) == ROWS_AT_ONCE
    postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'")
    with pytest.raises(Unreachable, match=r"^table products: the database was lost while it was read: .*Run the same command again\.$") as refusal:
        list(reading)
    assert "\n" not in str(refusal.value)
    assert len(postgres.read()[0]) == 20 * ROWS_AT_ONCE


@pytest.mark.parametrize("value", ["repeat('[', 2000) || repeat(']', 2000)", "'[1' || repeat('0', 5000) || ']'"])
def test_json_that_the_driver_cannot_read_is_told_in_one_line(postgres, value):
    """Nested without end, or a number of thousands of digits; whoever wrote that cell shows nobody a traceback."""
    postgres.run("CREATE TABLE products (id int, name text, about text, price json)")
    postgres.run(f"INSERT INTO products VALUES (1, 'a', 'b', ({value})::json)")
    with pytest.raises(UsageError, match=r"^table products cannot be read: .* select the column as text\.$"):
        postgres.source().columns  # noqa: B018 - they are looked up in the first rows


@pytest.mark.filterwarnings("error::sqlalchemy.exc.SAWarning")
def test_a_type_that_is_not_known_is_read_as_text(postgres):
    """And nobody is warned of it, least of all of columns that are not read, such as pgvector's."""
    postgres.run("CREATE TABLE products (id int, name text, about text, price point)")
    postgres.run("INSERT INTO products VALUES (1, 'a', 'b', '(1,2)')")
    assert postgres.read()[2] == {"price": ["(1,2)"]}


def test_a_file_that_is_no_database_is_told(tmp_path):
    """In one line."""
    (tmp_path / "shop.db").write_bytes(b"no database" * 1000)
    with pytest.raises(UsageError, match="table products cannot be read: file is not a database"):
        list(open_source(settings("sqlite:///shop.db"), tmp_path).read())


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("mysql://shop@127.0.0.1/db", r"needs a driver that is not installed\. pip install 'mysqlclient'"),
        ("postgres://shop@127.0.0.1/db", r"SQLAlchemy knows no postgres\. Write postgresql\+psycopg://"),
        ("sqlite://", "names no file"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(tmp_path, uri, message):
    """Naming the package to install, where one is missing."""
    with pytest.raises(UsageError, match=message):
        open_source(settings(uri), tmp_path)


def test_keys_may_be_uuids_or_decimals(postgres):
    """Whatever can be written as text identifies a row."""
    postgres.run("CREATE TABLE products (id numeric(20,0), name text, about text, price uuid)")
    postgres.run("INSERT INTO products VALUES (12345678901234567890, 'a', '', '30313233-3435-3637-3839-616263646566')")
    assert postgres.read()[0] == ["12345678901234567890"]
    assert postgres.read(key="price", columns=())[0] == ["30313233-3435-3637-3839-616263646566"]


def test_json_text_of_sqlite_is_json(sqlite):
    """Where the table declares it."""
    sqlite.run("CREATE TABLE products (id int, name text, about text, price json)")
    sqlite.run(many=("INSERT INTO products VALUES (?, 'a', 'b', ?)", [(1, json.dumps({"a": "é"}))]))
    assert sqlite.read()[2] == {"price": [{"a": "é"}]}


def test_a_gap_beyond_the_first_rows_is_seen(sqlite, postgres):
    """int64 could not say "nothing" when the row comes. SQLite looks; PostgreSQL knows since its last ANALYZE."""
    rows = [(i, "Lamp", "", None if i > ROWS_AT_ONCE else 1) for i in range(ROWS_AT_ONCE + 100)]
    for database in (sqlite, postgres):
        database.fill(rows)
    postgres.run("ANALYZE products")
    for database in (sqlite, postgres):
        assert database.source().columns[0].type is FieldType.DOUBLE
        assert np.isnan(database.read()[2]["price"][-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"uri": "sqlite:///shop.db", "table": ""}, "a database needs source.table or source.query"),
        ({"uri": "sqlite:///shop.db", "query": "SELECT 1"}, "has both table and query"),
        ({"uri": "data/*.parquet"}, "table and query are for one database"),
        ({"uri": "s3://shop/*.parquet"}, "table and query are for one database"),
        ({"uri": ["sqlite:///a.db", "sqlite:///b.db"]}, "table and query are for one database"),
        ({"uri": "postgresql+psycopg://kit:s3cret@host/db"}, "a database's password goes into SOURCE_PASSWORD"),
        ({"uri": "postgresql://host/db?password=s3cret"}, "a database's password goes into SOURCE_PASSWORD"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(changes, message):
    """Before anything is connected to."""
    with pytest.raises(ValueError, match=message) as refusal:
        SourceSettings(**({"table": "products", "key": "id", "text": "{name}"} | changes))
    assert "s3cret" not in refusal.value.errors()[0]["msg"]


def test_what_is_read_is_part_of_the_sources_identity():
    """A pair that was made of one table is not resumed with another; files are called as ever."""
    uri = "sqlite:///shop.db"
    identities = {settings(uri, **what).identity for what in ({"table": "a"}, {"table": "b"}, {"query": "SELECT 1"}, {"query": "SELECT 2"})}
    assert len(identities) == 4
    assert SourceSettings(uri=["a.csv", "b.csv"], key="id", text="{name}").identity == "a.csv b.csv"
