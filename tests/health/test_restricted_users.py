"""What users see who may not do everything: each piece that is not known is said, and nothing else is hidden."""

from __future__ import annotations

import time

import pytest

from scripts.adapters.milvus import MilvusStore
from scripts.health.seen import Because, Load
from scripts.health.statuses import Status
from scripts.pair import State
from scripts.roles import READER
from tests.health.world import NOW, PRODUCTION, RETIRED, ROWS, SERVED, build, found, look, place
from tests.servers import MilvusServer
from tests.test_pair import stamp

PASSWORD = "Secret-of-nobody-1"
ACTS_WITHIN_SECONDS = 120


@pytest.fixture(scope="module")
def server(milvus_wheel, tmp_path_factory):
    """With a user who has no role, one who may only ask, and one with the role `reader`. One of its own: 2.3.5 tells its proxy of roles in the same
    queue in which it drops collections, so that after many tests a user has no role for minutes."""
    with MilvusServer(tmp_path_factory.mktemp("users"), milvus_wheel) as server, MilvusStore(server.uri, server.token) as store:
        build(store, PRODUCTION, stamp(**SERVED, state=State.VALIDATED)).load()
        store.point("shop_prod", PRODUCTION)
        store.create(RETIRED, stamp().layout, stamp(**SERVED, retired_at=NOW).properties())
        client = store._milvus._client
        asking = [("Collection", "Query"), ("Collection", "Search")]
        grants = {"asks_only": asking, "looks_on": [(grant.kind, grant.privilege) for grant in READER.grants]}
        for user in ("has_no_role", *grants):
            client.create_user(user, PASSWORD)
            if user in grants:
                client.create_role(f"role_{user}")
                client.grant_role(user, f"role_{user}")
            for kind, privilege in grants.get(user, ()):
                client.grant_privilege(f"role_{user}", kind, privilege, "*")
        yield server


def seen_by(server, user):
    report = look(place(server.uri, f"{user}:{PASSWORD}"))
    return report, found(report, PRODUCTION)


def denied(each):
    return {gap.what for gap in each.seen.unknown if gap.because is Because.NOT_PERMITTED}


def unknown_in(report):
    (cluster,) = report.clusters
    return [*cluster.findings, *(gap for each in cluster.collections for gap in each.seen.unknown)]


def test_a_user_without_a_role_is_told_what_he_may_not_know(server):
    """The collections, fields, pairs, indexes and segments are there; rows and load are "?", and that makes what serves a warning, never green."""
    report, each = seen_by(server, "has_no_role")
    assert {found.seen.name for found in report.clusters[0].collections} == {PRODUCTION, RETIRED}
    assert (each.seen.rows, each.seen.load, each.seen.stored_rows, each.serves) == (None, Load.UNKNOWN, ROWS, True)
    assert denied(each) == {"rows", "load state"} and each.status is Status.WARNING and report.exit_code == 0
    told = "\n".join(report.lines())
    assert "rows (not permitted: it takes Query)" in told and "load state (not permitted: it takes Load)" in told and "may not list aliases" in told and "of 1 without an alias" in told


def test_a_user_who_may_only_ask_is_told_what_his_questions_tell(server):
    """What answers is loaded: its rows are counted, though the load state itself is not shown to him."""
    each = _once(lambda: seen_by(server, "asks_only")[1], lambda each: each.seen.rows is not None)
    assert (each.seen.rows, each.seen.load, each.indexes[0].coverage) == (ROWS, Load.LOADED, 100)
    assert denied(each) == {"load state"} and each.status is Status.WARNING


def test_the_role_reader_sees_everything(server):
    """No piece is unknown, of no collection."""
    report, each = _once(lambda: seen_by(server, "looks_on"), lambda answer: not unknown_in(answer[0]))
    assert (each.status, each.seen.rows, each.indexes[0].coverage, each.seen.replicas) == (Status.HEALTHY, ROWS, 100, 1)


def _once(ask, is_so):
    """Grants take a while to act (2.3.5: seen up to 60 s)."""
    until = time.monotonic() + ACTS_WITHIN_SECONDS
    while not is_so(answer := ask()):
        assert time.monotonic() < until, answer
        time.sleep(0.5)
    return answer
