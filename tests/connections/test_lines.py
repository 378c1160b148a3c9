"""One connection to a real server, over a proxy that breaks it in the ways that networks do, and with a server that is stopped and killed."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pymilvus.exceptions import MilvusException

from scripts.adapters.milvus import MilvusStore, client, faults, line, repeating
from scripts.adapters.milvus.connection import Connection, NotLetIn, NotPermitted
from scripts.adapters.milvus.raw import Wire
from scripts.adapters.milvus.schema import schema
from scripts.errors import KitError, Refused, Unreachable, UsageError
from scripts.layout import VECTOR
from scripts.tls import OPEN
from tests.adapters.test_milvus import DIMENSION, NAME, layout, made, rows, vectors
from tests.connections.proxy import Proxy
from tests.servers import MilvusServer
from tests.test_pair import stamp

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def proxy(empty_milvus_server) -> Iterator[Proxy]:
    with Proxy(empty_milvus_server.uri) as opened:
        yield opened


@pytest.fixture
def store(proxy, empty_milvus_server) -> Iterator[MilvusStore]:
    """Over the proxy, and connected."""
    with MilvusStore(proxy.uri, empty_milvus_server.token) as opened:
        opened.connect()
        yield opened


@pytest.fixture
def hurried(proxy, empty_milvus_server) -> Iterator[MilvusStore]:
    with MilvusStore(proxy.uri, empty_milvus_server.token, patience=3.0) as opened:
        opened.connect()
        yield opened


def one_line(error: BaseException) -> bool:
    return isinstance(error, KitError) and "\n" not in str(error) and "Traceback" not in str(error)


def test_nothing_is_opened_before_the_first_call(proxy, empty_milvus_server, tmp_path):
    """Neither a connection nor a file: who makes a store and does not use it pays nothing."""
    with MilvusStore(proxy.uri, empty_milvus_server.token) as store, MilvusStore(str(tmp_path / "new.db")) as embedded:
        assert proxy.accepted == 0 and list(tmp_path.iterdir()) == []
        assert store.collections() == embedded.collections() == []
        assert proxy.accepted == 1


def test_a_connection_that_is_reset_is_made_anew_within_the_call(proxy, store):
    """The call is answered all the same."""
    proxy.reset()
    assert store.collections() == []


def test_a_connection_that_is_swallowed_is_found_dead_and_the_call_answered(proxy, empty_milvus_server, monkeypatch):
    """Long before the call's own limit: what a proxy has forgotten takes everything and answers nothing. (The times are shorter here.)"""
    for name in ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms"):
        monkeypatch.setitem(client.SERVER, name, 1_000)
    with MilvusStore(proxy.uri, empty_milvus_server.token) as store:
        made(store)
        proxy.forget()
        assert store.properties(NAME)["promotion.service"] == "shop"


def test_after_a_late_answer_the_connection_is_looked_at_and_renewed(proxy, hurried):
    """A client in a hurry loses the call that met the dead connection, and no other."""
    proxy.forget()
    with pytest.raises(Unreachable) as failed:
        hurried.collections()
    assert one_line(failed.value)
    assert hurried.collections() == []


def test_a_connection_that_was_silent_is_looked_at_before_it_is_used(proxy, hurried, monkeypatch):
    """Nothing is lost then, not even by who is in a hurry."""
    monkeypatch.setattr(line, "SILENCE_SECONDS", 0.0)
    proxy.forget()
    assert hurried.collections() == []


def test_many_threads_on_a_dead_connection_each_end_in_one_line_and_go_on_when_it_is_mended(proxy, hurried):
    """None waits for all the others in turn."""
    proxy.swallow()
    with ThreadPoolExecutor(16) as pool:
        lost = [pool.submit(hurried.collections) for _ in range(16)]
        assert all(one_line(each.exception()) for each in lost), lost
        proxy.mend()
        found = [pool.submit(hurried.collections) for _ in range(16)]
        assert [each.result() for each in found] == [[]] * 16


def test_a_proxy_that_refuses_is_told_in_one_line(proxy, hurried):
    """And is connected to again when it is well."""
    proxy.refuse()
    with pytest.raises(Unreachable, match="stopped answering"):
        hurried.collections()
    proxy.mend()
    assert any(_is_answered(hurried) for _ in range(10))


