"""`perf` on milvus-lite and, where that answers in its own way, on the real server: one world for all of these tests, which leave it as it was."""

from __future__ import annotations

import json
import math
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.errors import Refused
from scripts.jobs import perf as job
from scripts.perf import choice, files
from scripts.perf.plan import Plan
from scripts.perf.ports import Question
from scripts.perf.queries import Sampling, sampled
from scripts.quality.exact import ExactSearch
from tests.conftest import MilvusAddress
from tests.perf import world
from tests.perf.world import ALIAS, BOTH, EMPTY, FLAT, LISTS, PAIR, ROWS, STRANGERS, opened, run

QUICK = ("--seconds", "0.2", "--warm-up", "0.05", "--queries", "200", "--concurrency", "1,3")
NOWHERE = MilvusAddress("nowhere", "http://127.0.0.1:1", "")
PLAN = Plan(concurrency=(2,), seconds=0.3, warm_up=0.1)


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    """A furnished milvus-lite file, which is not held open."""
    uri = str(tmp_path_factory.mktemp("perf") / "milvus.db")
    with MilvusStore(uri) as store:
        world.furnish(store)
    return MilvusAddress("lite", uri, "")


@pytest.fixture(scope="module", params=["lite", pytest.param("server", marks=pytest.mark.server)])
def address(request):
    """Of a furnished Milvus."""
    return request.getfixturevalue("lite" if request.param == "lite" else "furnished_server")


@pytest.fixture(scope="module")
def furnished_server(module_milvus_server):
    with MilvusStore(module_milvus_server.uri, module_milvus_server.token) as store:
        world.furnish(store)
    yield MilvusAddress("server", module_milvus_server.uri, module_milvus_server.token)


def test_one_command_tells_latency_throughput_recall_and_the_cheapest_setting(address, tmp_path):
    """Of an alias, without any promotion.yaml: a table, JSON, a page with a plot, and CSV, all of the same run."""
    folder = tmp_path / "report"
    done = run(address, ALIAS, *QUICK, "--sweep", "ef=10,200", "--target-recall", "0.3", "--json", "--report", str(folder))
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["collection"], facts["alias"], facts["rows"], facts["index"], facts["params"]) == (PAIR, ALIAS, ROWS, "HNSW", {"ef": 32})
    assert [level["workers"] for level in facts["levels"]] == [1, 3]
    for level in facts["levels"]:
        assert level["searches"] > 0 == level["failed"] and level["qps"] > 0
        assert 0 < level["p50_ms"] <= level["p95_ms"] <= level["p99_ms"] <= level["slowest_ms"]
    sweep = facts["sweep"]
    assert (sweep["parameter"], sweep["recall_queries"], sweep["exact_rows"]) == ("ef", 200, ROWS)
    assert [(each["value"], each["served"]) for each in sweep["settings"]] == [(10, False), (32, True), (200, False)]
    recalls = [each["recall"] for each in sweep["settings"]]
    assert recalls == sorted(recalls) and recalls[0] < recalls[-1]
    for each in sweep["settings"]:
        assert each["recall_low"] <= each["recall"] <= each["recall_high"]
    assert json.loads((folder / "perf.json").read_text()) == facts
    assert (folder / "sweep.csv").read_text().splitlines()[2].startswith(f"32,{recalls[1]},")
    page, plot = (folder / "report.html").read_text(), (folder / "recall_latency.svg").read_text()
    assert plot in page and plot.count('class="point"') == 3 and "as served" in page


def test_recall_is_that_of_exact_search_with_the_same_filter(address):
    """The sweep says of a filtered search what validation's exact search over the same rows says. (Where it filters, 2.3.5 does not find quite the
    same each time.)"""
    with opened(address) as searched:
        queries = sampled(searched, Sampling(count=60, seed=3))
        plan = Plan(where="price < 1000", concurrency=(1,), seconds=0.2, warm_up=0, sweep="ef=200")
        report = job.perf(searched, plan, lambda: queries)
        found = {each.value: each.recall for each in report.swept.points}
        assert report.matching == report.swept.rows == 1_000
        for ef, recall in found.items():
            answers = searched.answers(queries.vectors, Question(10, "price < 1000", {"ef": ef}))
            exact = ExactSearch([""] * 60, queries.vectors, answers, searched.target.metric, 10)
            rows = world.vectors()[:1_000].astype(float)
            exact.add(list(range(1_000)), rows, np.linalg.norm(rows, axis=1))
            assert recall == pytest.approx(exact.recall().mean, abs=0.05)


def test_single_searches_under_load_find_what_the_store_finds(address):
    """The messages that are timed are searches as all others are: same keys, same order, from several threads."""
    with opened(address) as searched:
        queries = sampled(searched, Sampling(count=40))
        search = searched.searching(queries.vectors, 10.0)(Question(10, "", {"ef": 32}))
        usual = [[hit.key for hit in hits] for hits in searched._store.open(PAIR).search(queries.vectors, 10)]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(search, range(40)))
        assert found == usual == searched.answers(queries.vectors, Question(10, "", {"ef": 32}))


