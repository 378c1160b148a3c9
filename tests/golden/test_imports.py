"""Suites out of BEIR, TREC and Quepid: the same judgments whichever way they come, and what is left out."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest

from scripts import golden
from scripts.errors import KitError, UsageError
from scripts.golden.lines import MAX_LINE_BYTES
from scripts.jobs.golden_import import ImportedSuite, Origin, golden_import
from tests.golden.suites import write

BEIR = {
    "queries.jsonl": '{"_id": "1", "text": "red sofa", "metadata": {}}\n{"_id": "2", "text": "lamp"}\n{"_id": "3", "text": "of another split"}\n',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\td1\t2\n1\td2\t0\n2\td1\t1\n",
    "qrels/train.tsv": "query-id\tcorpus-id\tscore\n3\td1\t1\n",
    "corpus.jsonl": '{"_id": "d1", "text": "a sofa"}\n',
}


def folder_of(files: dict[str, str], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def zip_of(files: dict[str, str], path: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def into(tmp_path: Path, source: Path, origin: Origin, **how) -> tuple[golden.Suite, ImportedSuite]:
    result = golden_import(source, origin, tmp_path / "suite", **how)
    return golden.load(tmp_path / "suite"), result


def dropped(result: ImportedSuite) -> dict[str, int]:
    return {reason: each["count"] for reason, each in result.facts()["dropped"].items()}


def csv_of(rows: list[tuple]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


# one suite, every way


@pytest.fixture(scope="module")
def icecat(shared_data, tmp_path_factory) -> golden.Suite:
    data = shared_data / "icecat"
    described = f"measures: [nDCG@10]\nqueries: {data / 'queries.csv'}\njudgments: {data / 'judgments.csv'}\n"
    return golden.load(write(tmp_path_factory.mktemp("icecat"), yaml=described, queries__csv="", judgments__csv=""))


def as_beir(suite: golden.Suite, folder: Path) -> Path:
    judged = [(query, key, grade) for query, grades in suite.qrels.items() for key, grade in grades.items()]
    queries = "".join(json.dumps({"_id": query.id, "text": query.text, "metadata": {}}) + "\n" for query in suite.queries.values())
    qrels = "query-id\tcorpus-id\tscore\n" + "".join(f"{query}\t{key}\t{grade}\n" for query, key, grade in judged)
    return folder_of({"queries.jsonl": queries, "qrels/test.tsv": qrels}, folder)


def test_real_judgments_come_through_every_format(tmp_path, icecat):
    """icecat's 68 queries and 1,770 grades as BEIR, TREC and Quepid have them: the same grades for the same texts."""
    judged = [(icecat.queries[query].text, key, grade) for query, grades in icecat.qrels.items() for key, grade in grades.items()]
    topics = "".join(f"<top>\n<num> Number: {each.id}\n<title> {each.text}\n\n<desc> Description:\nx\n</top>\n\n" for each in icecat.queries.values())
    qrels = "".join(f"{query} 0 {key} {grade}\n" for query, grades in icecat.qrels.items() for key, grade in grades.items())
    rre = [
        {"placeholders": {"$query": icecat.queries[query].text}, "relevant_documents": {key: {"gain": grade} for key, grade in grades.items()}}
        for query, grades in icecat.qrels.items()
    ]
    files = {
        "topics.txt": topics,
        "topics.tsv": "".join(f"{query.id}\t{query.text}\n" for query in icecat.queries.values()),
        "qrels.txt": qrels,
        "case_basic.csv": csv_of([("query", "docid", "rating"), *judged]),
        "case_rre.json": json.dumps({"id_field": "id", "index": "icecat", "template": "template.json", "queries": rre}),
        "case_ltr.txt": "".join(f"{grade} qid:1 # {key} {text}\n\n" for text, key, grade in judged),
    }
    made = folder_of(files, tmp_path / "exports")
    golden_import(as_beir(icecat, tmp_path / "beir"), Origin.BEIR, tmp_path / "of-beir")
    for name in ("topics.txt", "topics.tsv"):
        golden_import(made / name, Origin.TREC, tmp_path / f"of-{name}", qrels=made / "qrels.txt")
    for name in ("case_basic.csv", "case_rre.json", "case_ltr.txt"):
        golden_import(made / name, Origin.QUEPID, tmp_path / f"of-{name}")
    suites = [golden.load(folder) for folder in sorted(tmp_path.glob("of-*"))]
    assert len(suites) == 6
    for suite in suites:
        by_text = {suite.queries[query].text: grades for query, grades in suite.qrels.items()}
        assert by_text == {icecat.queries[query].text: grades for query, grades in icecat.qrels.items()}, suite.name
        assert suite.max_grade == 3


