"""What `golden check` finds, without a collection to look into."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from scripts import golden
from scripts.golden import checking
from scripts.golden.checking import Severity
from scripts.golden.query import normalised
from scripts.layout import FieldType
from scripts.quality.statistics import MIN_QUERIES
from tests.golden.suites import opened, write

# Where `with_line` adds to the queries of `good`: after its header and its queries.
ADDED = f"queries.csv, line {MIN_QUERIES + 2}"


def good(count: int = MIN_QUERIES) -> dict[str, str]:
    """A suite with nothing wrong, of so many queries."""
    return {
        "queries__csv": "query_id,query,slice\n" + "".join(f"q{n},sofa number {n},all\n" for n in range(count)),
        "judgments__csv": "query_id,key,grade\n" + "".join(f"q{n},{n},2\n" for n in range(count)),
    }


def findings(folder) -> list[tuple[str, str, str, str]]:
    return [(found.kind, found.severity.value, found.place, found.what) for found in checking.check(*opened(folder))]


def with_line(files: dict[str, str], name: str, *lines: str) -> dict[str, str]:
    return files | {name: files[name] + "".join(f"{line}\n" for line in lines)}


def test_a_sound_suite_has_no_findings(tmp_path, shared_data):
    """And the real ones have warnings alone."""
    assert findings(write(tmp_path / "good", **good())) == []
    for name in ("icecat", "movies"):
        data = shared_data / name
        described = f"measures: [nDCG@10]\nqueries: {data / 'queries.csv'}\njudgments: {data / 'judgments.csv'}\n"
        folder = write(tmp_path / name, yaml=described, queries__csv="", judgments__csv="")
        assert {severity for _, severity, _, _ in findings(folder)} <= {"warning"}


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [
        ("queries", "x,Sofa  NUMBER 3,", ("duplicate_query", "warning", ADDED, "query 'x' asks the same as 'q3' in line 5")),
        ("queries", "x,ｓｏｆａ number ³,", ("duplicate_query", "warning", ADDED, "query 'x' asks the same as 'q3' in line 5")),
        ("queries", "x,?!#,", ("no_words", "warning", ADDED, "query 'x' has no letter and no digit: '?!#'")),
        ("queries", "x,🛋️,", ("no_words", "warning", ADDED, "query 'x' has no letter and no digit: '🛋️'")),
        ("queries", f"x,{'so ' * 1000},", ("long_text", "warning", ADDED, "query 'x' has 3,000 characters; a model reads the beginning")),
        ("queries", "x,lamp,", ("unjudged_query", "warning", ADDED, "query 'x' has no judgments: `golden add \"lamp\"` asks for some")),
        ("judgments", "q3,77,4", ("grade_out_of_range", "error", "judgments.csv, query 'q3'", "document '77' has the grade 4, above max_grade 3")),
        (
            "judgments",
            "q3,77,-1",
            ("grade_out_of_range", "warning", "judgments.csv, query 'q3'", "document '77' has the grade -1, which counts as not relevant"),
        ),
    ],
)
def test_each_fault_is_found_with_its_place(tmp_path, file, line, expected):
    """Kind, severity, file and line or query, and what it is."""
    assert expected in findings(write(tmp_path, **with_line(good(), f"{file}__csv", line)))


@pytest.mark.parametrize("text", ["ソファ", "диван", "أريكة", "소파", "सोफ़ा", "4711"])
def test_words_of_any_language_are_words(tmp_path, text):
    """And so is a number."""
    assert "no_words" not in {kind for kind, *_ in findings(write(tmp_path, **with_line(good(), "queries__csv", f"x,{text},")))}


def test_duplicates_whose_grades_contradict_are_an_error(tmp_path):
    """One of the two judgments is wrong, and half of the measure with it."""
    files = with_line(with_line(good(), "queries__csv", "x,SOFA number 3,"), "judgments__csv", "x,3,1", "x,9,1")
    (found,) = findings(write(tmp_path, **files))
    assert found[:2] == ("duplicate_query", "error")
    assert found[3] == "query 'x' asks the same as 'q3' in line 5, and document '3' has the grade 1 here, 2 there"


def test_a_query_with_nothing_relevant_is_told(tmp_path):
    """It is not measured, which nobody sees in a mean."""
    files = with_line(with_line(good(), "queries__csv", "x,lamp,"), "judgments__csv", "x,3,0")
    assert [(kind, what) for kind, _, _, what in findings(write(tmp_path, **files))] == [
        ("no_relevant_document", "query 'x' has no relevant document, so it is not measured")
    ]


def test_too_few_queries_are_told(tmp_path):
    """Of the whole suite and of a slice: comparisons by fewer say nothing."""
    told = [(kind, what) for kind, _, _, what in findings(write(tmp_path / "small", **good(MIN_QUERIES - 1)))]
    need = f"with a relevant document: comparisons with production need {MIN_QUERIES}"
    assert told == [("small_suite", f"{MIN_QUERIES - 1} queries {need}"), ("small_slice", f"slice 'all' has {MIN_QUERIES - 1} queries {need}")]
    files = good(MIN_QUERIES)
    files["queries__csv"] = files["queries__csv"].replace("sofa number 0,all", "sofa number 0,all;brand")
    assert [what for *_, what in findings(write(tmp_path / "slice", **files))] == [f"slice 'brand' has 1 query {need}"]


def test_nothing_to_measure_is_an_error(tmp_path):
    """All grades zero: no verdict can rest on it."""
    files = good()
    files["judgments__csv"] = files["judgments__csv"].replace(",2\n", ",0\n")
    expected = ("small_suite", "error", "judgments.csv", "no query has a relevant document: nothing can be measured")
    assert expected in findings(write(tmp_path, **files))


@dataclass
class Holding:
    """A collection as far as this looks into it."""

    keys: set

    def existing(self, keys):
        return self.keys & set(keys)


@pytest.mark.parametrize(
    ("key_type", "keys", "missing"),
    [
        (FieldType.STRING, {"1", "007", "gone"}, {"2": "q1", "x": "q2", "9" * 30: "q2"}),
        (FieldType.INT64, {1, 2, 7}, {"007": "q1", "gone": "q1", "x": "q2", "9" * 30: "q2"}),
    ],
)
def test_relevant_documents_that_are_gone_are_named_with_a_query(tmp_path, key_type, keys, missing):
    """By the key that a search would show: 007 is no whole number's. What nobody finds relevant may be gone."""
    judgments = "q1,1,1\nq1,2,3\nq1,007,1\nq1,gone,1\nq1,irrelevant,0\nq1,spam,-2\nq2,x,1\n" + f"q2,{'9' * 30},1\n"
    suite = golden.load(write(tmp_path, queries__csv="id,text\nq1,a\nq2,b\n", judgments__csv="query_id,key,grade\n" + judgments))
    assert checking.missing_documents(suite, key_type, Holding(keys)) == missing


