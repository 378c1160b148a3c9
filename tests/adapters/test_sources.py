"""Rows from files: the same rows whatever the format, and one clear line for whatever is wrong with a file."""

import csv
import gzip
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.adapters import source_formats
from scripts.adapters.sources import open_source
from scripts.errors import UsageError
from scripts.layout import FieldType
from scripts.records import PART_BYTES, Faults, RowCleaner
from scripts.settings import BadRow, SourceSettings

PRODUCTS = [
    {"id": 3, "name": "Lamp", "about": "Gives light.\nAnd warmth.", "price": 10},
    {"id": 1, "name": "Große Säge", "about": 'Cuts "everything", really', "price": 20},
    {"id": 2, "name": "Tom & Jerry 🐭", "about": "", "price": 30},
]
FORMATS = ["products.parquet", "products.csv", "PRODUCTS.CSV.GZ", "products.csv.gz", "products.tsv", "products.jsonl", "products.ndjson", "products.jsonl.gz"]


def write(path: Path, rows: list[dict]) -> None:
    """The rows, as the file's name says."""
    name = path.name.lower()
    if name.endswith(".parquet"):
        return pq.write_table(pa.Table.from_pylist(rows), path)
    opened = gzip.open if name.endswith(".gz") else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        if ".csv" in name or ".tsv" in name:
            writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t" if ".tsv" in name else ",")
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def settings(uri="*", **changes) -> SourceSettings:
    return SourceSettings(**({"uri": uri, "key": "id", "text": "{name}. {about}", "columns": ("price",)} | changes))


class Pass:
    """Everything that one pass over a source gives, end to end."""

    def __init__(self, of: SourceSettings, root: Path) -> None:
        self.source = open_source(of, root)
        self.faults = Faults(of)
        cleaner = RowCleaner(of, self.source.key, self.source.columns, self.faults)
        pieces = [cleaner.clean(raw) for raw in self.source.read()]
        self.keys = [key for rows in pieces for key in rows.keys]
        self.texts = [text for rows in pieces for text in rows.texts]
        self.columns = {name: [value for rows in pieces for value in rows.columns[name]] for name in of.columns}
        self.places = [place for rows in pieces for place in rows.places]
        self.hashes = [(t, c) for rows in pieces for t, c in zip(rows.text_hashes.tolist(), rows.column_hashes.tolist(), strict=True)]


def types_of(root: Path, name: str, **changes) -> dict[str, FieldType]:
    source = open_source(settings(name, **changes), root)
    return {column.name: column.type for column in (source.key, *source.columns)}


def csv_file(root: Path, *lines: str, name="products.csv") -> str:
    (root / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return name


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path, name):
    """Keys, texts, stored columns and hashes do not depend on the file format."""
    write(tmp_path / "reference.parquet", PRODUCTS)
    write(tmp_path / name, PRODUCTS)
    reference, same = Pass(settings("reference.parquet"), tmp_path), Pass(settings(name), tmp_path)
    assert same.keys == reference.keys == [3, 1, 2]
    assert same.texts == reference.texts == ["Lamp. Gives light.\nAnd warmth.", 'Große Säge. Cuts "everything", really', "Tom & Jerry 🐭."]
    assert same.columns == reference.columns == {"price": [10, 20, 30]}
    assert same.hashes == reference.hashes
    assert same.places == [f"{name}, row {row}" for row in (1, 2, 3)]


def test_a_second_pass_gives_the_same_rows(tmp_path):
    """read() begins anew each time."""
    write(tmp_path / "products.csv", PRODUCTS)
    source = open_source(settings("products.csv"), tmp_path)
    assert list(source.read()) == list(source.read())


