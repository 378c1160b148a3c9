"""Logged queries asked of two pairs, and `replay`, which does it."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scripts import config
from scripts.adapters.milvus import MilvusStore
from scripts.encoding import Encoder
from scripts.errors import Inconclusive, Refused, UnfitModel, UsageError
from scripts.jobs.replay import Replay, replay
from scripts.pair import Embedding
from scripts.quality.facts import Change
from scripts.quality.gates import Outcome
from scripts.quality.query_log import Log
from scripts.quality.replay import SHOWN_CHANGES, ask, compare, compare_rankings, titles
from scripts.wiring import Wiring
from tests.adapters.test_milvus import DIMENSION, made, ready, rows
from tests.shop import Shop, products, refusal

ONE = ("a", "b", "c", "d")


def test_the_figures_of_a_comparison():
    """Equal, reordered, disjoint, empty in one and empty in both: their shares and means."""
    candidate = [ONE, ("b", "a", "c", "d"), ("w", "x", "y", "z"), (), ()]
    facts = compare_rankings([*"vwxyz"], candidate, [ONE, ONE, ONE, ONE, ()], k=4)
    assert (facts.queries, facts.k) == (5, 4)
    assert facts.overlap == pytest.approx((1 + 1 + 0 + 0 + 1) / 5)
    assert facts.rbo == pytest.approx((1 + 0.9 + 0 + 0 + 1) / 5)
    assert facts.top_changed == pytest.approx(3 / 5)
    assert (facts.empty, facts.production_empty) == (2 / 5, 1 / 5)
    assert [(change.text, change.rbo, change.candidate) for change in facts.most_changed] == [
        ("x", 0.0, ("w", "x", "y", "z")),
        ("y", 0.0, ()),
        ("w", pytest.approx(0.9), ("b", "a", "c", "d")),
    ]


def test_what_lies_below_k_does_not_count():
    """Neither in the figures nor in what is shown."""
    (change,) = compare_rankings(["q"], [("a", "b", "x")], [("b", "a", "y")], k=2).most_changed
    assert (change.candidate, change.production, change.overlap) == (("a", "b"), ("b", "a"), 1.0)
    assert compare_rankings(["q"], [("a", "x")], [("a", "y")], k=1).most_changed == ()


def test_twenty_of_the_most_changed_are_shown():
    """The worst first; those equally bad in the order of the log."""
    queries = [f"q{i}" for i in range(50)]
    candidate = [ONE if i < 10 else ("b", "a", "c", "d") if i < 35 else ("w",) for i in range(50)]
    shown = [change.text for change in compare_rankings(queries, candidate, [ONE] * 50, k=4).most_changed]
    assert len(shown) == SHOWN_CHANGES
    assert shown == queries[35:50] + queries[10:15]


class Axes:
    """A model that knows the words 0, 1, 2 …: each points along an axis of its own. It fails on `fail` and has no vector for `nothing`."""

    batch_size = 4

    def cut_off(self, texts, prompt):
        return []

    def encode(self, texts, prompt):
        if "fail" in texts:
            raise UnfitModel("the model cannot read this")
        return [np.zeros(DIMENSION) if text == "nothing" else np.eye(DIMENSION)[int(text) if text.isdigit() else 0] for text in texts]


@pytest.fixture
def side(tmp_path):
    """A collection whose row i points along axis i, with the model that goes with it."""
    with MilvusStore(str(tmp_path / "milvus.db"), "") as store:
        collection = made(store)
        collection.write(rows(range(DIMENSION)), np.eye(DIMENSION, dtype=np.float32))
        yield SimpleNamespace(collection=ready(collection), encoder=Encoder(Axes(), Embedding(template="{x}")))


def test_queries_that_a_model_cannot_encode_find_nothing(side):
    """And keep none of the others from being asked, wherever they stand."""
    queries = ["3", "fail", "1", "nothing", "nothing", "2", "0", "fail", "5"]
    answers = ask(side, queries, k=1)
    assert answers.rankings == (("3",), (), ("1",), (), (), ("2",), ("0",), (), ("5",))


def test_a_model_that_encodes_no_query_is_unfit(side):
    """Nothing found is not an answer then."""
    with pytest.raises(UnfitModel, match="zero vector"):
        ask(side, ["nothing"] * 5, k=1)


def test_latency_is_over_queries_that_both_models_encode(side):
    """The others were never searched for."""
    queries = [str(i) for i in range(DIMENSION)]
    ours, theirs = ask(side, ["nothing", *queries[1:]], k=2), ask(side, [*queries[:-1], "fail"], k=2)
    latency = compare(Log("log", tuple(queries), len(queries)), ours, theirs, k=2).latency
    assert (latency.queries, latency.depth) == (DIMENSION - 2 - 1, 2)


def test_a_pair_compared_with_one_that_is_like_it_changes_nothing(side):
    """Everything overlaps, nothing is shown, no title is asked for."""
    log = Log("log", ("1", "2", "3"), 3)
    facts = compare(log, ask(side, log.queries, k=3), ask(side, log.queries, k=3), k=3)
    assert (facts.overlap, facts.top_changed, facts.empty, facts.most_changed) == (1.0, 0.0, 0.0, ())
    assert facts.rbo == pytest.approx(1.0)
    assert titles(facts, log, ask(side, log.queries), "name") == {}


def test_what_others_wrote_is_printed_as_text():
    """Queries, titles and the log's name cannot move the cursor or colour the terminal; the facts have them as they are."""
    evil = "a\x1b[2J\rb\u202e"
    change = Change(text=evil, overlap=0.0, rbo=0.0, candidate=("1",), production=(evil,))
    facts = compare_rankings(["q"], [("1",)], [("2",)], k=1).model_copy(update={"most_changed": (change,)})
    result = Replay("candidate", "production", Log(f"{evil}.csv", ("q",), 1), facts, titles={"1": evil})
    assert all(line.isprintable() for line in result.lines())
    assert any(line.endswith("candidate   1 a [2J b") for line in map(str.rstrip, result.lines()))
    assert result.facts()["titles"] == {"1": evil}


