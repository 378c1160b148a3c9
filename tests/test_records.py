"""What makes a row good, how bad ones are counted and named, and which changes a hash notices."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from scripts.errors import UsageError
from scripts.layout import MAX_ARRAY, MAX_KEY_BYTES, MAX_STRING_BYTES, Column
from scripts.records import EXAMPLES_KEPT, PART_BYTES, Faults, RawRows, RowCleaner, Rows
from scripts.settings import BadRow, SourceSettings


def cleaned(columns: dict[str, list], *, stored: dict[str, str] | None = None, key="int64", first_row=1, faults=None, **changes) -> tuple[Rows, Faults]:
    """Rows of `columns` (id, name and the stored ones), cleaned; bad rows are skipped unless a test says otherwise."""
    stored = stored or {}
    columns = {"id": list(range(len(next(iter(columns.values()))))), "name": [b"x"] * len(next(iter(columns.values())))} | columns
    settings = SourceSettings(**({"uri": "-", "key": "id", "text": "{name}", "columns": tuple(stored), "on_bad_row": "skip"} | changes))
    faults = faults or Faults(settings)
    cleaner = RowCleaner(settings, Column(name="id", type=key), tuple(Column(name=name, type=type_) for name, type_ in stored.items()), faults)
    return cleaner.clean(RawRows("p.csv", first_row, columns)), faults


def converted(type_: str, value):
    """The value as it would be stored, or the fault that it is."""
    rows, faults = cleaned({"field": [value]}, stored={"field": type_})
    return rows.columns["field"][0] if len(rows) else next(iter(faults.examples.values()))[0].partition(": ")[2]


def test_rows_keep_their_order_and_know_their_place():
    """Bad rows leave no gap, and the others keep their row numbers."""
    rows, faults = cleaned({"id": [5, None, 3], "name": [b"a", b"b", b"c"]}, first_row=17)
    assert (rows.keys, rows.texts, rows.places) == ([5, 3], ["a", "c"], ["p.csv, row 17", "p.csv, row 19"])
    assert faults.counts == {BadRow.MISSING_KEY: 1}
    assert len(rows) == len(rows.key_ids) == len(rows.text_hashes) == len(rows.column_hashes) == 2


def test_no_rows_are_clean_rows():
    """An empty piece, and one with bad rows only."""
    assert len(cleaned({"id": []})[0]) == 0
    assert len(cleaned({"id": [None]}, key="string")[0]) == 0


def test_heavy_rows_go_on_in_parts():
    """Else a dozen pieces of long texts would fill the memory. All rows are there, in order, and know their place; one that is heavier goes alone."""
    texts = [b"x" * size for size in (PART_BYTES // 2, PART_BYTES // 2, 1, 2 * PART_BYTES, 1)]
    parts = list(RawRows("p.csv", 7, {"id": [1, 2, 3, 4, 5], "name": texts}).parts())
    assert [(part.first_row, part.columns["id"]) for part in parts] == [(7, [1, 2]), (9, [3]), (10, [4]), (11, [5])]
    assert [text for part in parts for text in part.columns["name"]] == texts
    light = RawRows("p.csv", 1, {"id": [1, None], "name": [b"x", None], "tags": [[b"x"], None]})
    assert list(light.parts()) == [light]


def test_a_bad_row_is_an_error_by_default():
    """The message names the fault, the key, the file and the row, and says what can be done."""
    with pytest.raises(UsageError) as refusal:
        cleaned({"name": [b"good", b"bad\xff"]}, on_bad_row={})
    assert str(refusal.value) == (
        "invalid_utf8 in the source: key 1 in p.csv, row 2: name invalid UTF-8 at byte 3. Mend the row, or set source.on_bad_row: {invalid_utf8: skip}."
    )


def test_the_first_bad_row_is_the_one_that_is_raised():
    """Whichever column its fault is in."""
    with pytest.raises(UsageError, match=r"key 1 in p\.csv, row 2"):
        cleaned({"id": [0, 1, None], "name": [b"a", b"b", b""], "price": [1, None, 1]}, stored={"price": "int64"}, on_bad_row={})


def test_a_row_has_one_fault():
    """A row without key, text and price counts once, as a row without key."""
    _, faults = cleaned({"id": [None], "name": [None], "price": [None]}, stored={"price": "int64"})
    assert faults.counts == {BadRow.MISSING_KEY: 1}


def test_faults_are_all_counted_and_the_first_few_named():
    """A million bad rows are one line of a report."""
    _, faults = cleaned({"name": [b""] * 100})
    assert faults.total == 100
    assert len(faults.examples[BadRow.MISSING_TEXT]) == EXAMPLES_KEPT
    assert faults.summary().startswith("100 missing_text (key 0 in p.csv, row 1: every column of the text is empty, key 1 in ")
    assert faults.summary().endswith(", …)")


@pytest.mark.parametrize("value", [None, b"", math.nan])
@pytest.mark.parametrize("key", ["int64", "string"])
def test_an_empty_key_is_missing(key, value):
    """Null, an empty string, and NaN."""
    _, faults = cleaned({"id": [value]}, key=key)
    assert faults.counts == {BadRow.MISSING_KEY: 1}


def test_whole_keys_are_numbers():
    """As a number, or as the text of one."""
    assert cleaned({"id": [7, b"8", b"-7", 9.0, Decimal(10), 2**63 - 2]})[0].keys == [7, 8, -7, 9, 10, 2**63 - 2]


@pytest.mark.parametrize("key", [-(2**63), 2**63 - 1])
def test_a_key_that_milvus_loses_is_bad(key):
    """2.3.5 takes both ends of int64 and does not find them again."""
    _, faults = cleaned({"id": [key]})
    assert faults.counts == {BadRow.BAD_VALUE: 1}


def test_a_key_with_a_control_character_is_bad():
    """It could be written and then never be named in a filter; line ends and tabs can."""
    rows, faults = cleaned({"id": [b"a\x01b", b"a\tb\nc"]}, key="string")
    assert (rows.keys, faults.counts) == (["a\tb\nc"], {BadRow.BAD_VALUE: 1})


@pytest.mark.parametrize("value", [b"007", b"+7", b" 7", b"1_000", b"7.0", b"x", "٧".encode(), 7.5, Decimal("7.5"), 2**63, [7], date(2024, 1, 1)])
def test_a_key_that_a_number_would_change_is_bad(value):
    """007 must not become the key of product 7."""
    _, faults = cleaned({"id": [value]})
    assert faults.counts == {BadRow.BAD_VALUE: 1}


@pytest.mark.parametrize(
    ("value", "key"), [(b"007", "007"), (7, "7"), ("Größe".encode(), "Größe"), (date(2024, 1, 31), "2024-01-31"), (Decimal("7.50"), "7.50")]
)
def test_string_keys_are_what_stands_there(value, key):
    """Numbers and dates as they are written."""
    assert cleaned({"id": [value]}, key="string")[0].keys == [key]


def test_a_key_longer_than_its_field_is_bad():
    """Bytes count, not characters."""
    _, faults = cleaned({"id": ["é".encode() * (MAX_KEY_BYTES // 2), "é".encode() * (MAX_KEY_BYTES // 2) + b"x"]}, key="string")
    assert faults.counts == {BadRow.BAD_VALUE: 1}


def test_the_text_is_the_template_filled_in():
    """A column may stand twice, literal braces are doubled, and what is around the text is stripped."""
    rows, _ = cleaned({"name": [b"Lamp "], "about": [b" bright"]}, text=" {{{name}}}:{about}, {name} ")
    assert rows.texts == ["{Lamp }: bright, Lamp"]


@pytest.mark.parametrize("empty", [None, b"", b"  \t", math.nan, []])
def test_a_text_of_empty_columns_is_missing(empty):
    """The template's own words say nothing about the row; one filled column is enough."""
    rows, faults = cleaned({"name": [empty, empty], "about": [empty, b"light"]}, text="Product {name}. {about}")
    assert faults.counts == {BadRow.MISSING_TEXT: 1}
    assert [" ".join(text.split()) for text in rows.texts] == ["Product . light"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (True, "true"),
        (Decimal("1.50"), "1.50"),
        ([b"a", None, b"b"], "a, b"),
        ({"b": 1, "a": "é".encode()}, '{"a": "é", "b": 1}'),
        (date(2024, 1, 31), "2024-01-31"),
        (datetime(2024, 1, 31, 12, 30), "2024-01-31T12:30:00"),
        (memoryview(b"lamp"), "lamp"),
        (bytearray(b"lamp"), "lamp"),
    ],
)
def test_whatever_stands_in_a_column_can_be_text(value, text):
    """Lists are joined, objects are JSON, dates are ISO, and the ways in which drivers give bytes are alike."""
    assert cleaned({"name": [value]})[0].texts == [text]


