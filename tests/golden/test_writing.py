"""Writing to suites: by appending, in the format that is there, whole or not at all."""

from __future__ import annotations

import json
import os

import pytest

from scripts import golden
from scripts.errors import Refused, UsageError
from scripts.golden import Query
from scripts.golden.imports import Imported
from scripts.golden.writing import Appending, write_suite
from tests.golden.suites import opened, write

NEW = Query("q2", 'a "soft", sofa')


def appended(folder, query=NEW, *, new=True, **grades) -> golden.Suite:
    book = Appending(opened(folder)[1], query, new=new)
    for document, grade in grades.items():
        book.judge(document, grade)
    return golden.load(folder)


@pytest.mark.parametrize(
    ("files", "queries", "judgments"),
    [
        ({"queries__csv": "query_id,query\nq1,red sofa\n"}, 'q2,"a ""soft"", sofa"\n', "q2,d1,3\nq2,d2,0\n"),
        ({"queries__csv": "id,note,text\r\nq1,,red sofa\r\n"}, 'q2,,"a ""soft"", sofa"\r\n', "q2,d1,3\nq2,d2,0\n"),
        ({"queries__csv": '"query_id","query"\n"q1","red sofa"'}, '\n"q2","a ""soft"", sofa"\n', "q2,d1,3\nq2,d2,0\n"),
        ({"queries__tsv": "text\tid\nred sofa\tq1\n"}, 'a "soft", sofa\tq2\n', "q2,d1,3\nq2,d2,0\n"),
        ({"queries__jsonl": '{"_id": "q1", "text": "red sofa"}\n'}, '{"_id": "q2", "text": "a \\"soft\\", sofa"}\n', "q2,d1,3\nq2,d2,0\n"),
        ({"judgments__csv": "\ufeffgrade,sku,query_id\r\n3,1,q1\r\n"}, 'q2,"a ""soft"", sofa"\n', "3,d1,q2\r\n0,d2,q2\r\n"),
        ({"qrels__txt": "q1 0 1 3"}, 'q2,"a ""soft"", sofa"\n', "\nq2 0 d1 3\nq2 0 d2 0\n"),
        ({"qrels__tsv": "q1\t0\t1\t3\n"}, 'q2,"a ""soft"", sofa"\n', "q2\t0\td1\t3\nq2\t0\td2\t0\n"),
        ({"qrels___test__tsv": "query-id\tcorpus-id\tscore\nq1\t1\t3\n"}, 'q2,"a ""soft"", sofa"\n', "q2\td1\t3\nq2\td2\t0\n"),
    ],
)
def test_each_format_is_appended_to_as_it_is(tmp_path, files, queries, judgments):
    """Nothing before is touched, so the difference is what was added; and it is read back as it was meant."""
    folder = write(tmp_path, **files)
    _, there = opened(folder)
    before = there.queries.read_bytes(), there.judgments.read_bytes()
    read = appended(folder, d1=3, d2=0)
    assert there.queries.read_bytes() == before[0] + queries.encode()
    assert there.judgments.read_bytes() == before[1] + judgments.encode()
    assert read.queries["q2"] == NEW
    assert read.qrels == {"q1": {"1": 3}, "q2": {"d1": 3, "d2": 0}}


@pytest.mark.parametrize("files", [{"queries__csv": "id,text,slice\nq1,red sofa,\n"}, {"queries__jsonl": '{"id": "q1", "text": "red sofa"}\n'}])
def test_slices_are_kept_with_a_new_query(tmp_path, files):
    """Where the file has room for them."""
    assert appended(write(tmp_path, **files), Query("q2", "lamp", ("brand", "short")), a=1).queries["q2"].slices == ("brand", "short")
    folder = write(tmp_path / "without", queries__csv="id,text\nq1,red sofa\n")
    with pytest.raises(UsageError, match="queries.csv has no column for slices. Add a column `slice` to it first."):
        Appending(opened(folder)[1], Query("q2", "lamp", ("brand",)), new=True)