LOG = "time,query\n" + "".join(f"{i},{row['name']}\n" for i, row in enumerate(products()[::3])) + "98,\n99,red sofa\n"
GATES = [
    {"gate": "overlap", "at_least": 0.0},
    {"gate": "rbo", "at_least": 0.99},
    {"gate": "top_changed", "at_most": 1.0},
    {"gate": "empty_results", "at_most": 0.0},
    {"gate": "latency_ratio", "at_most": 1000.0},
    {"gate": "floor", "measure": "nDCG@10", "at_least": 2.0},
]


@pytest.fixture(scope="module")
def sold(tmp_path_factory, mlflow_server) -> Shop:
    """A shop with `words` in production, and as candidates `words` again and `initials`."""
    folder = tmp_path_factory.mktemp("shop")
    shop = Shop(folder / "shop", str(folder / "milvus.db"), "", mlflow_server.uri)
    shop.pairs = {"production": shop.build("words"), "same": shop.build("words"), "worse": shop.build("initials")}
    with MilvusStore(shop.milvus_uri, "") as store:
        store.point("test_shop_prod", shop.pairs["production"])
    (shop.folder / "log.csv").write_text(LOG)
    return shop


@contextmanager
def opened(shop: Shop):
    with Wiring(config.load(shop.folder / "promotion.yaml", shop.environment)) as kit:
        yield kit


def replay_of(shop: Shop, pair: str, log: Path | None = None, **how):
    with opened(shop) as kit:
        return replay(kit, shop.pairs[pair], path=log or shop.folder / "log.csv", **how)


def test_a_candidate_that_answers_otherwise(sold):
    """Its log, its figures, its gates, and the queries that change most with titles from both pairs."""
    sold.write_suite(gates=GATES)
    result = replay_of(sold, "worse")
    facts = result.facts()
    assert (result.log.entries, result.log.blank, result.log.repeated) == (52, 1, 1)
    assert facts["replayed"]["queries"] == 50
    assert (facts["replayed"]["log"], facts["replayed"]["log_digest"]) == ("log.csv", result.log.digest)
    assert facts["replayed"]["latency"]["queries"] <= 50
    assert facts["replayed"]["top_changed"] > 0.5
    assert [(gate.kind, gate.outcome) for gate in result.gates] == [
        ("overlap", Outcome.PASS),
        ("rbo", Outcome.FAIL),
        ("top_changed", Outcome.PASS),
        ("empty_results", Outcome.PASS),
        ("latency_ratio", Outcome.PASS),
    ]
    assert result.exit_code == 1
    names = {str(row["product_id"]): row["name"] for row in products()}
    first = result.replayed.most_changed[0]
    assert {key: result.titles[key] for key in (*first.candidate, *first.production)} == {key: names[key] for key in (*first.candidate, *first.production)}
    said = "\n".join(result.lines())
    assert re.search(r"50 distinct queries of log\.csv \(52 entries, 1 blank, 1 repeated\)", said)
    assert f"{first.candidate[0]} {names[first.candidate[0]]}" in said