def _is_answered(store: MilvusStore) -> bool:
    try:
        return store.collections() == []
    except Unreachable:
        return False


def test_who_connects_in_vain_holds_up_nobody_else(proxy, empty_milvus_server):
    """pymilvus alone lets all clients of a process wait while one of them connects (3.0.2): one cluster that is dead would hide the others."""
    proxy.swallow()
    token = empty_milvus_server.token
    with MilvusStore(proxy.uri, token, patience=4.0) as dead, MilvusStore(empty_milvus_server.uri, token) as well:
        with ThreadPoolExecutor(1) as pool:
            connecting = pool.submit(dead.connect)
            while not proxy.accepted:
                time.sleep(0.01)
            assert well.collections() == []
            assert not connecting.done()
            assert "does not answer" in str(connecting.exception())


def test_who_writes_in_vain_holds_up_nobody_elses_writing(proxy, empty_milvus_server):
    """The fast way of writing is each connection's own as well, and one that cannot be had is told in one line."""
    proxy.swallow()
    token = empty_milvus_server.token
    with Connection(proxy.uri, token, patience=3.0) as dead, Connection(empty_milvus_server.uri, token) as well, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: dead.wire)
        while not proxy.accepted:
            time.sleep(0.01)
        assert well.wire and not waiting.done()
        assert one_line(waiting.exception())


def test_the_fast_way_is_found_though_the_connection_died_before_its_first_use(proxy, store, monkeypatch):
    """As after minutes in which a model was loaded."""
    monkeypatch.setattr(line, "SILENCE_SECONDS", 0.0)
    monkeypatch.setattr(line, "ASKED_SECONDS", 1.0)
    proxy.forget()
    assert store._milvus.wire


def test_who_is_in_a_hurry_gives_no_attempt_more_time_than_that(hurried, monkeypatch):
    """Nor those that read pages and write rows past MilvusClient."""
    given = []
    query, upsert = Wire.query, Wire.upsert
    monkeypatch.setattr(Wire, "query", lambda self, *args, **how: given.append(args[3]) or query(self, *args, **how))
    monkeypatch.setattr(Wire, "upsert", lambda self, *args: given.append(args[1]) or upsert(self, *args))
    collection = made(hurried)
    collection.write(rows([1]), vectors(1))
    with pytest.raises(Refused, match="not loaded"):
        collection.existing([1])
    assert given == [3.0, 3.0]


def test_a_creation_whose_answer_was_lost_is_recognised(proxy, store):
    """It is neither sent blindly again nor taken for somebody else's."""
    proxy.lose_the_next_answer()
    made(store)
    assert proxy.lost == 1
    assert store.properties(NAME)["promotion.service"] == "shop"


def test_a_collection_of_somebody_else_is_not_taken_for_ours(empty_milvus_server):
    """2.3.5 answers "done" to whoever creates what is there already with the same fields."""
    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as store:
        made(store)
        properties = stamp(layout=layout()).properties()

        def ask(method, *args, **kwargs):
            return getattr(store._milvus._client, method)(*args, **kwargs)

        ours = {"schema": schema(layout()), "properties": properties}
        repeating.unless_done(ask, "create_collection", (NAME,), ours)
        theirs = ours | {"properties": properties | {"promotion.build": "another"}}
        with pytest.raises(Refused, match="of somebody else"):
            repeating.unless_done(ask, "create_collection", (NAME,), theirs)


def test_a_claim_whose_answer_was_lost_is_won(proxy, store):
    """By its token; another's is not."""
    proxy.lose_the_next_answer()
    assert store.claim("ledger", "0a", {}) and proxy.lost == 1
    assert not store.claim("ledger", "0b", {})


def test_an_alias_whose_creation_was_not_answered_is_recognised(proxy, store):
    """To find it done is no failure. (What moves it: `test_overtaken`.)"""
    made(store)
    proxy.lose_the_next_answer()
    store._milvus.call("create_alias", NAME, "shop_prod")
    assert proxy.lost == 1
    assert store.target("shop_prod") == NAME