def test_queries_are_distinct_and_repeatable_and_come_from_all_rows(address):
    """The same seed gives the same ones, more than there are rows among them; without noise there are no more than rows."""
    with opened(address) as searched:
        many = sampled(searched, Sampling(count=ROWS + 500, noise=0.5))
        assert len(many) == len(np.unique(many.vectors, axis=0)) == ROWS + 500 and set(many.rows) == set(range(ROWS))
        assert np.allclose(np.linalg.norm(many.vectors, axis=1), 1, atol=1e-5)
        few = sampled(searched, Sampling(count=50))
        assert np.array_equal(few.vectors, sampled(searched, Sampling(count=50)).vectors)
        assert few.rows != sampled(searched, Sampling(count=50, seed=1)).rows
        plain = sampled(searched, Sampling(count=ROWS + 500, noise=0))
        assert len(plain) == ROWS and "finds itself" in plain.told


def test_a_collection_that_is_not_the_kits_is_measured_too(address):
    """Keys of strings, L2; what its own clients send is not known, and that is said."""
    done = run(address, LISTS, *QUICK, "--sweep", "nprobe=1,8,32", "--target-recall", "0.5", "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["rows"], facts["index"], facts["metric"], facts["params"], facts["alias"]) == (STRANGERS, "IVF_FLAT", "L2", None, None)
    recalls = {each["value"]: each["recall"] for each in facts["sweep"]["settings"]}
    assert recalls[1] < recalls[8] < recalls[32] > 0.9 and not any(each["served"] for each in facts["sweep"]["settings"])


def test_an_index_that_is_exact_is_measured_without_parameters(lite):
    """FLAT, by IP."""
    flat = run(lite, FLAT, *QUICK)
    assert flat.exit_code == 0 and "FLAT/IP on colour" in flat.output and "the server's default parameters (it is not the kit's)" in flat.output


def test_of_several_vector_fields_one_has_to_be_named(lite):
    """Of milvus-lite; 2.3.5 takes no such collection."""
    none = run(lite, BOTH, *QUICK)
    assert none.exit_code == 2 and "has the vector fields shape, colour. Say which with --field." in none.output
    with opened(lite, BOTH, "shape") as searched:
        assert (searched.target.field, searched.target.metric, searched.target.dimension) == ("shape", "L2", 16)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nobody"], 4, "There is no collection or alias nobody"),
        ([EMPTY], 4, f"{EMPTY} holds no rows"),
        ([PAIR, "--filter", "price >>> 3"], 2, "(?i)the filter"),
        ([PAIR, "--filter", "price < 0"], 2, "No row of .* matches the filter 'price < 0'"),
        ([PAIR, "--filter", "price < 5"], 2, "--k 10 is more than the 5 rows that match"),
        ([PAIR, "--sweep", "ef=4,16"], 2, "ef=4: Milvus refuses a candidate list shorter than the answer"),
        ([PAIR, "--sweep", "nprobe=4"], 2, "nprobe is no search parameter of an index of type HNSW"),
        ([PAIR, "--field", "price"], 2, "has no vector field 'price'; it has vector"),
        ([FLAT, "--sweep", "auto"], 2, "nothing to sweep on an index of type FLAT"),
    ],
)
def test_what_cannot_be_measured_ends_in_one_line(lite, words, code, told):
    """Before anything is measured, with what is wrong and what there is instead."""
    assert_refused(run(lite, *words), code, told)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--concurrency", "0"], "no list of numbers from 1 to 256"),
        (["--sweep", "much"], "--sweep 'much' is not understood"),
        (["--sweep", "ef=99999999999999999999"], "is not understood"),
        (["--target-recall", "0.9"], "--target-recall goes with --sweep"),
        (["--sweep", "auto", "--target-recall", "1"], "1.0 is not in the range"),
        (["--recall-queries", "100"], "--recall-queries goes with --sweep"),
        (["--seconds", "inf"], "inf is not in the range"),
        (["--noise", "nan"], "nan is no number"),
        (["--seed", "-1"], "-1 is not in the range"),
    ],
)
def test_options_that_mean_nothing_end_in_one_line(words, told):
    """Before any server is asked."""
    assert_refused(run(NOWHERE, PAIR, *words), 2, told)


@pytest.mark.parametrize("name", ["", " ", "a b", "x" * 300, "näme", "1a"])
def test_a_name_that_is_none_is_said_to_be(name):
    """As of a variable that is not set: in the kit's words, not in each server's own."""
    assert_refused(run(NOWHERE, name), 2, "is no name that a collection or alias may have")


def test_a_filter_that_is_blank_is_none(lite):
    """As of a variable that is not set."""
    assert f"{ROWS:,} rows; HNSW" in run(lite, PAIR, *QUICK, "--filter", "  ").stdout


def assert_refused(done, code, told):
    assert done.exit_code == code, done.output
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(("error:", "Error:"))]
    assert re.search(told, line) and done.stdout == ""


@pytest.mark.server
def test_a_filter_that_the_real_server_does_not_understand_ends_in_one_line(furnished_server):
    """In its own words for it."""
    assert_refused(run(furnished_server, PAIR, "--filter", "price >>> 3"), 2, "(?i)the filter")


