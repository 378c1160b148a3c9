"""Golden suites: what a folder says, and what is told of one that says nonsense."""

from __future__ import annotations

import pytest

from scripts import golden
from scripts.errors import UsageError
from scripts.golden import Query, Suite
from scripts.golden.description import UNCUT_DEPTH
from scripts.quality.gates.measured import Floor
from tests.golden.suites import write

QRELS = {"q1": {"a": 3, "b": 2, "c": 1, "x": 0}, "q2": {"a": 1}, "unanswerable": {"x": 0}, "spam": {"y": -2}}


def suite(**changes) -> Suite:
    queries = {id: Query(id, "text") for id in QRELS}
    parts = {"name": "s", "queries": queries, "qrels": QRELS, "measures": ("nDCG@10", "R@100", "RR@10"), "gates": ()}
    return Suite(**(parts | changes))


def gates(text: str) -> str:
    return f"measures: [nDCG@10]\ngates: [{{{text}}}]\n"


def test_a_query_without_relevant_documents_is_not_judged():
    """Nothing could score on it, so it neither helps nor harms; a negative grade, as TREC gives to spam, is not relevant either."""
    assert set(suite().judged) == {"q1", "q2"}


def test_depth_is_that_of_the_deepest_measure():
    """R@100 needs a hundred hits; a measure without cutoff as many as TREC runs have."""
    assert suite().depth == 100
    assert suite(measures=("nDCG@10", "AP")).depth == UNCUT_DEPTH


def test_the_digest_changes_with_every_part():
    """A suite edited between validation and promotion is another suite. Where a query stands in its file is no part of it."""
    one = suite().queries
    other = [
        suite(queries=one | {"q1": Query("q1", "other")}),
        suite(queries=one | {"q1": Query("q1", "text", weight=2.0)}),
        suite(queries=one | {"q1": Query("q1", "text", slices=("brand",))}),
        suite(qrels={"q1": {"a": 2}}),
        suite(measures=("nDCG@10",)),
        suite(gates=(Floor(measure="nDCG@10", at_least=0.5),)),
    ]
    assert len({s.digest for s in [suite(), *other]}) == 1 + len(other)
    assert suite(queries=one | {"q1": Query("q1", "text", line=7)}).digest == suite().digest


def test_slices_count_judged_queries_alone(tmp_path):
    """In the order in which they first appear, and also where nobody has judged one of their queries."""
    queries = "id,text,slice,weight\nq1,red sofa,colour; short,2\nq2,cheap red sofa,colour,\nq3,blue,one word,\n"
    read = golden.load(write(tmp_path, queries__csv=queries, judgments__csv="query_id,key,grade\nq1,1,3\nq2,1,0\n"))
    assert read.slices == {"colour": {"q1"}, "short": {"q1"}, "one word": frozenset()}
    assert list(read.slices) == ["colour", "short", "one word"]
    assert [query.weight for query in read.queries.values()] == [2.0, 1.0, 1.0]


def test_a_suite_is_read_from_its_folder(tmp_path):
    """Whatever the document column is called; measures under their standard names; gates of every kind."""
    described = "measures: [nDCG@10, R@100]\ngates: [{gate: floor, measure: nDCG@10, at_least: 0.5}, {gate: latency, at_most_ms: 50}]\n"
    read = golden.load(write(tmp_path, yaml=described))
    assert read.measures == ("nDCG@10", "R@100")
    assert read.qrels == {"q1": {"1": 3}}
    assert [str(gate) for gate in read.gates] == ["nDCG@10 >= 0.5", "p95 latency <= 50 ms"]


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        ("measures: [nDGC@10]\n", "Did you mean nDCG@10"),
        ("measures: [ndcg@10]\n", "Did you mean nDCG@10"),
        ("measures: [nDCG@0]\n", "'nDCG@0' is not a measure that can be computed"),
        ("measures: [ERR@20]\n", "'ERR@20' is not a measure that can be computed"),
        ("measures: [P]\n", "'P' is not a measure that can be computed"),
        ("measures: [R@20000]\n", "more hits than the 16,384"),
        ("measures: []\n", "measures: "),
        ("measure: [nDCG@10]\n", "Did you mean measures?"),
        ("measures: [", "cannot be read"),
        ("[" * 5000, "cannot be read"),
        ("just words", "the file: "),
        ("measures: [nDCG@10]\nmax_grade: 0\n", "max_grade"),
        (gates("gate: flor, measure: nDCG@10, at_least: 1"), "there is no gate 'flor'; did you mean floor?"),
        (gates("gate: max-loss, measure: nDCG@10, at_most: 1"), "did you mean max_loss?"),
        (gates("gate: xyz"), "there is no gate 'xyz'; kinds: floor, "),
        (gates("measure: nDCG@10, at_least: 1"), "a gate is a mapping with a kind"),
        (gates("gate: floor, measure: R@100, at_least: 1"), "asks for R@100, which is not among the measures (nDCG@10). Add it to them."),
        (gates("gate: floor, measure: nDCG@10, at_most: 1"), "gates.0.floor"),
        ("measures: [nDCG@10]\n" + "measures: [RR@10]\n", "line 2: 'measures' is there twice, first in line 1. Leave one of them."),
        (gates("gate: floor, measure: nDCG@10, at_least: 1") + "gates: []\n", "line 3: 'gates' is there twice, first in line 2"),
        (gates("gate: floor, measure: nDCG@10, at_least: 0.9, at_least: 0.1"), "line 2: 'at_least' is there twice, first in line 2"),
        (f"measures: [{', '.join(f'P@{k}' for k in range(1, 42))}]\n", "measures: Tuple should have at most 40 items"),
        (gates("gate: floor, measure: nDCG@10, at_least: 0"), "gates.0.floor.at_least: a floor of 0 says nothing"),
        (gates("gate: query_floor, measure: nDCG@10, at_least: -1"), "gates.0.query_floor.at_least: a floor of -1 says nothing"),
        (gates("gate: floor, measure: nDCG@10, at_least: .nan"), "gates.0.floor.at_least"),
        (gates("gate: floor, measure: nDCG@10, at_least: 1, slice: colour"), "for the slice 'colour', which no query is in"),
    ],
)
def test_a_faulty_description_is_told_with_file_and_field(tmp_path, yaml, told):
    """One line says what is wrong and where; of a misspelled name the nearest."""
    with pytest.raises(UsageError) as error:
        golden.load(write(tmp_path, yaml=yaml))
    assert told in str(error.value)
    assert str(tmp_path / "suite.yaml") in str(error.value)