@pytest.mark.parametrize("name", FORMATS)
def test_a_long_file_comes_in_pieces_that_count_their_rows(tmp_path, name):
    """A piece has at most a few thousand rows, and knows at which row of the file it begins."""
    count = 2 * source_formats.ROWS_AT_ONCE + 5
    write(tmp_path / name, [{"id": i, "name": "Lamp", "about": "", "price": 1} for i in range(count)])
    pieces = list(open_source(settings(name), tmp_path).read())
    assert [piece.first_row for piece in pieces] == [1, 4097, 8193]
    assert [len(piece) for piece in pieces] == [4096, 4096, 5]


def test_a_parquet_file_of_long_texts_comes_in_smaller_pieces(tmp_path):
    """Of about PART_BYTES, and not of so many rows; a heavy column that is not read does not count."""
    texts = [f"{i} {'x' * (PART_BYTES // 10)}" for i in range(15)]
    table = pa.table({"id": range(15), "name": texts, "price": [1] * 15, "light": ["x"] * 15})
    pq.write_table(table, tmp_path / "p.parquet", compression="zstd")
    pieces = list(open_source(settings("p.parquet", text="{name}"), tmp_path).read())
    assert [(piece.first_row, len(piece)) for piece in pieces] == [(1, 9), (10, 6)]
    (whole,) = open_source(settings("p.parquet", text="{light}"), tmp_path).read()
    assert len(whole) == 15
    with pq.ParquetWriter(tmp_path / "p.parquet", table.schema) as writer:
        for some in (table.slice(0, 0), table.slice(0, 2)):
            writer.write_table(some)  # of the first row group, which is empty, no row can be weighed
    assert [len(piece) for piece in open_source(settings("p.parquet", text="{name}"), tmp_path).read()] == [2]