@pytest.mark.parametrize(("allowed", "severity"), [(0.5, Severity.ERROR), (1, Severity.WARNING)])
def test_missing_documents_are_errors_unless_the_suite_allows_them(tmp_path, allowed, severity):
    """As in validation."""
    suite, files = opened(write(tmp_path, yaml=f"measures: [nDCG@10]\ngates: [{{gate: judgments, at_most: {allowed}}}]\n"))
    (found,) = checking.missing(suite, files, {"1": "q1"}, "products_v1_00000000")
    assert (found.severity, str(found)) == (severity, f"{severity}: judgments.csv, query 'q1': document '1' is not in products_v1_00000000")


@pytest.mark.parametrize(("one", "other"), [("Straße", "STRASSE"), ("ﬁne  art", " fine ART "), ("café", "cafe\u0301"), ("İ", "i̇")])
def test_texts_that_a_person_would_call_the_same_are_the_same(one, other):
    """Case, spaces and Unicode forms do not make another query; an accent does."""
    assert normalised(one) == normalised(other)
    assert normalised("cafe") != normalised("café")


def test_places_name_the_files_that_the_suite_has(tmp_path):
    """Not those that it might have."""
    folder = write(tmp_path, queries__jsonl='\n{"id": "q", "text": "?"}\n', qrels__txt="q 0 a 9\n")
    assert [str(found).partition(": query")[0].partition(": doc")[0] for found in checking.check(*opened(folder))][:2] == [
        "warning: queries.jsonl, line 2",
        "error: qrels.txt, query 'q'",
    ]