@pytest.mark.parametrize("measure", ["Judged@10", "NumQ", "NumRet", "NumRel", "NumRelRet", "Bpref", "P(judged_only=True)@10", "nDCG(judged_only=True)@10"])
@pytest.mark.parametrize("gate", ["gate: floor, at_least: 0.1", "gate: query_floor, at_least: 0.1", "gate: max_loss, at_most: 0.1"])
def test_what_says_nothing_of_what_is_found_is_measured_and_decides_nothing(tmp_path, measure, gate):
    """How many hits there are, and how much of them was judged, is as good for a pair that finds nothing of use."""
    assert len(golden.load(write(tmp_path, yaml=f'measures: ["{measure}"]\n')).measures) == 1
    kind = gate.split(",")[0].removeprefix("gate: ")
    with pytest.raises(UsageError, match=rf"suite\.yaml: the gate {kind} is on .*, which says nothing of whether what is found is good\. Measure it"):
        golden.load(write(tmp_path, yaml=f'measures: ["{measure}"]\ngates: [{{{gate}, measure: "{measure}"}}]\n'))


def test_a_measure_that_counts_what_nobody_judged_decides(tmp_path):
    """As the default is, also where the suite says so."""
    described = 'measures: [P@5]\ngates: [{gate: floor, at_least: 0.1, measure: "P(judged_only=False)@5"}]\n'
    assert [gate.measure for gate in golden.load(write(tmp_path, yaml=described)).gates] == ["P@5"]


def test_a_missing_suite_is_told(tmp_path):
    """With what to do about it."""
    with pytest.raises(UsageError, match="There is no golden suite"):
        golden.load(tmp_path)


@pytest.mark.parametrize("field", ["queries", "judgments"])
@pytest.mark.parametrize("name", [r"a\0b", r"\ud800", "x" * 5_000])
def test_a_name_that_no_file_can_have_is_told(tmp_path, field, name):
    """A zero byte, half a character, or more than a name may be long: one line, not a traceback."""
    with pytest.raises(UsageError, match=r"cannot be read"):
        golden.load(write(tmp_path, yaml=f'measures: [nDCG@10]\n{field}: "{name}"\n'))


def test_missing_and_ambiguous_files_are_told(tmp_path):
    """Nobody guesses which of two is meant."""
    write(tmp_path).joinpath("queries.tsv").write_text("id\ttext\n")
    with pytest.raises(UsageError, match=r"has both queries.csv and queries.tsv. Name one in suite.yaml under `queries:`."):
        golden.load(tmp_path)
    for name in ("queries.csv", "queries.tsv"):
        (tmp_path / name).unlink()
    with pytest.raises(UsageError, match="There are no queries in .*: expected queries.csv or queries.tsv or queries.jsonl"):
        golden.load(tmp_path)
    write(tmp_path, yaml="measures: [nDCG@10]\njudgments: gone.csv\n")
    with pytest.raises(UsageError, match="gone.csv cannot be read: No such file or directory"):
        golden.load(tmp_path)


def test_an_empty_suite_is_refused(tmp_path):
    """Nothing was asked, so nothing can be answered; `golden add` can still add to it."""
    folder = write(tmp_path, queries__csv="query_id,query\n", judgments__csv="query_id,key,grade\n")
    with pytest.raises(UsageError, match="queries.csv has no queries. Add one with `golden add"):
        golden.load(folder)
    assert golden.read(folder).queries == {}


def test_a_suite_whose_grades_are_all_zero_loads(tmp_path):
    """It has no judged query: validation says so, and never passes by it."""
    assert golden.load(write(tmp_path, judgments__csv="query_id,key,grade\nq1,1,0\nq1,2,0\n")).judged == {}


@pytest.mark.parametrize("text", ["x" * 10_000, "?!#", "🛋️🛋️", "ソファ 赤", '"sofa', "a;b|c'd\\e"])
def test_strange_queries_load_as_they_are(tmp_path, text):
    """10,000 characters, no language, other scripts, marks that mean something to some format."""
    quoted = text.replace('"', '""')
    assert golden.load(write(tmp_path, queries__csv=f'query_id,query\nq1,"{quoted}"\n')).queries["q1"].text == text