# BEIR


@pytest.mark.parametrize("inside", ["", "scifact/"])
@pytest.mark.parametrize("packed", [True, False])
def test_beir_is_read_from_folders_and_archives(tmp_path, inside, packed):
    """Of one split; queries that it does not judge are left out and counted. The corpus is not read."""
    files = {inside + name: content for name, content in BEIR.items()}
    source = zip_of(files, tmp_path / "scifact.zip") if packed else folder_of(files, tmp_path / "scifact")
    suite, result = into(tmp_path, source, Origin.BEIR)
    assert {query.id: query.text for query in suite.queries.values()} == {"1": "red sofa", "2": "lamp"}
    assert suite.qrels == {"1": {"d1": 2, "d2": 0}, "2": {"d1": 1}}
    assert dropped(result) == {"queries without judgments": 1}
    assert "2 queries, 3 judgments with grades from 0 to 2" in result.lines()[0]


def test_another_split_can_be_named(tmp_path):
    """And one that is not there is told with those that are."""
    source = folder_of(BEIR, tmp_path / "scifact")
    assert set(into(tmp_path, source, Origin.BEIR, split="train")[0].queries) == {"3"}
    for split in ("dev", "../test"):
        with pytest.raises(UsageError, match=r"has no judgments for the split .*It has: test, train."):
            golden_import(source, Origin.BEIR, tmp_path / "other", split=split)


def test_what_is_left_out_of_a_messy_export_is_counted_with_examples(tmp_path):
    """Nothing is dropped silently, and what is left is a suite."""
    messy = {
        "queries.jsonl": BEIR["queries.jsonl"] + '{"_id": "1", "text": "again"}\n{"_id": "4", "text": " "}\n',
        "qrels/test.tsv": BEIR["qrels/test.tsv"] + "1\td1\t2\n1\td1\t1\n4\td1\t1\n9\td1\t1\n9\td2\t0\n",
    }
    suite, result = into(tmp_path, folder_of(messy, tmp_path / "messy"), Origin.BEIR)
    assert suite.qrels == {"1": {"d1": 2, "d2": 0}, "2": {"d1": 1}}
    assert dropped(result) == {
        "judgments that contradict an earlier one, which is kept": 1,
        "queries without judgments": 1,
        "queries whose id is there already": 1,
        "queries without text": 1,
        "judgments of a query that is not there": 3,
    }
    assert "Left out, judgments that contradict an earlier one, which is kept: 1 (line 6: query '1', document 'd1', 1 after 2)." in result.lines()


def test_an_archive_writes_nothing_but_the_suite(tmp_path):
    """Whatever names are in it."""
    evil = BEIR | {"../../evil.txt": "x", "/tmp/evil.txt": "x", "../queries.jsonl": "x"}
    into(tmp_path, zip_of(evil, tmp_path / "evil.zip"), Origin.BEIR)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.zip", "suite"]
    assert not list(tmp_path.parent.glob("evil.txt"))


def test_an_archive_that_unpacks_without_end_is_stopped(tmp_path, monkeypatch):
    """By the line and by the file: neither is ever in memory."""
    bomb = BEIR | {"queries.jsonl": "x" * (8 * MAX_LINE_BYTES)}
    with pytest.raises(UsageError, match="queries.jsonl, line 1 is longer than"):
        golden_import(zip_of(bomb, tmp_path / "line.zip"), Origin.BEIR, tmp_path / "suite")
    monkeypatch.setattr("scripts.golden.lines.MAX_FILE_BYTES", 1_000_000)
    with pytest.raises(UsageError, match=r"queries.jsonl is larger than the .* that queries or judgments can have"):
        endless = BEIR | {"queries.jsonl": '{"_id": "1", "text": "red sofa"}\n' * 50_000}
        golden_import(zip_of(endless, tmp_path / "file.zip"), Origin.BEIR, tmp_path / "suite")