def test_a_query_without_grades_is_not_written(tmp_path):
    """Who looks and grades nothing leaves the suite as it was."""
    folder = write(tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    appended(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("files", "query", "document", "told"),
    [
        ({"qrels__txt": "q1 0 1 3\n"}, Query("q 2", "lamp"), "a", "'q 2' cannot be written into TREC qrels"),
        ({"qrels__txt": "q1 0 1 3\n"}, Query("q2", "lamp"), "a b", "'a b' cannot be written into TREC qrels"),
        ({}, Query("q" * 257, "lamp"), "a", "the query's id 'qqq"),
        ({"queries__csv": "id,text,slice\nq1,a,\n"}, Query("q2", "lamp", ("s" * 101,)), "a", "has 101 characters, more than 100"),
        ({"queries__tsv": "id\ttext\nq1\tred sofa\n"}, Query("q2", "tall\tlamp"), "a", "'tall\\tlamp' cannot be written between tabs"),
        ({"judgments__tsv": "query_id\tkey\tgrade\nq1\t1\t3\n"}, Query("q2", "lamp"), "a\tb", "'a\\tb' cannot be written between tabs"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path, files, query, document, told):
    """Before anything is written: an appended line that reads as another would spoil the whole file."""
    folder = write(tmp_path, **files)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError) as error:
        appended(folder, query, **{document: 1})
    assert told in str(error.value)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_what_others_add_meanwhile_stays(tmp_path):
    """Two people can grade at the same time."""
    folder = write(tmp_path)
    book = Appending(opened(folder)[1], NEW, new=True)
    book.judge("a", 1)
    appended(folder, Query("q3", "lamp"), b=2)
    book.judge("c", 0)
    assert golden.load(folder).qrels == {"q1": {"1": 3}, "q2": {"a": 1, "c": 0}, "q3": {"b": 2}}


def test_links_and_permissions_stay(tmp_path):
    """The suite may be a link into another checkout."""
    folder, elsewhere = write(tmp_path / "suite"), tmp_path / "kept.csv"
    (folder / "judgments.csv").rename(elsewhere)
    elsewhere.chmod(0o640)
    (folder / "judgments.csv").symlink_to(elsewhere)
    appended(folder, a=1)
    assert (folder / "judgments.csv").is_symlink()
    assert elsewhere.read_text().endswith("q2,a,1\n")
    assert elsewhere.stat().st_mode & 0o777 == 0o640


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    """And nothing beside it."""
    folder = write(tmp_path)
    book = Appending(opened(folder)[1], Query("q1", "red sofa"), new=False)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="judgments.csv cannot be written: No space left on device"):
        book.judge("a", 1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def imported(**changes) -> Imported:
    parts = {"source": "a\nb.zip (BEIR)", "queries": {"q": Query("q", "text")}, "qrels": {"q": {"d": 2}}, "dropped": {}}
    return Imported(**(parts | changes))


def test_a_new_suite_is_read_back_as_it_was_imported(tmp_path):
    """Also texts that are hard on CSV; with measures and gates that load."""
    texts = ["a,b", 'say "so"', "line\nbreak", "carriage\rreturn", " spaces ", "=1+1", "ソファ", "\ttab"]
    queries = {str(number): Query(str(number), text) for number, text in enumerate(texts)}
    write_suite(tmp_path / "new" / "suite", imported(queries=queries, qrels={id: {"d,1": 4, "d\r2": 0} for id in queries}))
    read = golden.load(tmp_path / "new" / "suite")
    assert (read.queries, read.qrels) == (queries, {id: {"d,1": 4, "d\r2": 0} for id in queries})
    assert (read.max_grade, [gate.gate for gate in read.gates]) == (4, ["floor", "max_loss", "judged"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["suite"]


def test_an_existing_suite_is_not_written_over(tmp_path):
    """There may be a person's work in it; an empty folder has none."""
    folder = write(tmp_path / "suite")
    before = (folder / "queries.csv").read_bytes()
    with pytest.raises(Refused, match="suite exists already"):
        write_suite(folder, imported())
    assert (folder / "queries.csv").read_bytes() == before
    (tmp_path / "empty").mkdir()
    write_suite(tmp_path / "empty", imported())
    assert golden.load(tmp_path / "empty").qrels == {"q": {"d": 2}}


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    """In one line, with nothing left behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file/suite cannot be written: Not a directory"):
        write_suite(tmp_path / "file" / "suite", imported())
    assert json.dumps([path.name for path in tmp_path.iterdir()]) == '["file"]'