def test_a_moment_is_written_in_utc():
    """So it has one text and one hash wherever it is read, and later moments sort behind earlier ones when a zone puts its clock back."""
    berlin = ZoneInfo("Europe/Berlin")
    before, after = datetime(2026, 10, 25, 2, 30, tzinfo=berlin), datetime(2026, 10, 25, 2, 15, tzinfo=berlin, fold=1)
    written = [converted("string", moment) for moment in (before, after, after.astimezone(UTC))]
    assert written == ["2026-10-25T00:30:00+00:00", "2026-10-25T01:15:00+00:00", "2026-10-25T01:15:00+00:00"]
    assert converted("string", datetime.min.replace(tzinfo=timezone(timedelta(hours=2)))) == "0001-01-01T00:00:00+02:00"  # no earlier one can be written


@pytest.mark.parametrize("nested", [b"[" * 100_000, b'{"a":' * 700 + b"1" + b"}" * 700])
def test_json_that_is_nested_without_end_is_a_bad_row(nested):
    """Found and named as any other: one cell of the source ends no pass in a traceback."""
    assert converted("json", nested) == "field is nested too deeply"


def test_html_entities_become_characters_only_where_asked():
    """Before the text is looked at: a text of nothing but a blank entity is missing."""
    names = [b"&lt;b&gt; &amp;amp; &#8364;", b"&nbsp;"]
    assert cleaned({"name": names})[0].texts == ["&lt;b&gt; &amp;amp; &#8364;", "&nbsp;"]
    rows, faults = cleaned({"name": names}, unescape_html=True)
    assert rows.texts == ["<b> &amp; €"]
    assert faults.counts == {BadRow.MISSING_TEXT: 1}


