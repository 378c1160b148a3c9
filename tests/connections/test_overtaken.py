"""A call whose answer was lost is sent again a minute later at the worst. By then another process may have gone on, and nothing of that is undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from scripts import ledger
from scripts.adapters.milvus import MilvusStore, repeating
from scripts.adapters.milvus.connection import Connection
from scripts.errors import ProductionMoved, Refused
from scripts.lock import Lock
from tests.adapters.test_milvus import NAME, made
from tests.connections.proxy import Proxy

SECOND, THIRD, ALIAS = "shop_v2_00000002", "shop_v3_00000003", "shop_prod"


@pytest.fixture
def other(empty_milvus_server) -> Iterator[MilvusStore]:
    """Another process, whose connection is well."""
    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as opened:
        yield opened


@pytest.fixture
def ours(empty_milvus_server, other, monkeypatch) -> Iterator[Ours]:
    with Proxy(empty_milvus_server.uri) as proxy, MilvusStore(proxy.uri, empty_milvus_server.token) as store:
        yield Ours(store, proxy, monkeypatch)


class Ours:
    """A store; the first answer to what it looks at before it sends is lost when `losing` was called."""

    def __init__(self, store: MilvusStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.looks = 0
        self._proxy, self._monkeypatch = proxy, monkeypatch

    def losing(self, meanwhile: Callable[[], object] = lambda: None) -> MilvusStore:
        """`meanwhile` happens between the lost answer and the next look."""
        call_if = Connection.call_if

        def watched(connection: Connection, is_to_do: Callable[..., bool], method: str, *args: str) -> None:
            def look(ask: repeating.Ask) -> bool:
                self.looks += 1
                if self.looks == 2:
                    meanwhile()
                answer = is_to_do(ask)
                if self.looks == 1:
                    self._proxy.lose_the_next_answer()
                return answer

            call_if(connection, look if connection is self.store._milvus else is_to_do, method, *args)

        self._monkeypatch.setattr(Connection, "call_if", watched)
        return self.store


def test_a_move_whose_answer_was_lost_is_recognised(ours, other):
    """Once is enough: to find it done is no failure."""
    for name in (NAME, SECOND):
        made(other, name)
    other.point(ALIAS, NAME)
    ours.losing().point(ALIAS, SECOND)
    assert (other.target(ALIAS), ours.looks) == (SECOND, 2)


def test_an_alias_that_another_has_moved_since_is_not_moved_again(ours, other):
    """Whoever took the lock over from a promoter that was cut off keeps what it has made production."""
    for name in (NAME, SECOND, THIRD):
        made(other, name)
    other.point(ALIAS, NAME)
    with pytest.raises(ProductionMoved, match=f"now it points to {THIRD}"):
        ours.losing(lambda: other.point(ALIAS, THIRD)).point(ALIAS, SECOND)
    assert (other.target(ALIAS), ours.looks) == (THIRD, 2)


def test_an_alias_that_another_has_moved_back_is_not_moved_again(ours, other):
    """It looks as if nothing had been done; but who has rolled back meanwhile has the lock, and that is looked at as well."""
    for name in (NAME, SECOND):
        made(other, name)
    other.point(ALIAS, NAME)
    lock = Lock(other, ALIAS, 1)

    def rolled_back() -> None:
        assert other.target(ALIAS) == SECOND
        other.point(ALIAS, NAME)
        other.claim(ledger.name_of(ALIAS, 2), "another", {})

    other.claim(lock.name, "ours", {})
    with pytest.raises(Refused, match=f"The lock on {ALIAS} was taken over"):
        ours.losing(rolled_back).point(ALIAS, SECOND, lock.check)
    assert (other.target(ALIAS), ours.looks) == (NAME, 2)


def test_an_alias_that_another_has_set_again_is_not_withdrawn_again(ours, other):
    """Of a first promotion that is taken back, and that somebody else has made once more meanwhile."""
    made(other)
    other.point(ALIAS, NAME)
    lock = Lock(other, ALIAS, 1)

    def promoted_again() -> None:
        assert other.target(ALIAS) is None
        other.point(ALIAS, NAME)
        other.claim(ledger.name_of(ALIAS, 2), "another", {})

    other.claim(lock.name, "ours", {})
    with pytest.raises(Refused, match=f"The lock on {ALIAS} was taken over"):
        ours.losing(promoted_again).withdraw(ALIAS, lock.check)
    assert (other.target(ALIAS), ours.looks) == (NAME, 2)


def test_a_withdrawal_whose_answer_was_lost_is_recognised(ours, other):
    """It is recognised."""
    for name in (NAME, SECOND):
        made(other, name)
    other.point(ALIAS, NAME)
    ours.losing().withdraw(ALIAS)
    assert (other.target(ALIAS), ours.looks) == (None, 2)


def test_a_withdrawal_takes_away_no_alias_that_another_has_moved_since(ours, other):
    """It was sent, and came to nothing as far as anybody knows."""
    for name in (NAME, SECOND):
        made(other, name)
    other.point(ALIAS, NAME)
    with pytest.raises(ProductionMoved, match=f"now it points to {SECOND}"):
        ours.losing(lambda: other.point(ALIAS, SECOND)).withdraw(ALIAS)
    assert (other.target(ALIAS), ours.looks) == (SECOND, 2)


def test_a_collection_that_another_has_made_since_is_not_dropped(ours, other):
    """It has the name, but is another: a pair that was restored, say."""
    made(other)
    ours.losing(lambda: made(other)).drop(NAME)
    assert (NAME in other.collections(), ours.looks) == (True, 2)


def test_a_drop_whose_answer_was_lost_is_recognised(ours, other):
    """To find it done is no failure."""
    made(other)
    ours.losing().drop(NAME)
    assert (other.collections(), ours.looks) == ([], 2)


def test_what_another_has_made_production_since_is_not_released_again(other):
    """A lost answer is taken for done then; without an alias it is sent again."""
    made(other)
    asked = []

    def ask(method: str, *args: str, **kwargs: float) -> object:
        asked.append(method)
        return getattr(other._milvus._client, method)(*args, **kwargs)

    other.point(ALIAS, NAME)
    repeating.unless_done(ask, "release_collection", (NAME,), {})
    assert "release_collection" not in asked
    other.withdraw(ALIAS)
    repeating.unless_done(ask, "release_collection", (NAME,), {})
    assert "release_collection" in asked