@pytest.mark.server
def test_rows_that_no_index_covers_are_told_of(furnished_server):
    """What is written lately is searched row by row, and its latency is not that of the index."""
    with opened(furnished_server, LISTS) as searched:
        assert searched.unindexed(STRANGERS) == 0
        world.add_strangers(searched._store, 1_200)
        assert searched.unindexed(searched.count()) == 1_200
        report = job.perf(searched, PLAN, lambda: sampled(searched, Sampling(count=50)))
    assert any(line.startswith(f"1,200 of {STRANGERS + 1_200:,} rows had no index yet") for line in report.lines())


def test_a_target_that_no_setting_reaches_ends_with_1(lite):
    """And shows all that was measured, with as many queries as were asked for."""
    done = run(lite, PAIR, *QUICK, "--sweep", "ef=10", "--target-recall", "0.9999", "--recall-queries", "60")
    assert done.exit_code == 1 and "No setting reaches 0.9999: the best is ef=32" in done.stdout and "← as served" in done.stdout
    assert "recall@10 of 60 queries against exact search" in done.stdout


@pytest.mark.parametrize(("count", "more"), [(60, "--queries"), (100, "--recall-queries")])
def test_what_would_give_more_queries_is_named(lite, monkeypatch, count, more):
    """The option that holds them back: of 60 queries all were asked, of 100 only 60."""
    asked = []
    choose = choice.choose
    monkeypatch.setattr(choice, "choose", lambda *of: asked.append(of[-1]) or choose(*of))
    with opened(lite) as searched:
        plan = Plan(concurrency=(1,), seconds=0.05, warm_up=0, sweep="ef=32", recall_queries=60)
        report = job.perf(searched, plan, lambda: sampled(searched, Sampling(count=count)))
    assert asked == [more] and report.swept.queries == 60


def test_an_alias_that_moves_meanwhile_is_noticed(lite):
    """What was begun is measured to its end, and the result says of which collection it is."""
    with opened(lite, ALIAS) as searched:
        def prepare():
            searched._store.point(ALIAS, EMPTY)
            return sampled(searched, Sampling(count=50))

        try:
            report = job.perf(searched, PLAN, prepare)
        finally:
            searched._store.point(ALIAS, PAIR)
    assert report.exit_code == 0 and f"The alias {ALIAS} points to {EMPTY} now: all of this is of {PAIR}." in report.lines()


def test_a_collection_that_is_released_meanwhile_ends_in_one_line(address):
    """Failures are counted by kind, percentiles among them are no figures, and what was measured before stays. Asked for again it is said not to be
    loaded, and what loads it, before anything is read."""
    with opened(address) as searched:
        collection = searched._store.open(PAIR)
        assert collection.is_loaded()

        def tell(step):
            if step.startswith("3 workers"):
                collection.release()

        try:
            report = job.perf(searched, Plan(concurrency=(1, 3, 2), seconds=0.3, warm_up=0), lambda: sampled(searched, Sampling(count=50)), tell)
            with pytest.raises(Refused, match=f"{PAIR} is not loaded. Run `finish --pair {PAIR}` or `ensure-loaded`"):
                job.perf(searched, PLAN, lambda: pytest.fail("nothing is to be prepared"))
        finally:
            collection.load()
    alive, dead = report.levels
    assert alive.answered and not dead.answered and dead.failed == dead.searches and dead.latency.p50 == math.inf
    assert len(dead.failures) == 1 and report.exit_code == 5 and "None of" in report.lines()[-1] and "failed" in "\n".join(report.lines())


def test_ctrl_c_shows_what_was_measured(lite):
    """The level that it broke off among it, with the exit code of an interruption."""
    with opened(lite) as searched:
        queries = sampled(searched, Sampling(count=50))

        def tell(step):
            if step.startswith("2 workers"):
                threading.Timer(0.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()

        report = job.perf(searched, Plan(concurrency=(2, 3), seconds=30, warm_up=0), lambda: queries, tell)
    (level,) = report.levels
    assert level.interrupted and level.answered > 0 and report.exit_code == 130 and "Interrupted" in report.lines()[-1]


def test_ctrl_c_in_a_sweep_shows_its_latencies(lite, tmp_path):
    """Recall was not known yet, and nothing is chosen; the levels before are whole, and the report is written."""
    with opened(lite) as searched:
        queries = sampled(searched, Sampling(count=50))

        def tell(step):
            if step.startswith("exact search"):
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        report = job.perf(searched, replace(PLAN, sweep="ef=16"), lambda: queries, tell)
    assert [each.value for each in report.swept.points] == [16, 32] and all(math.isnan(each.recall) for each in report.swept.points)
    assert all(level.answered for level in (*report.levels, *(each.level for each in report.swept.points)))
    assert report.exit_code == 130 and report.swept.choice.point is None and "before exact search" in "\n".join(report.lines())
    files.write(report, tmp_path)
    assert json.loads((tmp_path / "perf.json").read_text())["sweep"]["settings"][0]["recall"] is None