def test_what_must_not_be_done_twice_is_sent_once(proxy, store):
    """pymilvus alone would insert again, and the rows would be there twice (3.0.2)."""
    collection = made(store)
    fields = store._milvus.call("describe_collection", NAME)["fields"]
    row = {field["name"]: [0.1] * DIMENSION if field["name"] == VECTOR else 1 for field in fields}
    store._milvus.call("insert", NAME, [row])  # after which pymilvus knows the fields, and asks for nothing but the insertion
    proxy.lose_the_next_answer()
    with pytest.raises(Unreachable, match="whether that was done is not known"):
        store._milvus.call("insert", NAME, [row])
    collection.flush()
    assert int(store._milvus.call("get_collection_stats", NAME)["row_count"]) == 2


def test_every_call_of_the_kit_is_known_to_be_repeated_or_not():
    """A new one is sent once until somebody has thought about it; here it is asked for."""
    called = {
        node.args[0].value
        for path in SCRIPTS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("self._milvus.call", "milvus.call")
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    assert len(called) > 30
    assert called <= repeating.READING | repeating.SETTING | set(repeating.MAKING)


def test_a_closed_connection_says_so(store):
    """Closing twice is no fault; a call that waits for a server is not waited for."""
    store.close()
    store.close()
    with pytest.raises(UsageError, match="is closed"):
        store.collections()
    with Connection("http://127.0.0.1:9", "") as never, pytest.raises(Unreachable, match="Nothing answers"):
        never.call("list_collections")


def test_a_call_that_waits_ends_when_the_connection_is_closed(proxy, store):
    """In its own thread, in one line."""
    proxy.refuse()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.collections)
        seen = proxy.accepted
        while proxy.accepted == seen:
            time.sleep(0.01)
        store.close()
        assert "is closed" in str(waiting.exception())


def test_what_is_denied_is_an_error_of_its_own(empty_milvus_server):
    """With the privilege that is lacking, so that nobody has to read the line."""
    user, password = "somebody", "secret-of-somebody"
    with Connection(empty_milvus_server.uri, empty_milvus_server.token) as root:
        root.call("create_user", user, password)
        try:
            with Connection(empty_milvus_server.uri, f"{user}:{password}") as theirs, pytest.raises(NotPermitted) as denied:
                theirs.call("drop_collection", "nothing")
        finally:
            root.call("drop_user", user)
    assert (denied.value.exit_code, denied.value.privilege) == (5, "DropCollection")


def test_a_server_that_is_paused_is_not_taken_for_one_that_does_not_let_us_in(empty_milvus_server):
    """A call that had begun is answered when the server goes on; who comes anew is told that nobody answers, and not to look at the token."""
    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as store, ThreadPoolExecutor(1) as pool:
        made(store)
        empty_milvus_server.pause()
        try:
            waiting = pool.submit(store.properties, NAME)
            with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token, patience=2.0) as other, pytest.raises(Unreachable, match="does not answer"):
                other.connect()
            assert not waiting.done()
        finally:
            empty_milvus_server.resume()
        assert waiting.result()["promotion.service"] == "shop"


def test_a_server_that_is_not_ready_is_not_taken_for_one_that_does_not_let_us_in(empty_milvus_server):
    """So 2.3.5 answers who connects after it was stopped for 45 s, until it ends; nobody should look at the token then."""
    said = MilvusException(65535, "service not ready[standalone=1]: Abnormal")
    assert "is up, but not yet all parts of it" in str(faults.no_connection(empty_milvus_server.uri, OPEN, 1.0, said))
    with Connection(empty_milvus_server.uri, "root:wrong") as unknown, pytest.raises(NotLetIn):
        unknown.connect()


def test_threads_that_share_a_connection_outlive_a_kill_of_the_server(milvus_wheel, tmp_path):
    """Readers and writers: every call is answered, and no row is lost or there twice. (A server of its own: its session ends soon.)"""
    with MilvusServer(tmp_path, milvus_wheel, {"COMMON_SESSION_TTL": "10"}) as server, MilvusStore(server.uri, server.token) as store:
        collection = made(store)

        def work(number: int) -> None:
            for turn in range(4):
                if number % 2:
                    collection.write(rows([100 * number + turn]), vectors(1))
                else:
                    assert store.properties(NAME)["promotion.service"] == "shop"

        with ThreadPoolExecutor(12) as pool:
            work(1)
            server.kill()
            running = [pool.submit(work, number) for number in range(12)]
            server.start()
            ended = [each.exception() for each in running]
        assert ended == [None] * 12
        assert sorted(key for page in collection.contents() for key in page.keys) == sorted(100 * n + t for n in range(1, 12, 2) for t in range(4))