def damaged(tmp_path: Path) -> Path:
    path = zip_of(BEIR, tmp_path / "damaged.zip", zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"red sofa", b"red soda"))
    return path


def locked(tmp_path: Path) -> Path:
    """Says of each file that it has a password."""
    path = zip_of(BEIR, tmp_path / "locked.zip")
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(mark, at + 4)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda folder: folder_of({"a.txt": "x"}, folder / "none"), "has no queries.jsonl. A data set of BEIR has"),
        (
            lambda folder: folder_of({"queries.jsonl": "", "qrels/test.tsv": "query-id\tcorpus-id\tscore\n"}, folder / "empty"),
            "has no query with a judgment.",
        ),
        (lambda folder: folder_of({f"{n}/queries.jsonl": "" for n in "ab"}, folder / "two"), "has several data sets: a, b."),
        (lambda folder: folder_of({"a.zip": "not one"}, folder) / "a.zip", "is neither a folder nor a ZIP archive: File is not a zip file"),
        (damaged, "cannot be read from its archive: Bad CRC-32"),
        (locked, "cannot be read from its archive: "),
    ],
)
def test_what_is_no_data_set_is_told(tmp_path, made, told):
    """In one line, and no suite is made."""
    source = made(tmp_path)
    with pytest.raises(UsageError) as error:
        golden_import(source, Origin.BEIR, tmp_path / "suite")
    assert told in str(error.value)
    assert not (tmp_path / "suite").exists()


# TREC


def test_classic_topics_are_read_as_trec_has_them(tmp_path):
    """Closing tags or none, prefixes, titles over several lines, entities, numbers with leading zeros that the judgments leave out."""
    topics = """
<top>
<head> Tipster Topic Description
<num> Number:  051
<dom> Domain:  International Economics
<title> Topic:  Airbus
  Subsidies
<desc> Description:
x
</top>
<TOP><num>52</num><title>R&amp;D of sofas</title></TOP>
<top>
<num> Number: 53
<title> nobody judged it
</top>
"""
    files = folder_of({"topics": topics, "qrels": "51 0 AP1 1\n51 0 AP2 -2\n52 Q0 AP3 2\n"}, tmp_path / "trec")
    suite, result = into(tmp_path, files / "topics", Origin.TREC, qrels=files / "qrels")
    assert {query.id: query.text for query in suite.queries.values()} == {"51": "Airbus Subsidies", "52": "R&D of sofas"}
    assert suite.qrels == {"51": {"AP1": 1, "AP2": -2}, "52": {"AP3": 2}}
    assert dropped(result) == {"queries without judgments": 1}


@pytest.mark.parametrize(
    ("topics", "qrels", "told"),
    [
        ("1 red sofa\n", "1 0 a 1\n", "topics, line 1: expected an id, a tab and the query, or topics in <top>"),
        ("<topics><topic number='1'><query>x</query></topic></topics>", "1 0 a 1\n", "has no topics in <top>. Write others, such as those in XML"),
        ("<top>\n<num> 1\n</top>\n<top>\n", "1 0 a 1\n", "topics, line 1: this topic has no <title>"),
        ("<top>\n<title> 1\n</top>\n", "1 0 a 1\n", "topics, line 1: this topic has no <num>"),
        ("1\tx\n", "1 0 a 1\n1 0 b high\n", "qrels, line 2: the grade 'high' is not a whole number"),
        ("1\tx\n", "2 0 a 1\n", "has no query with a judgment. Left out: queries without judgments: 1, first line 1: '1'; judgments of a query"),
        ("", "1 0 a 1\n", "has no query with a judgment"),
    ],
)
def test_faulty_topics_are_told(tmp_path, topics, qrels, told):
    """With file and line."""
    files = folder_of({"topics": topics, "qrels": qrels}, tmp_path / "trec")
    with pytest.raises(UsageError) as error:
        golden_import(files / "topics", Origin.TREC, tmp_path / "suite", qrels=files / "qrels")
    assert told in str(error.value)


def test_trec_needs_its_second_file(tmp_path):
    """Told with the option that names it."""
    with pytest.raises(UsageError, match="Name the second with --qrels"):
        golden_import(tmp_path, Origin.TREC, tmp_path / "suite")


