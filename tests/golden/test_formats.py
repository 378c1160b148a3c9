"""Queries and judgments in every format that a suite can have, and in none."""

from __future__ import annotations

import json

import pytest

from scripts import golden
from scripts.errors import UsageError
from scripts.golden import Query
from scripts.golden.lines import MAX_LINE_BYTES
from tests.golden.suites import write

TWO = {"q1": Query("q1", "red sofa", ("colour", "short"), 2.0), "q2": Query("q2", "sofa, cheap")}


@pytest.mark.parametrize(
    "files",
    [
        {"queries__csv": 'query_id,query,slice,weight\nq1,red sofa,colour;short,2\nq2,"sofa, cheap",,\n'},
        {"queries__csv": '\ufeffid,note,text,slice,weight\r\nq1,,red sofa,colour; short ;,2.0\r\n\r\nq2,x,"sofa, cheap",,1\r\n'},
        {"queries__tsv": "ID\tText\tSlice\tWeight\nq1\tred sofa\tcolour;short\t2\nq2\tsofa, cheap\t\t\n"},
        {
            "queries__jsonl": '{"_id": "q1", "text": "red sofa", "slice": ["colour", "short"], "weight": 2}\n\n'
            '{"_id": "q2", "text": "sofa, cheap", "metadata": {}}\n'
        },
        {
            "queries__jsonl": '{"id": "q1", "query": "red sofa", "slice": "colour;short", "weight": "2"}\n'
            '{"id": "q2", "query": "sofa, cheap", "slice": null}'
        },
    ],
    ids=["csv", "csv-of-a-spreadsheet", "tsv", "beir", "jsonl"],
)
def test_queries_read_alike_from_every_format(tmp_path, files):
    """Names of columns as the kit, BEIR and others have them; byte order mark, CRLF and blank lines do not matter."""
    judgments = "query_id,key,grade\nq1,1,3\n"
    assert golden.load(write(tmp_path, judgments__csv=judgments, **files)).queries == TWO


@pytest.mark.parametrize(
    "files",
    [
        {"judgments__csv": "query_id,sku,grade\nq1,a b,2\nq1,7,0\nq2,7,1\n"},
        {"judgments__csv": '\ufeffgrade,product_id,query_id\r\n2.0,a b,q1\r\n0,7,q1\r\n"1",7,q2\r\n'},
        {"judgments__tsv": "query-id\tcorpus-id\tscore\nq1\ta b\t2\nq1\t7\t0\nq2\t7\t1\n"},
        {"qrels___test__tsv": "query-id\tcorpus-id\tscore\nq1\ta b\t2\nq1\t7\t0.0\nq2\t7\t1\n"},
    ],
    ids=["csv", "csv-of-a-spreadsheet", "tsv", "beir"],
)
def test_judgments_read_alike_from_every_format(tmp_path, files):
    """A grade of 1.0 is 1."""
    read = golden.load(write(tmp_path, queries__csv="id,text\nq1,red sofa\nq2,lamp\n", **files))
    assert read.qrels == {"q1": {"a b": 2, "7": 0}, "q2": {"7": 1}}


@pytest.mark.parametrize("name", ["qrels.txt", "qrels.tsv", "judged by TREC"])
def test_trec_qrels_are_known_by_their_four_columns(tmp_path, name):
    """Whatever the file is called, separated by spaces or tabs, with grades below zero."""
    folder = write(tmp_path, yaml=f"measures: [nDCG@10]\njudgments: {name}\n", judgments__csv="")
    (folder / name).write_text("q1 0 a 2\nq1\t0\tb\t-2\n  q1  Q0 c   0\r\n")
    assert golden.load(folder).qrels == {"q1": {"a": 2, "b": -2, "c": 0}}


def test_the_layout_of_beir_needs_nothing_but_suite_yaml(tmp_path):
    """queries.jsonl with many queries that the split does not judge, and qrels/test.tsv."""
    queries = "".join(json.dumps({"_id": str(n), "text": f"query {n}", "metadata": {"url": "x"}}) + "\n" for n in range(50))
    read = golden.load(write(tmp_path, queries__jsonl=queries, qrels___test__tsv="query-id\tcorpus-id\tscore\n7\td1\t1\n8\td2\t1\n"))
    assert (len(read.queries), set(read.judged)) == (50, {"7", "8"})


