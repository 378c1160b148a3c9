"""The measures of a run, by themselves and against trec_eval."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import ir_measures
import numpy as np
import pyarrow.parquet
import pytest
import pytrec_eval
from sklearn.feature_extraction.text import TfidfVectorizer

from scripts import golden
from scripts.golden import Query, Suite
from scripts.quality.measures import Measured, measure

QRELS = {"q1": {"a": 3, "b": 2, "c": 1, "x": 0}, "q2": {"a": 1}, "unanswerable": {"x": 0}}
TREC_NAMES = {
    "nDCG@10": "ndcg_cut_10",
    "nDCG": "ndcg",
    "R@100": "recall_100",
    "P@5": "P_5",
    "AP": "map",
    "AP@100": "map_cut_100",
    "RR": "recip_rank",
    "Success@10": "success_10",
    "Rprec": "Rprec",
}


def suite(**changes) -> Suite:
    queries = {id: Query(id, "text") for id in QRELS}
    return Suite(**({"name": "s", "queries": queries, "qrels": QRELS, "measures": ("nDCG@10", "R@100", "RR@10")} | changes))


def ranking(*docs: str) -> dict[str, float]:
    return {doc: -float(rank) for rank, doc in enumerate(docs)}


def test_the_ideal_ranking_scores_one():
    """By every measure."""
    measured = measure(suite(), {"q1": ranking("a", "b", "c"), "q2": ranking("a")})
    assert measured.means == {"nDCG@10": 1.0, "R@100": 1.0, "RR@10": 1.0}


def test_a_reversed_ranking_scores_less():
    """An nDCG that does not see the order is no nDCG. DCG by Järvelin and Kekäläinen with linear gains, as trec_eval has it."""
    measured = measure(suite(), {"q1": ranking("c", "b", "a"), "q2": ranking("a")})
    reversed_dcg = 1 / 1 + 2 / np.log2(3) + 3 / 2
    ideal_dcg = 3 / 1 + 2 / np.log2(3) + 1 / 2
    assert measured.by_query["nDCG@10"]["q1"] == pytest.approx(reversed_dcg / ideal_dcg, abs=1e-12)
    assert measured.by_query["R@100"]["q1"] == 1.0


def test_a_query_without_results_scores_zero():
    """It is not left out of the mean, whether it is missing from the run or has an empty answer."""
    for nothing in ({}, {"q2": {}}):
        measured = measure(suite(), {"q1": ranking("a", "b", "c")} | nothing)
        assert measured.by_query["RR@10"]["q2"] == 0.0
        assert measured.means["RR@10"] == 0.5
    assert measure(suite(), {}).means == {"nDCG@10": 0.0, "R@100": 0.0, "RR@10": 0.0}


def test_no_judged_query_has_no_means():
    """Neither zero nor one: there is no figure."""
    assert measure(suite(qrels={"q1": {"x": 0}}), {}).means == {}


def test_queries_of_nobody_are_not_measured():
    """What the run has besides the judged queries changes nothing."""
    run = {"q1": ranking("a"), "q2": ranking("b")}
    assert measure(suite(), run | {"unanswerable": ranking("x"), "stranger": ranking("a")}) == measure(suite(), run)


def test_a_negative_grade_is_not_relevant():
    """As in TREC, where -2 is spam: it scores as a document graded 0 does."""
    run = {"q1": ranking("x", "a", "b")}
    spam = suite(qrels={"q1": {**QRELS["q1"], "x": -2}}, measures=tuple(TREC_NAMES))
    assert measure(spam, run).by_query == measure(suite(qrels={"q1": QRELS["q1"]}, measures=tuple(TREC_NAMES)), run).by_query


def test_weights_count_in_means_alone():
    """A query of weight 3 counts as three equal ones; its own value stays."""
    weighted = suite(queries={"q1": Query("q1", "text", weight=3.0), "q2": Query("q2", "text")})
    run = {"q1": ranking("x", "a"), "q2": ranking("a")}
    assert measure(weighted, run).by_query == measure(suite(), run).by_query
    assert measure(weighted, run).means["RR@10"] == pytest.approx((3 * 0.5 + 1) / 4)
    assert measure(suite(), run).means["RR@10"] == pytest.approx((0.5 + 1) / 2)


def test_a_mean_can_be_that_of_a_slice():
    """Of the queries asked for those that are judged; of none there is no mean, nor of a measure that was not computed."""
    measured = measure(suite(), {"q1": ranking("x", "a"), "q2": ranking("a")})
    assert measured.mean("RR@10", {"q1", "unanswerable"}) == 0.5
    assert measured.mean("RR@10", {"unanswerable"}) is None
    assert measured.mean("RR@10", frozenset()) is None
    assert measured.mean("AP") is None
    assert Measured().means == {}


@pytest.fixture(scope="module", params=["icecat", "movies"])
def judged_run(request, shared_data, tmp_path_factory) -> tuple[Suite, dict[str, dict[str, float]]]:
    """Real queries with real judgments, and for each the 200 documents that TF-IDF finds nearest; some find none."""
    data = shared_data / request.param
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "suite.yaml").write_text(f"measures: [{', '.join(TREC_NAMES)}]\nqueries: {data / 'queries.csv'}\njudgments: {data / 'judgments.csv'}\n")
    loaded = golden.load(folder)
    keys, texts = (_products if request.param == "icecat" else _films)(data)
    tfidf = TfidfVectorizer(sublinear_tf=True)
    documents = tfidf.fit_transform(texts)
    scores = (tfidf.transform([query.text for query in loaded.queries.values()]) @ documents.T).toarray()
    run = {}
    for query, row in zip(loaded.queries, scores, strict=True):
        best = np.argsort(-row, kind="stable")[:200]
        run[query] = ranking(*(keys[document] for document in best if row[document] > 0))
    return loaded, run


def _products(data: Path) -> tuple[list[str], list[str]]:
    table = pyarrow.parquet.read_table(data / "products.parquet", columns=["product_id", "product_name"]).to_pydict()
    return list(map(str, table["product_id"])), table["product_name"]


def _films(data: Path) -> tuple[list[str], list[str]]:
    with gzip.open(data / "movies.jsonl.gz", "rt", encoding="utf-8") as file:
        films = [json.loads(line) for line in file]
    return [str(film["id"]) for film in films], [f"{film['title']} {film['overview']}" for film in films]


def test_every_value_agrees_with_pytrec_eval_run_by_itself(judged_run):
    """Per query and in the mean, to 1e-9; reversed, the same rankings score less."""
    loaded, run = judged_run
    evaluator = pytrec_eval.RelevanceEvaluator(loaded.judged, set(pytrec_eval.supported_measures))
    theirs = evaluator.evaluate({query: run[query] for query in loaded.judged if run[query]})
    ours = measure(loaded, run)
    assert len(loaded.judged) > 50
    for name, trec_name in TREC_NAMES.items():
        expected = {query: theirs.get(query, {}).get(trec_name, 0.0) for query in loaded.judged}
        assert ours.by_query[name] == pytest.approx(expected, abs=1e-9), name
        assert ours.means[name] == pytest.approx(sum(expected.values()) / len(expected), abs=1e-9), name
    assert 0.05 < ours.means["nDCG@10"] < 1
    backwards = measure(loaded, {query: {document: -score for document, score in found.items()} for query, found in run.items()})
    assert all(backwards.means[name] < ours.means[name] for name in ("nDCG@10", "AP", "RR"))


def test_judged_counts_what_is_shown(judged_run):
    """Judged@10 is the share of the first ten that anybody has judged, whatever the grade."""
    loaded, run = judged_run
    counted = Suite("s", loaded.queries, loaded.qrels, ("Judged@10",))
    measured = measure(counted, run)
    for query, found in run.items():
        if query in loaded.judged and found:
            top = sorted(found, key=found.__getitem__, reverse=True)[:10]
            assert measured.by_query["Judged@10"][query] == pytest.approx(sum(document in loaded.qrels[query] for document in top) / len(top))


def test_means_are_those_of_ir_measures_where_every_query_weighs_the_same(judged_run):
    """And every query has results: ir_measures leaves out queries without (0.4.3), which are put in here."""
    loaded, run = judged_run
    filled = {query: run[query] or {"nothing of the kind": 0.0} for query in loaded.judged}
    theirs = ir_measures.calc_aggregate([ir_measures.parse_measure(name) for name in loaded.measures], loaded.judged, filled)
    assert measure(loaded, run).means == pytest.approx({str(name): value for name, value in theirs.items()}, abs=1e-9)


def test_queries_measured_a_few_at_a_time_add_up(judged_run):
    """Nobody has to hold the hits of all of them."""
    whole, run = judged_run
    queries = list(whole.judged)
    parts = Measured()
    for start in range(0, len(queries), 7):
        some = queries[start : start + 7]
        parts = parts.joined(measure(whole, {query: run[query] for query in some if query in run}, some))
    assert parts == measure(whole, run)
