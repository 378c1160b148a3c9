"""Files that are elsewhere: on S3 (a real server, moto) and on any fsspec file system; what fails there is one clear line."""

import gzip
import json
import socket
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.adapters import filesystems
from scripts.adapters.source_formats import ROWS_AT_ONCE
from scripts.adapters.sources import open_source
from scripts.errors import KitError, Unreachable, UsageError
from scripts.layout import FieldType
from scripts.records import Faults, RowCleaner
from scripts.settings import SourceSettings
from tests.s3 import use

FORMATS = ["p.parquet", "p.csv", "P.CSV.GZ", "p.tsv", "p.jsonl", "p.jsonl.gz"]


def settings(uri, **changes) -> SourceSettings:
    return SourceSettings(**({"uri": uri, "key": "id", "text": "{name}", "columns": ("price",)} | changes))


def products(count: int = 3, *, first: int = 1) -> list[dict]:
    return [{"id": i, "name": f"Große Lampe {i}", "price": 10 * i, "unused": "x" * 100} for i in range(first, first + count)]


def content(name: str, rows: list[dict], **options) -> bytes:
    """The rows as a file of that name."""
    name = name.lower()
    if name.endswith(".parquet"):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows), sink, **options)
        return sink.getvalue().to_pybytes()
    delimiter = "\t" if ".tsv" in name else ","
    lines = [json.dumps(row) for row in rows] if "json" in name else [delimiter.join(map(str, values)) for values in (rows[0], *(row.values() for row in rows))]
    text = "".join(line + "\n" for line in lines).encode()
    return gzip.compress(text) if name.endswith(".gz") else text


