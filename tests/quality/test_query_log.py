"""Query logs as people have them."""

import json

import pytest

from scripts.errors import UsageError
from scripts.golden.lines import MAX_LINE_BYTES
from scripts.quality.query_log import Log, read_log


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.txt", "red sofa\nlamp, green\n"),
        ("log", "red sofa\r\nlamp, green"),
        ("log.csv", 'time,query\n1,red sofa\n2,"lamp, green"\n'),
        ("log.CSV", '\ufeffQuery,n\r\nred sofa,1\r\n"lamp, green",2\r\n'),
        ("log.csv", 'q\nred sofa\n"lamp, green"\n'),
        ("log.tsv", "text\ttime\nred sofa\t1\nlamp, green\t2\n"),
        ("log.jsonl", '{"query": "red sofa", "n": 1}\n{"text": "lamp, green"}\n'),
        ("log.ndjson", '{"q": "red sofa"}\n{"q": "lamp, green"}'),
    ],
)
def test_every_form_of_log(tmp_path, name, content):
    """Plain text, CSV, TSV and JSON Lines; the column is query, text or q; with and without a byte order mark or a last line end."""
    assert read_log(written(tmp_path, name, content)) == Log(name, ("red sofa", "lamp, green"), entries=2)


def test_blank_and_repeated_entries_are_counted_and_left_out(tmp_path):
    """In the order in which queries first came."""
    path = written(tmp_path, "log.txt", "b\n\na\n  b \n\t\nb\nc\n")
    log = read_log(path)
    assert log == Log("log.txt", ("b", "a", "c"), entries=7, blank=2, repeated=2)
    assert log.told() == "3 distinct queries of log.txt (7 entries, 2 blank, 2 repeated)"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "query,n\na,1\n\n,\na,2\n"),
        ("l.tsv", "query\tn\na\t1\n\n\t\na\t2\n"),
        ("l.jsonl", '{"q":"a"}\n\n{"q":null}\n{"q":"a"}\n'),
    ],
)
def test_blank_entries_of_tables(tmp_path, name, content):
    """An empty line, an empty cell, null."""
    assert read_log(written(tmp_path, name, content)) == Log(name, ("a",), entries=4, blank=2, repeated=1)


def test_a_log_is_read_no_further_than_needed(tmp_path):
    """What comes after the last query that is taken may be anything; repetitions of those taken are no reason to stop."""
    path = written(tmp_path, "log.txt", b"a\nb\na\n\nc\n\xff\n")
    log = read_log(path, limit=2)
    assert log == Log("log.txt", ("a", "b"), entries=4, blank=1, repeated=1, complete=False)
    assert "4 entries read" in log.told()
    assert read_log(written(tmp_path, "short.txt", "a\nb\n"), limit=2).complete


def test_a_log_may_be_larger_than_a_suite(tmp_path, monkeypatch):
    """Of a shop that is asked the same few things, all of it is read."""
    monkeypatch.setattr("scripts.golden.lines.MAX_FILE_BYTES", 1_000)
    for name in ("log.txt", "log.csv"):
        assert read_log(written(tmp_path, name, "query\n" + "lamp\n" * 1_000)).repeated == 999


def test_a_long_query_is_a_query(tmp_path):
    """Of 10,000 characters, in every form."""
    long = "sofa " * 2_000 + "end"
    for name, content in (("l.txt", long), ("l.csv", f"query\n{long}\n"), ("l.tsv", f"query\n{long}\n"), ("l.jsonl", json.dumps({"query": long}))):
        assert read_log(written(tmp_path, name, content)).queries == (long,)


def test_quotation_marks_in_tab_separated_logs_are_searched_for(tmp_path):
    """Also one that is never closed."""
    assert read_log(written(tmp_path, "log.tsv", 'query\n"red sofa"\n15" screen\n')).queries == ('"red sofa"', '15" screen')


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.txt", b"good\nb\xe4d\n", r"l\.txt, line 2: byte 2 is not UTF-8\."),
        ("l.csv", b"query\ngood\nb\xe4d\n", r"l\.csv, line 3: byte 2 is not UTF-8"),
        ("l.txt", "sofa".encode("utf-16"), r"l\.txt is text in UTF-16"),
        ("l.csv", "question,n\na,1\n", r"no column called query, text or q; it has question, n"),
        ("l.csv", "", r"l\.csv is empty: expected a header"),
        ("l.tsv", "", r"l\.tsv is empty: expected a header"),
        ("l.csv", 'query,n\n"a,1\n', r"l\.csv, line 2: "),
        ("l.csv", "query,n\na,1\nb\n", r"line 3: expected 2 columns \(query, n\), found 1"),
        ("l.tsv", "query\tn\na\t1\nb\n", r"line 3: expected 2 columns \(query, n\), found 1"),
        ("l.jsonl", '{"query": "a"}\n{"query"\n', r"line 2: not JSON"),
        ("l.jsonl", "[" * 100_000, r"line 1: not JSON"),
        ("l.jsonl", '{"query": "a"}\n{"query": 5}\n', r"line 2: the query is '5', not a text"),
        ("l.jsonl", '["a"]\n', r"line 1: expected a JSON object"),
        ("l.jsonl", '{"query": "a"}\n{"n": 1}\n', r"line 2 has no column called query, text or q; it has n"),
        ("l.jsonl", '{"query": "\\ud83d"}\n', r"line 1: the query has half a surrogate pair"),
        ("l.txt", "a\n" + "x" * (MAX_LINE_BYTES + 1), f"line 2 is longer than {MAX_LINE_BYTES:,} bytes"),
        ("l.txt", "\n  \n", "has no queries"),
        ("l.csv", "query\n", "has no queries"),
    ],
)
def test_a_faulty_log_names_the_line(tmp_path, name, content, message):
    """So that it can be mended."""
    with pytest.raises(UsageError, match=message):
        read_log(written(tmp_path, name, content))


def test_a_log_that_is_not_there(tmp_path):
    """Or is a folder."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_log(path)
