"""Golden suites and measures."""

import pytest

from scripts import golden
from scripts.errors import UsageError
from scripts.golden import Suite

QRELS = {"q1": {"a": 3, "b": 2, "c": 1, "x": 0}, "q2": {"a": 1}, "unanswerable": {"x": 0}}


def suite(**changes) -> Suite:
    parts = {"name": "s", "queries": dict.fromkeys(QRELS, "text"), "qrels": QRELS, "measures": ("nDCG@10", "R@100", "RR@10"), "gates": ()}
    return Suite(**(parts | changes))


def ranking(*docs):
    return {doc: -float(rank) for rank, doc in enumerate(docs)}


def write(folder, yaml="measures: [nDCG@10]\n", queries="query_id,query\nq1,red sofa\n", judgments="query_id,product_id,grade\nq1,1,3\n"):
    (folder / "suite.yaml").write_text(yaml)
    (folder / "queries.csv").write_text(queries)
    (folder / "judgments.csv").write_text(judgments)
    return folder


def test_the_ideal_ranking_scores_one():
    """By every measure."""
    measured = golden.measure(suite(), {"q1": ranking("a", "b", "c"), "q2": ranking("a")})
    assert measured.means == {"nDCG@10": 1.0, "R@100": 1.0, "RR@10": 1.0}


def test_a_reversed_ranking_scores_less():
    """An nDCG that does not see the order is no nDCG. DCG by Järvelin and Kekäläinen with linear gains, as trec_eval has it."""
    measured = golden.measure(suite(), {"q1": ranking("c", "b", "a"), "q2": ranking("a")})
    reversed_dcg = 1 / 1 + 2 / 1.584963 + 3 / 2
    ideal_dcg = 3 / 1 + 2 / 1.584963 + 1 / 2
    assert measured.by_query["nDCG@10"]["q1"] == pytest.approx(reversed_dcg / ideal_dcg, abs=1e-6)
    assert measured.by_query["R@100"]["q1"] == 1.0


def test_a_query_without_results_scores_zero():
    """It is not left out of the mean."""
    measured = golden.measure(suite(), {"q1": ranking("a", "b", "c")})
    assert measured.by_query["RR@10"]["q2"] == 0.0
    assert measured.means["RR@10"] == 0.5
    assert golden.measure(suite(), {}).means == {"nDCG@10": 0.0, "R@100": 0.0, "RR@10": 0.0}


def test_a_query_without_relevant_documents_is_not_judged():
    """Nothing could score on it, so it neither helps nor harms."""
    assert set(suite().judged) == {"q1", "q2"}


def test_no_judged_query_has_no_means():
    """Neither zero nor one: there is no figure."""
    assert golden.measure(suite(qrels={"q1": {"x": 0}}), {}).means == {}


def test_depth_is_that_of_the_deepest_measure():
    """R@100 needs a hundred hits; a measure without cutoff as many as TREC runs have."""
    assert suite().depth == 100
    assert suite(measures=("nDCG@10", "AP")).depth == golden.UNCUT_DEPTH


def test_the_digest_changes_with_every_part():
    """A suite edited between validation and promotion is another suite."""
    other = [suite(queries=dict.fromkeys(QRELS, "other")), suite(qrels={"q1": {"a": 2}}), suite(measures=("nDCG@10",))]
    assert len({s.digest for s in [suite(), *other]}) == 4


def test_a_suite_is_read_from_its_folder(tmp_path):
    """Whatever the document column is called."""
    read = golden.load(write(tmp_path, yaml="measures: [nDCG@10, R@100]\ngates: [{measure: nDCG@10, at_least: 0.5}]\n"))
    assert read.measures == ("nDCG@10", "R@100")
    assert read.qrels == {"q1": {"1": 3}}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"yaml": "measures: [nDGC@10]\n"}, "Did you mean nDCG@10"),
        ({"yaml": "measures: [ndcg@10]\n"}, "Did you mean nDCG@10"),
        ({"yaml": "measures: []\n"}, "measures"),
        ({"yaml": "measure: [nDCG@10]\n"}, "measure"),
        ({"yaml": "measures: [nDCG@10]\ngates: [{measure: R@100, at_least: 1}]\n"}, "R@100, which is not among the measures"),
        ({"yaml": "measures: [nDCG@10]\ngates: [{measure: nDCG@10}]\n"}, "exactly one"),
        ({"yaml": "measures: ["}, "cannot be read"),
        ({"queries": "id,text\n1,x\n"}, "query_id"),
        ({"queries": "query_id,query\nq1, \n"}, "has no text"),
        ({"queries": "query_id,query\nq1,a\nq1,b\n"}, "twice"),
        ({"judgments": "query_id,product_id,grade\nq1,1,good\n"}, "line 2: the grade 'good'"),
        ({"judgments": "query_id,product_id,grade\nq1,1\n"}, "line 2"),
        ({"judgments": "query_id,grade\nq1,1\n"}, "three columns"),
        ({"judgments": "query_id,product_id,grade\nq1,1,1\nq01,1,1\n"}, "query 'q01' is not in queries.csv"),
    ],
)
def test_a_faulty_suite_is_told_with_file_and_place(tmp_path, files, told):
    """One line says what is wrong and where."""
    with pytest.raises(UsageError) as error:
        golden.load(write(tmp_path, **files))
    assert told in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_missing_suite_is_told(tmp_path):
    """With what to do about it."""
    with pytest.raises(UsageError, match="There is no golden suite"):
        golden.load(tmp_path)