def test_globs_and_lists_read_each_file_once_in_order(tmp_path):
    """In the order of the patterns, sorted within each; formats may differ; ** reaches into folders."""
    for i, name in enumerate(["b.csv", "a.jsonl", "c.parquet", "more/deep/d.csv"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name, [PRODUCTS[0] | {"id": i}])
    assert Pass(settings(["c.parquet", "*.*", "**/*.csv"]), tmp_path).keys == [2, 1, 0, 3]


def test_absolute_paths_and_file_uris_are_local_paths(tmp_path):
    """Also outside the root, and with an escaped space; such files are shown as they were written."""
    elsewhere = tmp_path / "over there"
    elsewhere.mkdir()
    write(elsewhere / "products.csv", PRODUCTS)
    uris = [str(elsewhere / "products.csv"), str(elsewhere / "*.csv"), (elsewhere / "products.csv").as_uri()]
    for uri in uris:
        assert Pass(settings(uri), tmp_path / "root").places[0] == f"{elsewhere / 'products.csv'}, row 1"


def test_a_name_with_brackets_is_a_name_before_it_is_a_pattern(tmp_path):
    """products[1].csv is what a browser calls the second download."""
    write(tmp_path / "products[1].csv", PRODUCTS)
    assert len(Pass(settings("products[1].csv"), tmp_path).keys) == 3


@pytest.mark.parametrize("uri", ["products.csv", "*.csv", "nowhere/**/*.parquet"])
def test_a_pattern_without_files_is_named(tmp_path, uri):
    """Also beside one that has some: half a source would delete the other half."""
    write(tmp_path / "good.jsonl", PRODUCTS)
    with pytest.raises(UsageError) as refusal:
        open_source(settings(["good.jsonl", uri]), tmp_path)
    assert str(refusal.value) == f"source.uri {uri}: no file matches in {tmp_path}."


def test_a_file_on_another_machine_is_refused(tmp_path):
    """file://host/… is no path here."""
    with pytest.raises(UsageError, match="names a file on another machine"):
        open_source(settings("file://host/a.csv"), tmp_path)


def test_a_folder_is_refused_with_a_hint(tmp_path):
    """A folder may hold anything, so its files are named by a pattern."""
    (tmp_path / "data").mkdir()
    with pytest.raises(UsageError, match=r"data: is a folder\. Name its files"):
        open_source(settings("data"), tmp_path)


def test_an_unknown_format_is_refused_by_name(tmp_path):
    """A glob that also catches a spreadsheet does not skip it silently."""
    write(tmp_path / "products.csv", PRODUCTS)
    (tmp_path / "products.xlsx").touch()
    with pytest.raises(UsageError, match=r"products\.xlsx has no format that can be read\..*\.parquet"):
        open_source(settings("products.*"), tmp_path)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("changes", [{"text": "{nam}"}, {"key": "nam"}, {"columns": ("nam",)}])
def test_a_missing_column_is_named_with_its_file_and_its_neighbours(tmp_path, name, changes):
    """Wherever it is used, and with the name that was probably meant."""
    write(tmp_path / name, PRODUCTS)
    with pytest.raises(UsageError, match=rf"^{name}: there is no column nam, only id, name, about, price\. Did you mean name\?"):
        Pass(settings(name, **changes), tmp_path)


def test_a_later_file_without_the_column_is_named(tmp_path):
    """Each file is checked when it is opened."""
    write(tmp_path / "1.csv", PRODUCTS)
    write(tmp_path / "2.csv", [{"id": 9, "name": "x", "about": "y"}])
    with pytest.raises(UsageError, match=r"^2\.csv: there is no column price"):
        Pass(settings("*.csv"), tmp_path)


def test_a_sparse_json_field_may_be_missing_where_it_is_declared(tmp_path):
    """The first rows of JSON Lines may all lack a field that a later row has."""
    write(tmp_path / "p.jsonl", [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
    read = Pass(settings("p.jsonl", types={"about": "string", "price": "double"}), tmp_path)
    assert read.texts == ["a.", "b."]
    assert np.isnan(read.columns["price"]).all()


@pytest.mark.parametrize("name", ["products.csv", "products.parquet"])
def test_two_columns_of_one_name_are_refused(tmp_path, name):
    """Which of them was meant cannot be known."""
    if name.endswith("csv"):
        csv_file(tmp_path, "id,name,about,price,price", "1,a,b,2,3")
    else:
        pq.write_table(pa.table([[1], ["a"], ["b"], [2], [3]], names=["id", "name", "about", "price", "price"]), tmp_path / name)
    with pytest.raises(UsageError, match="more than one column is named price"):
        Pass(settings(name), tmp_path)


@pytest.mark.parametrize("row", ["2,b", "2,b,c,4,5", "2,b\udcff,c,4,5"])
def test_a_csv_row_with_the_wrong_number_of_columns_is_named(tmp_path, row):
    """One line with the file and the row, even when the row is no UTF-8 either."""
    text = f"id,name,about,price\n1,a,b,2\n{row}\n3,c,d,4\n"
    (tmp_path / "p.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=r"^p\.csv: row 2: Expected 4 columns, got \d: 2,b") as refusal:
        Pass(settings("p.csv"), tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_quote_that_nothing_closes_does_not_swallow_the_rest(tmp_path):
    """Silently lost rows would be deleted from the collection."""
    csv_file(tmp_path, "id,name,about,price", "1,a,b,2", '2,b,"c,3', "3,c,d,4")
    with pytest.raises(UsageError, match=r"products\.csv: row 2"):
        Pass(settings("products.csv"), tmp_path)
    csv_file(tmp_path, "price,id,about,name", "1,1,a,b", '2,2,c,"Unclosed', "3,3,e,f")
    with pytest.raises(UsageError, match=r"products\.csv: row 2 opens a quote that nothing closes"):
        Pass(settings("products.csv"), tmp_path)


def test_a_row_longer_than_a_block_is_told_in_one_line(tmp_path):
    """Usually it is an open quote in a large file."""
    csv_file(tmp_path, "id,name,about,price", "1,a,b,2", '2,"' + "x" * (source_formats.CSV_BLOCK_BYTES * 2) + '",c,3')
    with pytest.raises(UsageError, match=r"products\.csv: a row after row \d is longer than 8 MiB\. Is a quote left open\?"):
        Pass(settings("products.csv"), tmp_path)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n\n"])
def test_the_last_csv_row_counts_however_the_file_ends(tmp_path, ending):
    """With a newline, several, or none; a byte order mark and Windows line ends are no content."""
    (tmp_path / "p.csv").write_bytes(f"\ufeffid,name,about,price\r\n1,a,b,2\r\n\r\n2,c,d,3{ending}".encode())
    read = Pass(settings("p.csv"), tmp_path)
    assert (read.keys, read.columns) == ([1, 2], {"price": [2, 3]})


@pytest.mark.parametrize("line", ['{"id": 2, "name": ', "id,name", "[1, 2]", '"text"', "9" * 5000])
def test_a_line_that_is_no_json_object_is_named(tmp_path, line):
    """With the file and the line."""
    (tmp_path / "p.jsonl").write_text(json.dumps(PRODUCTS[0]) + "\n\n" + line + "\n")
    with pytest.raises(UsageError, match=r"^p\.jsonl: line 3 is not (a )?JSON"):
        Pass(settings("p.jsonl"), tmp_path)


def write_invalid(path: Path) -> None:
    """Three rows; the second one's name and the third one's id are no UTF-8."""
    ids, names = [b"K1", b"K2", b"K\xff3"], [b"a", b"b\xff", b"c"]
    if path.suffix == ".csv":
        path.write_bytes(b"id,name,about,price\n" + b"".join(i + b"," + n + b",x,1\n" for i, n in zip(ids, names, strict=True)))
    elif path.suffix == ".jsonl":
        path.write_bytes(b"".join(b'{"id": "%s", "name": "%s", "about": "x", "price": 1}\n' % both for both in zip(ids, names, strict=True)))
    else:
        columns = [pa.array(values, pa.binary()).view(pa.string()) for values in (ids, names)]
        pq.write_table(pa.table([*columns, ["x"] * 3, [1] * 3], names=["id", "name", "about", "price"]), path)


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "p.jsonl"])
def test_invalid_utf8_is_counted_and_named_when_skipped(tmp_path, name):
    """By key, file and row, in every format; the good rows are read."""
    write_invalid(tmp_path / name)
    read = Pass(settings(name, on_bad_row={"invalid_utf8": "skip"}), tmp_path)
    assert read.keys == ["K1"]
    assert read.faults.counts == {BadRow.INVALID_UTF8: 2}
    assert read.faults.examples[BadRow.INVALID_UTF8] == [
        f"key K2 in {name}, row 2: name invalid UTF-8 at byte 1",
        rf"key K\xff3 in {name}, row 3: invalid UTF-8 at byte 1",
    ]


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "p.jsonl"])
def test_invalid_utf8_is_an_error_by_default(tmp_path, name):
    """Nothing broken is ever embedded silently."""
    write_invalid(tmp_path / name)
    with pytest.raises(UsageError, match=rf"invalid_utf8 in the source: key K2 in {name}, row 2"):
        Pass(settings(name), tmp_path)


def test_half_a_surrogate_pair_in_json_is_invalid_utf8(tmp_path):
    """JSON can write what UTF-8 cannot; whole pairs are characters as any other."""
    (tmp_path / "p.jsonl").write_text(
        r'{"id": 1, "name": "\ud83d\udc2d", "about": "", "price": 1}' + "\n" + r'{"id": 2, "name": "\ud83d", "about": "", "price": 1}'
    )
    read = Pass(settings("p.jsonl", on_bad_row="skip"), tmp_path)
    assert read.texts == ["🐭."]
    assert read.faults.counts == {BadRow.INVALID_UTF8: 1}


def test_parquet_strings_may_be_dictionaries_large_or_views(tmp_path):
    """How a writer keeps its strings does not matter."""
    for name, type_ in {"dictionary": pa.dictionary(pa.int32(), pa.string()), "large": pa.large_string(), "view": pa.string_view()}.items():
        table = pa.table({"id": [1, 2], "name": pa.array(["a", "b"]).cast(type_), "about": ["", ""], "price": [1, 2]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
        assert Pass(settings(f"{name}.parquet"), tmp_path).texts == ["a.", "b."]


@pytest.mark.parametrize("name", FORMATS)
def test_rows_without_key_or_text_are_counted(tmp_path, name):
    """An empty key or an empty text is a fault of the row; a partly empty text is none."""
    rows = [
        {"id": None, "name": "a", "about": "b", "price": 1},
        {"id": 2, "name": None, "about": " ", "price": 1},
        {"id": 3, "name": None, "about": "c", "price": 1},
    ]
    write(tmp_path / name, rows)
    read = Pass(settings(name, on_bad_row="skip"), tmp_path)
    assert read.keys == [3]
    assert read.texts == [". c"]
    assert read.faults.counts == {BadRow.MISSING_KEY: 1, BadRow.MISSING_TEXT: 1}


@pytest.mark.parametrize("words", [["00123", "00124"], ["1", "02"], ["1.0", "2.0"], ["-", "7"], ["9" * 19, "1"], ["9" * 30, "1"]])
def test_csv_keys_stay_as_they_are_written(tmp_path, words):
    """Whatever a number would change or lose is a string."""
    csv_file(tmp_path, "id,name,about,price", *(f"{word},a,b,1" for word in words))
    read = Pass(settings("products.csv"), tmp_path)
    assert read.source.key.type is FieldType.STRING
    assert read.keys == words


def test_a_late_key_with_a_leading_zero_is_not_taken_for_another(tmp_path):
    """Types are found in the first rows; 007 further down is not product 7."""
    count = source_formats.ROWS_AT_ONCE
    csv_file(tmp_path, "id,name,about,price", *(f"{i},a,b,1" for i in range(count)), "007,a,b,1")
    with pytest.raises(UsageError, match=r"bad_value in the source: key 007 in products.csv, row 4097: .*declare it under source.types as string"):
        Pass(settings("products.csv"), tmp_path)


@pytest.mark.parametrize(
    ("words", "type_"),
    [
        (["1", "-2"], FieldType.INT64),
        (["1", ""], FieldType.DOUBLE),
        (["1", "2.5"], FieldType.DOUBLE),
        (["1e3", ""], FieldType.DOUBLE),
        (["true", "FALSE"], FieldType.BOOL),
        (["true", ""], FieldType.STRING),
        (["2024-01-31", ""], FieldType.STRING),
        (["007", "8"], FieldType.STRING),
        (["9" * 25, "1"], FieldType.STRING),
        (["1_000", "2"], FieldType.STRING),
        (["", ""], FieldType.STRING),
    ],
)
def test_csv_types_are_read_from_the_first_words(tmp_path, words, type_):
    """A number with gaps is a double, where a gap is NaN; what fits nothing is a string."""
    csv_file(tmp_path, "id,name,about,price", *(f"{i},a,b,{word}" for i, word in enumerate(words)))
    assert types_of(tmp_path, "products.csv") == {"id": FieldType.INT64, "price": type_}


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([1, 2], FieldType.INT64),
        ([1, None], FieldType.DOUBLE),
        ([1, 2.5], FieldType.DOUBLE),
        ([True, False], FieldType.BOOL),
        ([1, ""], FieldType.DOUBLE),
        ([True, None], FieldType.STRING),
        (["1", "2"], FieldType.STRING),
        ([1, "2"], FieldType.STRING),
        ([2**63, 1], FieldType.STRING),
        ([[1], []], FieldType.INT64S),
        ([[1, 2.5], None], FieldType.DOUBLES),
        ([["a"], []], FieldType.STRINGS),
        ([["a", 1], [{"b": 2}]], FieldType.STRINGS),
        ([{"a": 1}, None], FieldType.JSON),
        ([None, None], FieldType.STRING),
    ],
)
def test_json_types_are_read_from_the_first_values(tmp_path, values, type_):
    """As their JSON types say; mixed values are strings."""
    write(tmp_path / "p.jsonl", [{"id": str(i), "name": "a", "about": "b", "price": value} for i, value in enumerate(values)])
    assert types_of(tmp_path, "p.jsonl") == {"id": FieldType.STRING, "price": type_}
    assert len(Pass(settings("p.jsonl"), tmp_path).keys) == len(values)


@pytest.mark.parametrize(
    ("column", "type_", "stored"),
    [
        (pa.array([1, 2], pa.uint8()), FieldType.INT64, [1, 2]),
        (pa.array([1, 2], pa.uint64()), FieldType.INT64, [1, 2]),
        (pa.array([1.5, 2], pa.float32()), FieldType.DOUBLE, [1.5, 2.0]),
        (pa.array([Decimal("1.50"), Decimal("2.00")]), FieldType.DOUBLE, [1.5, 2.0]),
        (pa.array([True, False]), FieldType.BOOL, [True, False]),
        (pa.array([True, None]), FieldType.STRING, ["true", ""]),
        (pa.array([date(2024, 1, 31), None]), FieldType.STRING, ["2024-01-31", ""]),
        (pa.array([datetime(2024, 1, 31, 12, 30), None], pa.timestamp("ns")), FieldType.STRING, ["2024-01-31T12:30:00", ""]),
        (pa.array([0, 1], pa.timestamp("ms", "UTC")), FieldType.STRING, ["1970-01-01T00:00:00+00:00", "1970-01-01T00:00:00.001000+00:00"]),
        (pa.array([["a", None], None]), FieldType.STRINGS, [["a", ""], []]),
        (pa.array([[1], [2, 3]], pa.large_list(pa.int32())), FieldType.INT64S, [[1], [2, 3]]),
        (pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)), FieldType.DOUBLES, [[1.0, 2.0], [3.0, 4.0]]),
        (pa.array([[{"a": "x"}], []]), FieldType.STRINGS, [['{"a": "x"}'], []]),
        (pa.array([{"a": "é", "b": Decimal("1.5")}, None]), FieldType.JSON, [{"a": "é", "b": 1.5}, {}]),
        (pa.array([[("k", "é")], None], pa.map_(pa.string(), pa.string())), FieldType.JSON, [{"k": "é"}, {}]),
        (pa.array(["a", "b"]).dictionary_encode(), FieldType.STRING, ["a", "b"]),
        (pa.nulls(2), FieldType.STRING, ["", ""]),
        (pa.array([b"0123456789abcdef"] * 2, pa.binary(16)), FieldType.STRING, ["0123456789abcdef"] * 2),
        (pa.array([b"0123456789abcdef"] * 2, pa.uuid()), FieldType.STRING, ["30313233-3435-3637-3839-616263646566"] * 2),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_parquet_types_are_those_of_its_schema(tmp_path, column, type_, stored):
    """Dates and times are ISO strings, structs and maps JSON; whatever else there is can be written as a string."""
    pq.write_table(pa.table({"id": [1, 2], "name": ["a", "b"], "about": ["", ""], "price": column}), tmp_path / "p.parquet")
    read = Pass(settings("p.parquet"), tmp_path)
    assert read.source.columns[0].type is type_
    assert read.columns["price"] == stored


@pytest.mark.parametrize("statistics", [True, False])
def test_whole_numbers_with_nulls_are_doubles_in_parquet(tmp_path, statistics):
    """A null in any row group of the first file shows in its statistics, and without them in its first rows."""
    nulls_from = source_formats.ROWS_AT_ONCE + 5 if statistics else 5
    rows = [{"id": i, "name": "a", "about": "b", "price": None if i > nulls_from else 1} for i in range(nulls_from + 3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet", write_statistics=statistics, row_group_size=100)
    read = Pass(settings("p.parquet"), tmp_path)
    assert read.source.columns[0].type is FieldType.DOUBLE
    assert np.isnan(read.columns["price"][-1])


@pytest.mark.parametrize("name", ["p.parquet", "p.jsonl", "p.csv"])
def test_a_key_column_with_gaps_keeps_its_type(tmp_path, name):
    """Rows without a key are refused or skipped, so the others are not turned into fractions."""
    write(tmp_path / name, [{"id": i, "name": "a", "about": "b", "price": 1} for i in (1, None, 2)])
    read = Pass(settings(name, on_bad_row="skip"), tmp_path)
    assert read.source.key.type is FieldType.INT64
    assert read.keys == [1, 2]


@pytest.mark.parametrize("declared", [None, "double"])
def test_a_key_that_cannot_be_one_is_refused(tmp_path, declared):
    """Only whole numbers and strings identify a row."""
    write(tmp_path / "p.jsonl", [{"id": True if declared is None else 1, "name": "a", "about": "b", "price": 1}])
    with pytest.raises(UsageError, match="a key is int64 or string"):
        Pass(settings("p.jsonl", types={"id": declared} if declared else {}), tmp_path)


def test_declared_types_win(tmp_path):
    """What source.types says is not looked up."""
    write(tmp_path / "p.csv", PRODUCTS)
    read = Pass(settings("p.csv", types={"id": "string", "price": "double"}), tmp_path)
    assert read.keys == ["3", "1", "2"]
    assert read.columns == {"price": [10.0, 20.0, 30.0]}


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl"])
def test_a_bad_value_is_counted_with_its_column(tmp_path, name):
    """12,50 is no whole number, wherever it stands."""
    rows = [PRODUCTS[0], PRODUCTS[1] | {"price": "12,50"}, PRODUCTS[2]]
    write(tmp_path / name, rows)
    read = Pass(settings(name, types={"price": "int64"}, on_bad_row={"bad_value": "skip"}), tmp_path)
    assert read.keys == [3, 2]
    assert read.faults.examples[BadRow.BAD_VALUE] == [f"key 1 in {name}, row 2: price is not a whole number: 12,50"]


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "p.jsonl"])
def test_html_entities_are_unescaped_where_asked(tmp_path, name):
    """In the embedded text only."""
    write(tmp_path / name, [{"id": 1, "name": "Tom &amp; Jerry", "about": "&#8364;5", "price": "&lt;"}])
    read = Pass(settings(name, unescape_html=True), tmp_path)
    assert read.texts == ["Tom & Jerry. €5"]
    assert read.columns == {"price": ["&lt;"]}


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.jsonl", "p.jsonl.gz"])
@pytest.mark.parametrize("content", ["", "\n", "id,name,about,price", "id,name,about,price\n"])
def test_an_empty_file_has_no_rows(tmp_path, name, content):
    """Reading it is no error; only its types cannot be known."""
    content = content.encode() if "csv" in name else b"\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    source = open_source(settings(name), tmp_path)
    assert list(source.read()) == []
    with pytest.raises(UsageError, match="The source has no rows"):
        assert source.key
    declared = open_source(settings(name, types={"id": "int64", "price": "int64"}), tmp_path)
    assert (declared.key.type, declared.columns[0].type) == (FieldType.INT64, FieldType.INT64)


def test_an_empty_parquet_file_has_types_but_no_rows(tmp_path):
    """Its schema says them."""
    pq.write_table(pa.Table.from_pylist(PRODUCTS).slice(0, 0), tmp_path / "p.parquet")
    read = Pass(settings("p.parquet"), tmp_path)
    assert read.keys == []
    assert read.source.key.type is FieldType.INT64


@pytest.mark.parametrize("name", ["1.csv", "1.jsonl", "1.parquet"])
def test_types_come_from_the_first_file_with_rows(tmp_path, name):
    """An empty export in front does not decide them."""
    if name == "1.parquet":
        pq.write_table(pa.table({name: pa.nulls(0) for name in PRODUCTS[0]}), tmp_path / name)
    else:
        (tmp_path / name).touch()
    write(tmp_path / "2.csv", PRODUCTS)
    assert Pass(settings(["1.*", "2.csv"]), tmp_path).columns == {"price": [10, 20, 30]}


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    """Opening a source looks at names only."""
    (tmp_path / "p.parquet").write_bytes(b"not parquet")
    open_source(settings("p.parquet"), tmp_path)


def test_the_number_of_rows_is_known_for_parquet_only(tmp_path):
    """From its footers, without reading; one text file makes the sum unknown."""
    write(tmp_path / "1.parquet", PRODUCTS)
    write(tmp_path / "2.parquet", PRODUCTS)
    assert open_source(settings("*.parquet"), tmp_path).rows_estimate() == 6
    write(tmp_path / "3.csv", PRODUCTS)
    assert open_source(settings("*"), tmp_path).rows_estimate() is None


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_vanishes_or_breaks_is_told_in_one_line(tmp_path, name):
    """With its name and the reason, in every format, before and during reading."""
    write(tmp_path / name, [PRODUCTS[0] | {"id": i, "about": f"{i}" * 9} for i in range(20_000)])
    whole = (tmp_path / name).read_bytes()
    source = open_source(settings(name), tmp_path)
    assert source.key
    breakages = [lambda: (tmp_path / name).unlink()]
    if name.lower().endswith((".gz", ".parquet")):
        breakages += [lambda: (tmp_path / name).write_bytes(whole[:-100]), lambda: (tmp_path / name).write_bytes(b"\xaa" * 1000)]
        breakages += [lambda: (tmp_path / name).write_bytes(whole[: len(whole) // 2] + b"\xaa" * 500 + whole[len(whole) // 2 + 500 :])]
    for damage in breakages:
        (tmp_path / name).write_bytes(whole)
        damage()
        with pytest.raises(UsageError, match=rf"^{name}( cannot be read)?: ") as refusal:
            list(source.read())
        assert "\n" not in str(refusal.value)


def test_a_time_beyond_the_calendar_is_told_in_one_line(tmp_path):
    """Parquet can hold a year that Python cannot."""
    pq.write_table(pa.table({"id": [1], "name": ["a"], "about": ["b"], "price": pa.array([2**62], pa.timestamp("us"))}), tmp_path / "p.parquet")
    with pytest.raises(UsageError, match=r"^p\.parquet cannot be read: "):
        Pass(settings("p.parquet"), tmp_path)


def test_icecat_is_read_whole(shared_data):
    """A real catalogue: 19,406 products with HTML entities and empty descriptions."""
    of = SourceSettings(
        uri="products.parquet",
        key="product_id",
        text="{product_name}. {product_description}",
        columns=("supplier", "price_cents", "date_released"),
        unescape_html=True,
    )
    read = Pass(of, shared_data / "icecat")
    assert len(set(read.keys)) == len(read.keys) == read.source.rows_estimate() == 19_406
    assert [column.type for column in (read.source.key, *read.source.columns)] == [FieldType.INT64, FieldType.STRING, FieldType.INT64, FieldType.STRING]
    assert read.faults.total == 0


def test_movies_are_read_whole(shared_data):
    """Compressed JSON Lines with string keys and lists: 9,750 films."""
    of = SourceSettings(uri="movies.jsonl.gz", key="id", text="{title}. {overview}", columns=("genres", "director", "year"))
    read = Pass(of, shared_data / "movies")
    assert len(set(read.keys)) == len(read.keys) == 9_750
    assert [column.type for column in read.source.columns] == [FieldType.STRINGS, FieldType.STRING, FieldType.DOUBLE]
    assert sum(map(np.isnan, read.columns["year"])) == 16
    assert read.columns["genres"][0] == ["Action", "Fantasy", "Science Fiction"]