@pytest.mark.parametrize(
    ("type_", "value", "stored"),
    [
        ("int64", b"12", 12),
        ("int64", 12.0, 12),
        ("int64", b"", "field is empty; declare it under source.types as double, where empty is NaN and matches no filter"),
        ("int64", b"12,50", "field is not a whole number: 12,50"),
        ("int64", Decimal("1.5"), "field is not a whole number: 1.5"),
        ("int64", 2**63, f"field does not fit 64 bits: {2**63}; declare it under source.types as string"),
        ("int64", Decimal("1e5000"), "field does not fit 64 bits: 1E+5000; declare it under source.types as string"),
        ("double", b"1.5", 1.5),
        ("double", Decimal("1.5"), 1.5),
        ("double", 10**400, f"field is not a number: {'1' + '0' * 79}"),
        ("double", b"cheap", "field is not a number: cheap"),
        ("double", 2**53 + 1, f"field would be stored as {2**53}: {2**53 + 1}; declare it under source.types as string"),
        ("double", Decimal(2**53 + 1), f"field would be stored as {2**53}: {2**53 + 1}; declare it under source.types as string"),
        ("double", f"-{2**53 + 1}".encode(), f"field would be stored as -{2**53}: -{2**53 + 1}; declare it under source.types as string"),
        ("double", b"9" * 400, f"field would be stored as inf: {'9' * 80}; declare it under source.types as string"),
        ("double", 10**20, 1e20),
        ("double", b"1e99", 1e99),
        ("double", Decimal("Infinity"), math.inf),
        ("bool", True, True),
        ("bool", b"FALSE", False),
        ("bool", b" yes ", True),
        ("bool", 1, True),
        ("bool", b"maybe", "field is not true or false: maybe"),
        ("bool", None, "field is empty; declare it under source.types as string, where empty is neither true nor false"),
        ("string", None, ""),
        ("string", math.nan, ""),
        ("string", 5, "5"),
        ("string", True, "true"),
        ("string", date(2024, 1, 31), "2024-01-31"),
        ("string", b"x" * MAX_STRING_BYTES, "x" * MAX_STRING_BYTES),
        ("string", "é".encode() * MAX_STRING_BYTES, f"field is longer than {MAX_STRING_BYTES} bytes"),
        ("string", b"\xff", "field invalid UTF-8 at byte 0"),
        ("int64[]", [1, b"2"], [1, 2]),
        ("int64[]", None, []),
        ("int64[]", [1, b"x"], "field is not a whole number: x"),
        ("int64[]", [1, None], "field has an empty item; declare it under source.types as double[], where that is NaN"),
        ("double[]", (1, 2.5), [1.0, 2.5]),
        ("string[]", [b"a", None, 1], ["a", "", "1"]),
        ("string[]", b"a", "field is not a list: a"),
        ("string[]", [b"a", b"\xff"], "field invalid UTF-8 at byte 0"),
        ("string[]", [b"a"] * (MAX_ARRAY + 1), f"field has {MAX_ARRAY + 1} items; at most {MAX_ARRAY} are stored"),
        ("json", {b"a": [b"\xc3\xa9", date(2024, 1, 31), math.inf, Decimal("1.5"), None, True]}, {"a": ["é", "2024-01-31", None, 1.5, None, True]}),
        ("json", b'{"a": 1}', {"a": 1}),
        ("json", b"", {}),
        ("json", b"[1]", "field is not a JSON object"),
        ("json", b"{", "field is not JSON: {"),
        ("json", b'{"a": "\xff"}', "field invalid UTF-8 at byte 7"),
        ("json", rb'{"a": "\ud800"}', "field invalid UTF-8 at byte 0"),
    ],
)
def test_a_stored_value_fits_its_field_or_is_bad(type_, value, stored):
    """What a field cannot hold is said in words; nothing is cut, rounded or made up."""
    assert converted(type_, value) == stored


