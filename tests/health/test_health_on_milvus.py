"""`health` on milvus-lite and on the real server: one world for all of these tests, which leave it as it was or go on where the last one stopped."""

from __future__ import annotations

import json
from contextlib import closing
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.inspection import MilvusInspection
from scripts.endings import Commands
from scripts.health import metrics
from scripts.health.indexes import Judgment
from scripts.health.page import Page
from scripts.health.seen import Load
from scripts.health.statuses import Status
from scripts.health_commands import health
from scripts.pair import State
from scripts.upkeep_commands import compact, ensure_loaded
from tests.conftest import MilvusAddress
from tests.health import world
from tests.health.world import BUILDING, LEDGER, PRODUCTION, RETIRED, ROWS, STRANGER, found, look, place


@pytest.fixture(scope="module", params=["lite", pytest.param("server", marks=pytest.mark.server)])
def address(request, tmp_path_factory):
    """Of a furnished Milvus. A milvus-lite file is not held open."""
    if request.param == "lite":
        uri = str(tmp_path_factory.mktemp("health") / "milvus.db")
        with MilvusStore(uri) as store:
            world.furnish(store)
        yield MilvusAddress("lite", uri, "")
        return
    server = request.getfixturevalue("module_milvus_server")
    with MilvusStore(server.uri, server.token) as store:
        world.furnish(store)
    yield MilvusAddress("server", server.uri, server.token)


def store(address):
    return MilvusStore(address.uri, address.token)


def seen(address, name=PRODUCTION):
    return found(look(place(address.uri, address.token)), name)


def test_one_look_tells_all_of_a_collection(address):
    """True rows, load, partitions, fields, alias, pair, state, index, segments and replicas; what milvus-lite does not have is said to be unknown."""
    each = seen(address)
    assert (each.status, each.findings, each.state, each.stamp.model.version) == (Status.HEALTHY, (), State.PRODUCTION, 3)
    facts = each.facts()
    assert (facts["rows"], facts["load"], facts["partitions"], facts["aliases"]) == (ROWS, "loaded", ["_default"], ["shop_prod"])
    assert [field["name"] for field in facts["fields"]] == ["id", "vector", "text_hash", "columns_hash"] and facts["fields"][1]["dimension"] == 8
    (index,) = facts["indexes"]
    assert (index["field"], index["type"], index["metric"], index["judgment"], index["coverage"]) == ("vector", "HNSW", "COSINE", "completed", 100)
    if address.kind == "server":
        assert (facts["segments"]["small"], facts["segments"]["growing"], facts["replicas"], facts["unknown"]) == (0, 0, 1, [])
        assert facts["segments"]["number"] == facts["segments"]["loaded"] == 1
    else:
        assert (facts["segments"], facts["replicas"], facts["unknown"]) == (None, None, ["segments and replicas (milvus-lite has none)"])


def test_every_collection_is_listed_and_only_what_serves_can_be_red(address):
    """A retired pair that is not loaded, an unfinished build, a ledger and a stranger's collection without an index ring nobody."""
    report = look(place(address.uri, address.token))
    assert {each.seen.name: each.state for each in report.clusters[0].collections} == {
        PRODUCTION: State.PRODUCTION,
        RETIRED: State.RETIRED,
        BUILDING: State.BUILDING,
        LEDGER: None,
        STRANGER: None,
    }
    assert (report.exit_code, report.counts()) == (0, {"healthy": 5, "warning": 0, "error": 0})
    assert found(report, LEDGER).is_record and LEDGER not in "\n".join(report.lines())
    assert found(report, STRANGER).seen.indexes == () and found(report, STRANGER).seen.fields[1].vector
    if address.kind == "server":  # milvus-lite loads on opening
        retired = found(report, RETIRED)
        assert (retired.seen.load, retired.seen.rows, retired.seen.stored_rows) == (Load.NOT_LOADED, None, ROWS)
        assert retired.indexes[0].judgment is Judgment.COMPLETED