def test_the_command_ends_with_what_the_gates_say(sold):
    """Exit code 1 where one fails, with the facts as JSON; 2, in one line, for a log that nobody can read."""
    sold.write_suite(gates=GATES)
    log = sold.folder / "log.csv"
    result = sold.run("replay", "--queries", str(log), "--pair", sold.pairs["worse"], "--k", "5", "--limit", "20", "--json")
    facts = json.loads(result.stdout)
    assert (result.exit_code, facts["replayed"]["k"], facts["log"]["complete"]) == (1, 5, False)
    assert sold.run("replay", "--queries", str(log), "--pair", sold.pairs["same"]).exit_code == 0
    (sold.folder / "empty.txt").write_text("")
    assert "has no queries" in refusal(sold.run("replay", "--queries", str(sold.folder / "empty.txt"), "--pair", sold.pairs["worse"]), 2)


def test_the_same_model_again_changes_nothing(sold):
    """Which is a pass by every gate."""
    sold.write_suite(gates=GATES)
    result = replay_of(sold, "same")
    assert (result.replayed.overlap, result.replayed.top_changed, result.exit_code) == (1.0, 0.0, 0)
    assert "Most changed" not in "\n".join(result.lines())


@pytest.mark.parametrize("suite", ["without gates on replays", "none at all"])
def test_without_gates_nothing_is_judged_and_that_is_said(sold, suite):
    """A log needs no judgments, and so no suite."""
    sold.write_suite(gates=GATES[-1:])
    if suite == "none at all":
        shutil.rmtree(sold.folder / "golden")
    result = replay_of(sold, "worse")
    assert (result.gates, result.exit_code) == ((), 0)
    assert any("nothing was judged" in line for line in result.lines())


def test_k_and_limit(sold):
    """How deep, and how many."""
    sold.write_suite(gates=[])
    result = replay_of(sold, "worse", k=3, limit=7)
    assert (result.replayed.k, result.replayed.queries, result.log.complete) == (3, 7, False)
    assert all(len(change.candidate) <= 3 for change in result.replayed.most_changed)


def test_what_is_gone_from_the_registry_is_inconclusive(sold, monkeypatch):
    """Production's model cannot be had any more: nothing is said of the candidate."""
    sold.write_suite(gates=[])
    with opened(sold) as kit:
        shutil.rmtree(kit.settings.model_cache)
        version = kit.store.properties(sold.pairs["production"])["promotion.model.version"]
        monkeypatch.setattr(kit.registry, "download", lambda asked, folder, before=kit.registry.download: _download(asked, folder, before, int(version)))
        with pytest.raises(Inconclusive, match=f"Production {sold.pairs['production']} could not be asked: .*has changed in the registry"):
            replay(kit, sold.pairs["worse"], path=sold.folder / "log.csv")


def _download(asked, folder, before, version):
    digest = before(asked, folder)
    return "another" if asked.version == version else digest


def test_refusals(sold, tmp_path):
    """Production itself, a pair that is not there, one that is not loaded, a log that is not there."""
    sold.write_suite(gates=[])
    with pytest.raises(Refused, match="is production: compared with itself"):
        replay_of(sold, "production")
    with pytest.raises(UsageError, match="cannot be read"):
        replay_of(sold, "worse", log=tmp_path / "none.csv")
    with opened(sold) as kit, pytest.raises(Refused, match="There is no pair nobody"):
        replay(kit, "nobody", path=sold.folder / "log.csv")


def test_without_production_there_is_nothing_to_compare_with(tmp_path, mlflow_server):
    """Neither where nothing was ever promoted, nor where the alias points elsewhere."""
    shop = Shop(tmp_path / "shop", str(tmp_path / "milvus.db"), "", mlflow_server.uri)
    shop.pairs = {"first": shop.build("words")}
    (shop.folder / "log.csv").write_text(LOG)
    with pytest.raises(Refused, match="points to nothing, so there is no pair to compare with"):
        replay_of(shop, "first")


def test_both_pairs_are_asked_on_the_real_server(tmp_path, milvus, mlflow_server):
    """And on milvus-lite; with ten queries there are two to warm up and eight to measure."""
    shop = Shop(tmp_path / "shop", milvus.uri, milvus.token, mlflow_server.uri)
    shop.pairs = {"production": shop.build("words"), "worse": shop.build("initials")}
    with opened(shop) as kit:
        kit.store.point("test_shop_prod", shop.pairs["production"])
    (shop.folder / "log.csv").write_text("".join(LOG.splitlines(keepends=True)[:11]))
    result = replay_of(shop, "worse")
    assert result.replayed.queries == 10
    assert result.replayed.latency.queries == 8
    assert 0 < result.replayed.latency.candidate.p50