def test_an_empty_double_is_nan():
    """It matches no filter, whereas any number would."""
    assert all(math.isnan(converted("double", value)) for value in (None, b"", math.nan, b"nan"))


def test_hashes_depend_on_content_and_not_on_its_form():
    """Bytes of a CSV and numbers of a Parquet file, fields of an object in any order: the same content has the same hashes."""
    stored = {"a": "int64", "b": "double", "c": "bool", "d": "json"}
    one, _ = cleaned({"name": [b"x"], "a": [1], "b": [0.5], "c": [True], "d": [{"p": 1, "q": 2}]}, stored=stored)
    other, _ = cleaned({"name": [b" x"], "a": [b"1"], "b": [b"0.50"], "c": [b"TRUE"], "d": [b'{"q": 2, "p": 1}']}, stored=stored)
    assert (one.text_hashes, one.column_hashes) == (other.text_hashes, other.column_hashes)


def test_every_change_of_content_changes_its_hash():
    """The text's in the one, a stored column's in the other, and what moves from one column to the next is noticed."""
    before, _ = cleaned({"a": [b"1", b"", b'"', b"1,2"], "b": [b"", b"1", b'"', b""]}, stored={"a": "string", "b": "string"})
    assert len(set(before.column_hashes.tolist())) == 4
    assert len(set(before.text_hashes.tolist())) == 1
    texts, _ = cleaned({"name": [b"a", b"b"]})
    assert len(set(texts.text_hashes.tolist())) == 2
    assert len(set(texts.column_hashes.tolist())) == 1


def test_taken_rows_stay_whole():
    """Every part of a row moves with it, in the order asked for."""
    rows, _ = cleaned({"id": [b"a", b"b", b"c"], "name": [b"x", b"y", b"z"], "n": [1, 2, 3]}, key="string", stored={"n": "int64"})
    some = rows.take([2, 0])
    assert (some.keys, some.texts, some.columns, some.places) == (["c", "a"], ["z", "x"], {"n": [3, 1]}, ["p.csv, row 3", "p.csv, row 1"])
    for name in ("key_ids", "text_hashes", "column_hashes"):
        assert getattr(some, name).tolist() == getattr(rows, name)[[2, 0]].tolist()