def test_a_collection_that_is_dropped_during_the_look_is_passed_over(address):
    """Before it is looked at, and in the middle of it."""
    with store(address) as opened:
        opened.claim("gone_soon", "1" * 8, {})
    with MilvusInspection(address.uri, address.token) as inspection:
        ask = inspection._indexes

        def dropped_first(name, fields):
            inspection._store.drop(name)
            return ask(name, fields)

        inspection._indexes = dropped_first
        assert inspection.look("gone_soon") is None
        assert inspection.look("was_never_there") is None


def test_the_command_ends_with_the_code_of_what_it_found(address, tmp_path):
    """A table, JSON and Prometheus text of the same look; 5 with a dead cluster beside it, which is named and hides nothing."""
    group = Commands("kit", commands={"health": health})
    environment = {"MILVUS_URI": address.uri, "MILVUS_TOKEN": address.token, "TOKEN_HERE": address.token or "x"}
    prom = tmp_path / "health.prom"
    alone = CliRunner().invoke(group, ["health", "--config", str(tmp_path / "promotion.yaml"), "--metrics-file", str(prom)], env=environment)
    assert alone.exit_code == 0, alone.output
    assert PRODUCTION in alone.stdout and "completed 100%" in alone.stdout and "5 healthy" in alone.stdout
    assert f'collection_rows{{cluster="milvus",collection="{PRODUCTION}"}} {ROWS}\n' in prom.read_text()

    variable = ", token_variable: TOKEN_HERE" if address.kind == "server" else ""
    file = tmp_path / "clusters.yaml"
    unset_variable = "name: unset, uri: x.db, token_variable: NOT_SET"
    listed = ("name: dead, uri: 'http://127.0.0.1:9'", f"name: here, uri: '{address.uri}'{variable}", unset_variable)
    file.write_text(f"clusters: [{', '.join(f'{{{each}}}' for each in listed)}]")
    many = CliRunner().invoke(group, ["health", "--clusters", str(file), "--json"], env=environment)
    assert many.exit_code == 5, many.output
    dead, here, unset = json.loads(many.stdout)["clusters"]
    assert "Nothing answers" in dead["failure"] and "NOT_SET" in unset["failure"]
    assert (here["reachable"], here["status"], len(here["collections"])) == (True, "healthy", 5)


def test_the_last_look_is_served_on_this_machine_alone(address):
    """/metrics answers at once with it; before the first look it says that there is none."""
    with Page(0, 60) as page:
        with pytest.raises(OSError, match="503"):
            urlopen(f"http://127.0.0.1:{page.port}/metrics", timeout=10)
        page.renew(metrics.text(look(place(address.uri, address.token))))
        with closing(urlopen(f"http://127.0.0.1:{page.port}/metrics", timeout=10)) as answer:
            assert f'collection="{PRODUCTION}"' in answer.read().decode()
        with closing(urlopen(f"http://127.0.0.1:{page.port}/healthz", timeout=10)) as answer:
            assert answer.read() == b"ok\n"


def test_rows_that_no_index_covers_make_production_red(address):
    """By the true count, whatever `state` says. milvus-lite keeps its index up to date."""
    with store(address) as opened:
        world.write(opened, PRODUCTION, range(ROWS, 2 * ROWS))
    each = seen(address)
    if address.kind == "lite":
        assert (each.seen.rows, each.indexes[0].judgment, each.indexes[0].coverage) == (2 * ROWS, Judgment.COMPLETED, 100)
        return
    assert each.indexes[0].index.state == "Finished"
    assert (each.seen.rows, each.indexes[0].judgment, each.indexes[0].coverage, each.status) == (2 * ROWS, Judgment.BUILDING, 50, Status.ERROR)
    assert any(f"{ROWS:,} are searched one by one" in finding.reason for finding in each.findings)
    assert (each.growing_segments, each.seen.growing_rows) == (None, ROWS)