# Quepid


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("case_basic.csv", "query,docid,rating\nred sofa,l_1,3\nred sofa,l_2,0\n =lamp,l_1,1.0\nunrated,,\nhalf,l_3,"),
        ("case_general.csv", "query,doc_id,rating\r\nred sofa,l_1,3\r\nred sofa,l_2,0\r\n =lamp,l_1,1\r\nunrated,,\r\nhalf,l_3,\r\n"),
        (
            "rre.json",
            '{"queries": [{"placeholders": {"$query": "red sofa"}, "relevant_documents": {"l_1": {"gain": 3}, "l_2": {"gain": 0}}},'
            '{"placeholders": {"$query": "=lamp"}, "relevant_documents": {"l_1": {"gain": 1}}},'
            '{"placeholders": {"$query": "unrated"}}, {"placeholders": {"$query": "half"}, "relevant_documents": {"l_3": {"gain": null}}}]}',
        ),
        (
            "rre_before_2024.json",
            '{"queries": [{"placeholders": {"$query": "red sofa"}, "relevant_documents": {"0.0": ["l_2"], "3.0": ["l_1"]}},'
            '{"placeholders": {"$query": "=lamp"}, "relevant_documents": {"1.0": ["l_1"]}},'
            '{"placeholders": {"$query": "unrated"}, "relevant_documents": {}},'
            '{"placeholders": {"$query": "half"}, "relevant_documents": {"": ["l_3"]}}]}',
        ),
        (
            "plain.json",
            '{"queries": [{"query": "red sofa", "ratings": {"l_1": 3.0, "l_2": 0}}, {"query": "=lamp", "ratings": {"l_1": "1"}},'
            '{"query": "unrated", "ratings": {}}, {"query": "half", "ratings": {"l_3": null}}]}',
        ),
    ],
)
def test_every_export_of_quepid_says_the_same(tmp_path, name, content):
    """What nobody has rated is left out and counted; the space that keeps spreadsheets from running a text is taken off."""
    suite, result = into(tmp_path, folder_of({name: content}, tmp_path / "exports") / name, Origin.QUEPID)
    assert {suite.queries[query].text: grades for query, grades in suite.qrels.items()} == {"red sofa": {"l_1": 3, "l_2": 0}, "=lamp": {"l_1": 1}}
    assert dropped(result) == {"rows without a rating": 2}
    assert list(suite.queries) == ["q1", "q2"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("book.csv", "query,docid,Anna,Ben\nx,1,2,3\n", "line 1: expected the columns query, docid and rating; there are: query, docid, anna, ben."),
        ("case.csv", "query,docid,rating\nx,1,2\nx,2,2.5\n", "case.csv, line 3: the grade '2.5' is not a whole number"),
        ("trec.txt", "12 0 doc 3\n", "trec.txt, line 1: expected `rating qid:… # document query`. Of Quepid's text exports only LTR"),
        ("case.json", "[1]", "is no export of Quepid's: expected `queries`"),
        ("case.json", '{"queries": [{"text": "x"}]}', "is no export of Quepid's: expected `queries`"),
        ("case.json", '{"queries": [{"query": 7, "ratings": {"1": 1}}]}', "is no export of Quepid's: expected `queries`"),
        ("case.json", '{"queries": [{"query": "x", "ratings": {"1": {"gain": [1]}}}]}', "case.json, query 1: the grade '[1]' is not a whole number"),
        ("case.json", '{"queries": [{"query": "\\ud800", "ratings": {"1": 1}}]}', "is not JSON: "),
        ("case.json", '{"queries": [', "is not JSON: "),
        ("case.json", "[" * 200_000, "is not JSON: "),
        ("case.csv", "query,docid,rating\nx,,\n", "has no query with a judgment. Left out: rows without a rating: 1, first line 2: 'x'."),
    ],
)
def test_faulty_exports_are_told(tmp_path, name, content, told):
    """With file and place; no suite is made."""
    with pytest.raises(KitError) as error:
        golden_import(folder_of({name: content}, tmp_path / "exports") / name, Origin.QUEPID, tmp_path / "suite")
    assert told in str(error.value)
    assert not (tmp_path / "suite").exists()