def rows_of(of: SourceSettings, root: Path) -> tuple[list, list, dict]:
    """Keys, places and stored columns of one pass."""
    source = open_source(of, root)
    cleaner = RowCleaner(of, source.key, source.columns, Faults(of))
    pieces = [cleaner.clean(raw) for raw in source.read()]
    prices = [price for piece in pieces for price in piece.columns["price"]]
    return [key for piece in pieces for key in piece.keys], [place for piece in pieces for place in piece.places], prices


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """A file system that Arrow does not have."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_from_s3(s3, tmp_path, name):
    """As from this machine; places name the file as the user wrote it."""
    s3.put("shop", f"data/{name}", content(name, products()))
    keys, places, prices = rows_of(settings(f"s3://shop/data/{name}"), tmp_path)
    assert (keys, prices) == ([1, 2, 3], [10, 20, 30])
    assert places[0] == f"s3://shop/data/{name}, row 1"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_through_fsspec(memory, tmp_path, name):
    """Whatever an installed package reaches."""
    memory.pipe(f"/data/{name}", content(name, products()))
    keys, places, _ = rows_of(settings(f"memory://data/{name}"), tmp_path)
    assert keys == [1, 2, 3]
    assert places[2] == f"memory://data/{name}, row 3"
    assert rows_of(settings("memory://data/*"), tmp_path) == rows_of(settings(f"memory://data/{name}"), tmp_path)


def test_patterns_find_on_s3_what_they_find_here(s3, tmp_path):
    """Each file once, sorted within a pattern, in the order of patterns; hidden files have to be asked for."""
    for i, name in enumerate(["a/1.csv", "a/2.csv", "a/b/3.csv", "a/b/c/4.csv", "a/.hidden.csv", "a/note.txt", "z [1].csv"], start=1):
        s3.put("shop", f"data/{name}", content("p.csv", products(1, first=i)))
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content("p.csv", products(1, first=i)))
    s3.put("shop", "data/a/", b"")  # a folder, as consoles make them
    patterns = ["a/*.csv", "a/**/*.csv", "**/[34].csv", "a/?/*.csv", "*/1.csv", "z [1].csv", ["a/2.csv", "a/*.csv"], "a/**/c/*", "a/.h*"]
    for pattern in patterns:
        here, there = ([f"{at}data/{one}" for one in ([pattern] if isinstance(pattern, str) else pattern)] for at in ("", "s3://shop/"))
        assert rows_of(settings(there), tmp_path)[0] == rows_of(settings(here), tmp_path)[0] != [], pattern


def test_the_same_file_by_two_names_is_read_once(s3, tmp_path):
    """A pattern and a name may both mean it."""
    s3.put("shop", "1.csv", content("1.csv", products()))
    assert rows_of(settings(["s3://shop/1.csv", "s3://shop/*.csv", "s3://shop/**/1.csv"]), tmp_path)[0] == [1, 2, 3]


def test_only_what_is_needed_of_a_remote_parquet_file_is_fetched(s3, tmp_path):
    """Needed columns only, row group by row group: memory is that of a buffer, not of the file."""
    rows = [{"id": i, "name": "Lamp", "price": 1, "unused": f"{i}" * 300} for i in range(10 * ROWS_AT_ONCE)]
    s3.put("shop", "p.parquet", content("p.parquet", rows, row_group_size=ROWS_AT_ONCE, compression="none", use_dictionary=False))
    source = open_source(settings("s3://shop/p.parquet"), tmp_path)
    assert source.rows_estimate() == len(rows)
    log = s3.log.stat().st_size
    tracemalloc.start()
    try:
        before = pa.total_allocated_bytes()
        first = next(reading := source.read())
        assert set(first.columns) == {"id", "name", "price"}
        assert pa.total_allocated_bytes() - before < 16 << 20
        requests = s3.log.read_bytes()[log:].count(b"GET /shop/p.parquet")
        assert requests <= 6  # footer and three columns of one row group of ten
        assert len(first) + sum(map(len, reading)) == len(rows)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("uri", ["s3://shop/none.csv", "s3://shop/none/*.csv", "s3://shop/**/*.parquet", "memory://none/*.csv"])
def test_a_pattern_without_files_is_named(s3, memory, tmp_path, uri):
    """As the user wrote it."""
    with pytest.raises(UsageError) as refusal:
        open_source(settings(uri), tmp_path)
    assert str(refusal.value) == f"source.uri {uri}: no file matches."


@pytest.mark.parametrize("uri", ["s3://shopp/*.csv", "s3://shopp/p.csv"])
def test_a_bucket_that_is_not_there_is_named(s3, tmp_path, uri):
    """It is another mistake than a missing file."""
    with pytest.raises(UsageError, match=r"there is no bucket shopp\. Check the name, AWS_REGION and AWS_ENDPOINT_URL"):
        open_source(settings(uri), tmp_path)


def test_a_folder_on_s3_is_refused_with_a_hint(s3, tmp_path):
    """A folder may hold anything."""
    s3.put("shop", "data/p.csv", content("p.csv", products()))
    with pytest.raises(UsageError, match="is a folder. Name its files"):
        open_source(settings("s3://shop/data"), tmp_path)


@pytest.mark.parametrize("uri", ["s3://shop/p.csv", "s3://shop/*.csv"])
def test_access_denied_is_told_in_one_line(s3, tmp_path, monkeypatch, uri):
    """A wrong key, a wrong secret, a user without rights: nothing of the secret is shown."""
    s3.put("shop", "p.csv", content("p.csv", products()))
    reader, stranger = s3.user("reader", "s3:*"), s3.user("stranger", "s3:CreateBucket")
    s3.guard()
    use(monkeypatch, reader)
    assert rows_of(settings(uri), tmp_path)[0] == [1, 2, 3]
    wrong_secret = reader | {"AWS_SECRET_ACCESS_KEY": "s3cret-that-is-wrong"}
    wrong_key = reader | {"AWS_ACCESS_KEY_ID": "AKIANOBODY"}
    for variables in (stranger, wrong_secret, wrong_key):
        use(monkeypatch, variables)
        with pytest.raises(Unreachable, match="access is denied. Check AWS_ACCESS_KEY_ID") as refusal:
            rows_of(settings(uri), tmp_path)
        assert_discreet(refusal.value, variables)


def test_rights_that_are_lost_on_the_way_are_told(s3, tmp_path, monkeypatch):
    """Keys expire and policies change during hours of embedding; the file is named."""
    s3.put("shop", "p.csv", content("p.csv", products()))
    reader = s3.user("reader", "s3:*")
    s3.guard()
    use(monkeypatch, reader)
    source = open_source(settings("s3://shop/*.csv"), tmp_path)
    s3.forbid("reader")
    with pytest.raises(Unreachable, match=r"^s3://shop/p\.csv: access is denied") as refusal:
        list(source.read())
    assert_discreet(refusal.value, reader)


def assert_discreet(error: KitError, variables: dict[str, str]) -> None:
    assert "\n" not in str(error)
    assert variables["AWS_SECRET_ACCESS_KEY"] not in str(error)


def test_an_endpoint_where_nobody_listens_is_told(tmp_path, monkeypatch):
    """At once, after a few attempts."""
    use(monkeypatch, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    with pytest.raises(Unreachable, match=r"s3://shop/p\.csv: nothing answers\. Check AWS_ENDPOINT_URL"):
        open_source(settings("s3://shop/p.csv"), tmp_path)


def test_an_endpoint_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    """It takes the connection and is silent: that is waited for a bounded time, here a shorter one."""
    monkeypatch.setattr(filesystems, "SILENT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        variables = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        use(monkeypatch, variables)
        with pytest.raises(Unreachable, match="nothing answers"):
            open_source(settings("s3://shop/p.csv"), tmp_path)


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "p.jsonl.gz"])
def test_a_file_that_vanishes_while_it_is_read_is_told(s3, tmp_path, name):
    """S3 holds no file open for its readers: the rest of it is gone."""
    rows = [{"id": i, "name": "Lamp", "price": 1} for i in range(5 * ROWS_AT_ONCE)]
    s3.put("shop", name, content(name, rows))
    reading = open_source(settings(f"s3://shop/{name}"), tmp_path).read()
    next(reading)
    s3.client("s3").delete_object(Bucket="shop", Key=name)
    with pytest.raises(UsageError, match=rf"^s3://shop/{name}: .*(vanished|no longer)") as refusal:
        list(reading)
    assert "\n" not in str(refusal.value)


def test_a_later_file_that_vanishes_is_told(s3, tmp_path):
    """It was there when the source was opened, and its rows are not simply left out."""
    for at in ("1.csv", "2.csv"):
        s3.put("shop", at, content(at, products()))
        (tmp_path / at).write_bytes(content(at, products()))
    for uri, vanish in (("s3://shop/*.csv", lambda: s3.client("s3").delete_object(Bucket="shop", Key="2.csv")), ("*.csv", (tmp_path / "2.csv").unlink)):
        reading = open_source(settings(uri), tmp_path).read()
        next(reading)
        vanish()
        with pytest.raises(UsageError, match=r"2\.csv: there is no such file.*, or no longer\.$"):
            list(reading)


def test_a_file_that_changes_while_it_is_read_is_told(s3, tmp_path):
    """Half of the old and half of the new one would be neither; also for a file here that somebody still writes."""
    rows = [{"id": i, "name": "Lamp", "price": 1} for i in range(2 * ROWS_AT_ONCE)]
    whole = content("p.csv", rows)
    s3.put("shop", "p.csv", whole)
    (tmp_path / "p.csv").write_bytes(whole)
    for uri, change in (("s3://shop/p.csv", lambda: s3.put("shop", "p.csv", whole + b"9999999,New,1\n")), ("p.csv", lambda: grow(tmp_path / "p.csv"))):
        reading = open_source(settings(uri), tmp_path).read()
        next(reading)
        change()
        with pytest.raises(UsageError, match=r"p\.csv: changed or vanished while it was read\. Run the same command again\."):
            list(reading)


def test_rows_that_move_between_files_during_a_pass_are_told(s3, tmp_path):
    """From a file that is yet to be read into one that has been read, or into a new one: they would be missed, and so deleted."""
    files = {f"{i}.csv": [{"id": 10 * i + j, "name": "Lamp", "price": 1} for j in range(3)] for i in (1, 2)}

    def write(at: str, rows: list) -> None:
        s3.put("shop", at, content(at, rows))
        (tmp_path / at).write_bytes(content(at, rows))

    for uri in ("s3://shop/*.csv", "*.csv"):
        for into, told in (("1.csv", "1"), ("3.csv", "2")):
            for at, rows in files.items():
                write(at, rows)
            reading = open_source(settings(uri), tmp_path).read()
            next(reading)
            write(into, [*files.get(into, []), files["2.csv"][0]])
            write("2.csv", files["2.csv"][1:])
            with pytest.raises(UsageError, match=rf"{told}\.csv: changed or vanished while it was read\."):
                list(reading)
            s3.client("s3").delete_object(Bucket="shop", Key="3.csv")
            (tmp_path / "3.csv").unlink(missing_ok=True)


def grow(path: Path) -> None:
    with path.open("a") as file:
        file.write("9999999,New,1\n")


@pytest.mark.parametrize(("first", "second"), [("A7", 123), (123, "A7"), ("00123", 123), ("00123", 123.0)])
def test_a_key_that_changes_its_type_between_files_is_told(tmp_path, first, second):
    """00123 and 123 would be two products, and one of them would be deleted. With file and key."""
    for i, key in enumerate((first, second), start=1):
        (tmp_path / f"{i}.parquet").write_bytes(content(".parquet", [{"id": key, "name": "a", "price": 1}]))
    with pytest.raises(UsageError, match=rf"2\.parquet.*{second}|key {second} in 2\.parquet"):
        rows_of(settings("*.parquet"), tmp_path)


def test_a_key_that_changes_its_type_may_be_declared(tmp_path):
    """Whoever says that keys are strings means it; and digits are digits, in text as in numbers."""
    (tmp_path / "1.parquet").write_bytes(content(".parquet", [{"id": "A7", "name": "a", "price": 1}]))
    (tmp_path / "2.parquet").write_bytes(content(".parquet", [{"id": 123, "name": "a", "price": 1}]))
    (tmp_path / "3.csv").write_text("id,name,price\n124,a,1\n")
    assert rows_of(settings(["*.parquet", "*.csv"], types={"id": "string"}), tmp_path)[0] == ["A7", "123", "124"]
    assert rows_of(settings(["2.parquet", "3.csv"]), tmp_path)[0] == [123, 124]
    assert open_source(settings("3.csv"), tmp_path).key.type is FieldType.INT64


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIAKEY:s3/cret@shop/p.csv",
        "s3://AKIAKEY:s3/cr@et@shop/p.csv",
        "s3://shop/p.csv?secret_key=s3/cret",
        "sftp://user:s3/cret@host/p.csv",
        "abfs://c@account/p.csv?sas_token=s3/cret",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_shown(tmp_path, uri):
    """Secrets come from the environment only."""
    with pytest.raises(UsageError, match="has a secret in it. Take it out") as refusal:
        filesystems.resolve(uri, tmp_path)
    with pytest.raises(ValueError, match="has a secret in it; take it out") as refused:
        settings(uri)
    assert "s3/cr" not in str(refusal.value)
    assert refused.value.errors()[0]["loc"] == ("uri",)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("foo://shop/p.csv", "neither Arrow nor an installed fsspec package knows foo://"),
        ("sftp://shop/p.csv", "sftp:// addresses need a package that is not installed.*paramiko"),
        ("s3:///p.csv", "names no bucket"),
    ],
)
def test_an_address_that_nothing_here_reaches_is_refused(tmp_path, uri, message):
    """Naming the package to install, where one would help."""
    with pytest.raises(UsageError, match=message):
        open_source(settings(uri), tmp_path)