def test_a_wrong_token_is_named_beside_what_is_well(address):
    """And hides nothing of it. (milvus-lite has no users.)"""
    if address.kind == "lite":
        return
    report = look(place(address.uri, address.token), place(address.uri, "root:wrong", "wrong"))
    assert [bool(cluster.failure) for cluster in report.clusters] == [False, True] and "does not let us in" in report.clusters[1].failure
    assert report.exit_code == 5 and len(report.clusters[0].collections) == 5
    assert report.clusters[1].failure.endswith("Check MILVUS_TOKEN (user:password).")


def test_who_has_the_wrong_token_is_sent_to_the_variable_that_has_it(address, tmp_path):
    """Of many clusters that is not MILVUS_TOKEN. (milvus-lite has no users.)"""
    if address.kind == "lite":
        return
    file = tmp_path / "clusters.yaml"
    eu, asia = f"uri: '{address.uri}', token_variable: MILVUS_TOKEN_EU", "uri: x.db, token_variable: MILVUS_TOKEN_ASIA"
    file.write_text(f"clusters: [{{name: eu, {eu}}}, {{name: us, uri: '{address.uri}'}}, {{name: asia, {asia}}}]")
    told = CliRunner().invoke(Commands("kit", commands={"health": health}), ["health", "--clusters", str(file)], env={"MILVUS_TOKEN_EU": "root:wrong"})
    assert told.exit_code == 5, told.output
    assert "Check MILVUS_TOKEN_EU (user:password)." in told.stdout and "Check its token_variable (user:password)." in told.stdout
    assert "The variable MILVUS_TOKEN_ASIA, which" in told.stdout


@pytest.fixture
def run(address, tmp_path):
    """Runs a command of the service whose pairs are there."""
    config = tmp_path / "promotion.yaml"
    source = "source: {uri: products.jsonl, key: id, text: '{name}'}"
    config.write_text(f"service: shop\nmodel: {{name: m}}\ngolden: golden\n{source}\n")
    group = Commands("kit", commands={"ensure-loaded": ensure_loaded, "compact": compact})

    def invoked(*words):
        environment = {"MILVUS_URI": address.uri, "MILVUS_TOKEN": address.token}
        return CliRunner().invoke(group, [*words, "--config", str(config), "--json"], env=environment)

    return invoked


def test_ensure_loaded_loads_production_and_its_kept_predecessor_and_nothing_else(address, run):
    """Production that is not loaded is an error, whose remedy this is. Safe to run again: then all of it was loaded. (milvus-lite is loaded by whoever
    opens it.)"""
    if address.kind == "server":
        with store(address) as opened:
            opened.open(PRODUCTION).release()
        report = look(place(address.uri, address.token))
        each = found(report, PRODUCTION)
        assert (report.exit_code, each.status, each.seen.rows) == (1, Status.ERROR, None)
        assert "ensure-loaded" in each.findings[0].remedy and each.findings[0].reason in "\n".join(report.lines())
    first, second = run("ensure-loaded"), run("ensure-loaded")
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    told = [json.loads(each.stdout)["collections"] for each in (first, second)]
    assert [[each["collection"] for each in one] for one in told] == [[PRODUCTION, RETIRED]] * 2
    assert [each["was_loaded"] for each in told[0]] == [address.kind == "lite"] * 2
    assert all(each["was_loaded"] and each["loaded"] for each in told[1])
    report = look(place(address.uri, address.token))
    assert found(report, PRODUCTION).seen.load is found(report, RETIRED).seen.load is Load.LOADED
    if address.kind == "server":
        assert found(report, BUILDING).seen.load is Load.NOT_LOADED


def test_compact_takes_an_alias_and_refuses_what_is_not_there(address, run):
    """milvus-lite, which merges by itself and does not tell its segments, is flushed. What a server does is in test_coverage_on_milvus.py, because 2.3.5
    takes a while for it."""
    assert run("compact", "nobody").exit_code == 4
    if address.kind == "lite":
        rows, done = seen(address).seen.rows, run("compact", "shop_prod")
        assert (done.exit_code, json.loads(done.stdout)) == (0, {"collection": PRODUCTION, "before": None, "after": None}), done.output
        assert seen(address).seen.rows == rows