def test_ids_slices_and_weights_go_to_their_limits(tmp_path):
    """The limits themselves are good enough."""
    id, slice = "q" * 256, "s" * 100
    queries = f"id,text,slice,weight\n{id},a,{slice},1000000\nq2,b,,0.000001\n"
    read = golden.load(write(tmp_path, queries__csv=queries, judgments__csv=f"query_id,key,grade\n{id},1,3\n")).queries
    assert list(read.values()) == [Query(id, "a", (slice,), 1e6), Query("q2", "b", (), 1e-6)]


def test_the_same_judgment_twice_is_one(tmp_path):
    """Exports repeat rows; only a contradiction is a fault."""
    assert golden.load(write(tmp_path, judgments__csv="query_id,key,grade\nq1,1,3\nq1,1,3.0\n")).qrels == {"q1": {"1": 3}}


def test_grades_beyond_the_scale_load(tmp_path):
    """`golden check` tells them; a suite that loads can be mended with it."""
    assert golden.load(write(tmp_path, judgments__csv="query_id,key,grade\nq1,1,9\nq1,2,-1\n")).qrels == {"q1": {"1": 9, "2": -1}}


def test_a_tab_separated_text_keeps_its_quotation_marks(tmp_path):
    """TSV has no quoting: a query that begins with one is a query."""
    assert golden.load(write(tmp_path, queries__tsv='id\ttext\nq1\t"red sofa\n')).queries["q1"].text == '"red sofa'


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"queries__csv": "name,text\n1,x\n"}, "queries.csv, line 1: no column for the query's id (query_id or id); there are: name, text."),
        ({"queries__csv": "id;text\n1;x\n"}, "line 1: its columns are separated by semicolons. Save it with commas."),
        ({"queries__csv": "id,text,id\n1,x,1\n"}, "line 1: column 'id' is there twice"),
        ({"queries__csv": ""}, "queries.csv is empty: expected a header"),
        ({"queries__csv": "id,text\nq1, \n"}, "line 2: query 'q1' has no text"),
        ({"queries__csv": "id,text\n,x\n"}, "line 2: the query's id is empty"),
        ({"queries__csv": "id,text\nq1,a\n\nq1,b\n"}, "line 4: query id 'q1' is there twice, first in line 2"),
        ({"queries__csv": 'id,text\nq1,"a\nb"\nq2\n'}, "line 4: expected 2 columns (id, text), found 1"),
        ({"queries__csv": 'id,text\nq1,"a\nq2,b\n'}, "line 2: not CSV: unexpected end of data"),
        ({"queries__csv": 'id,text\nq1,"a" b\n'}, "line 2: not CSV: "),
        ({"queries__csv": f"id,text\nq1,{'x' * 200_000}\n"}, "line 2: not CSV: field larger than field limit (131072)"),
        ({"queries__csv": "id,text,weight\nq1,a,0\n"}, "line 2: the weight '0' is not a number from 0.000001 to 1,000,000"),
        ({"queries__csv": "id,text,weight\nq1,a,inf\n"}, "line 2: the weight 'inf' is not a number from 0.000001 to 1,000,000"),
        ({"queries__csv": "id,text,weight\nq1,a,heavy\n"}, "line 2: the weight 'heavy' is not a number from 0.000001 to 1,000,000"),
        ({"queries__csv": "id,text,weight\nq1,a,1\nq2,b,1e308\n"}, "line 3: the weight '1e308' is not a number from 0.000001 to 1,000,000"),
        ({"queries__csv": "id,text,weight\nq1,a,5e-324\n"}, "line 2: the weight '5e-324' is not a number from 0.000001 to 1,000,000"),
        ({"queries__csv": f"id,text\nq1,a\n{'q' * 257},b\n"}, "… has 257 characters, more than 256"),
        ({"queries__csv": f"id,text\nq1,a\n{'q' * 257},b\n"}, "queries.csv, line 3: the query's id 'qqq"),
        ({"queries__csv": f"id,text,slice\nq1,a,short;{'s' * 101}\n"}, "… has 101 characters, more than 100"),
        ({"queries__jsonl": '{"id": "1", "text": "a", "slice": ["' + "s" * 101 + '"]}\n'}, "queries.jsonl, line 1: the slice 'sss"),
        ({"queries__csv": b"id,text\nq1,so\xf6\n"}, "line 2: byte 6 is not UTF-8. Save it as UTF-8."),
        ({"queries__csv": "id,text\nq1,a\n".encode("utf-16")}, "is text in UTF-16. Save it as UTF-8."),
        ({"queries__csv": b"\x7fELF\0\0"}, "line 1: there is a zero byte, so this is not a text file"),
        ({"queries__jsonl": '{"id": "1", "text": "a"}\n{"id": 1.5, "text": "a"}\n'}, "line 2: the query's id is '1.5', not a text"),
        ({"queries__jsonl": '{"id": true, "text": "a"}\n'}, "line 1: the query's id is 'True', not a text"),
        ({"queries__jsonl": '{"id": "1", "text": "a"}\n{"id": "2"}\n'}, "line 2: no column for its text (query or text); there are: id."),
        ({"queries__jsonl": '{"id": "1", "text": "a", "weight": NaN}\n'}, "line 1: the weight 'nan'"),
        ({"queries__jsonl": '{"id": "1", "text": "a", "slice": {"a": 1}}\n'}, "line 1: the slice is "),
        ({"queries__jsonl": '{"id": "1", "text": "\\ud800"}\n'}, "line 1: the query's text has half a surrogate pair"),
        ({"queries__jsonl": '["1", "a"]\n'}, "line 1: expected a JSON object"),
        ({"queries__jsonl": '{"id": \n'}, "line 1: not JSON"),
        ({"queries__jsonl": "[" * 100_000}, "line 1: not JSON"),
        ({"queries__jsonl": "x" * (MAX_LINE_BYTES + 9)}, f"line 1 is longer than {MAX_LINE_BYTES:,} bytes"),
        ({"queries__jsonl": "é" * MAX_LINE_BYTES}, f"line 1 is longer than {MAX_LINE_BYTES:,} bytes"),
        ({"judgments__csv": "query_id,key,grade\nq1,1,good\n"}, "line 2: the grade 'good' is not a whole number"),
        ({"judgments__csv": "query_id,key,grade\nq1,1,1.5\n"}, "line 2: the grade '1.5' is not a whole number"),
        ({"judgments__csv": "query_id,key,grade\nq1,1,99999999999\n"}, "line 2: the grade '99999999999'"),
        ({"judgments__csv": "query_id,key,grade\nq1,1,\n"}, "line 2: the grade ''"),
        ({"judgments__csv": "query_id,key,grade\nq1,,1\n"}, "line 2: the document's key is empty"),
        ({"judgments__csv": "query_id,key,grade\nq1,1\n"}, "line 2: expected 3 columns (query_id, key, grade), found 2"),
        ({"judgments__csv": "query_id,grade\nq1,1\n"}, "line 1: expected three columns, query_id, the document's key and grade"),
        ({"judgments__csv": "query_id,key,title,grade\nq1,1,x,1\n"}, "line 1: expected three columns"),
        ({"judgments__csv": "query_id,key,grade\nq1,1,1\nq01,1,1\n"}, "line 3: query 'q01' is not among the queries"),
        ({"judgments__csv": "query_id,key,grade\nq1,1,1\nq1,1,2\n"}, "line 3: document '1' of query 'q1' has the grade 2 here and 1 before"),
        ({"qrels__txt": "q1 0 a 1\nq1 0 a\n"}, "qrels.txt, line 2: expected the four columns of TREC qrels (query, iteration, document, grade)"),
        ({"qrels__txt": "q1 0 a\nq1 0 b\n"}, "qrels.txt, line 1: expected three columns"),
    ],
)
def test_a_faulty_file_is_told_with_line_and_what_was_expected(tmp_path, files, told):
    """In one short line, also where the file is something else altogether."""
    with pytest.raises(UsageError) as error:
        golden.load(write(tmp_path, **files))
    line = str(error.value)
    assert told in line
    assert str(tmp_path) in line
    assert len(line) < len(str(tmp_path)) + 300


def test_a_folder_in_place_of_a_file_is_told(tmp_path):
    """Not a traceback."""
    folder = write(tmp_path, yaml="measures: [nDCG@10]\nqueries: there\n")
    (folder / "there").mkdir()
    with pytest.raises(UsageError, match="there cannot be read: Is a directory"):
        golden.load(folder)


def test_a_corpus_in_place_of_queries_is_told(tmp_path, monkeypatch):
    """It is not read to its end."""
    monkeypatch.setattr("scripts.golden.lines.MAX_FILE_BYTES", 100_000)
    with pytest.raises(UsageError, match="is larger than the 0 MiB that queries or judgments can have. Is it the corpus?"):
        golden.load(write(tmp_path, queries__csv="id,text\n" + "".join(f"{n},a text\n" for n in range(20_000))))
