"""One promotion, rollback or cleanup at a time; a dead one does not stand in the way, and a living one can be broken."""

from __future__ import annotations

import itertools
import multiprocessing
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from scripts import heartbeat, ledger, lock
from scripts.adapters.milvus import MilvusStore
from scripts.errors import Refused, Unreachable
from scripts.ledger import Act, ActKind, Holder

ALIAS = "shop_prod"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(autouse=True)
def quick_beats(monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.4)
    monkeypatch.setattr(heartbeat, "SILENCE_SECONDS", 3.0)


@pytest.fixture
def store(milvus):
    with MilvusStore(milvus.uri, milvus.token) as store:
        yield store


def holder(doing: str = "promotion of shop_v1_00000001", token: str = "") -> Holder:
    return Holder(token=token or heartbeat.new_token(), doing=doing, by="ann", since=NOW)


def act(number: int, **changes) -> Act:
    return Act(kind=ActKind.PROMOTION, id=f"{number:03d}", at=NOW, by="ann", alias=ALIAS, **changes)


def dead_holder() -> Holder:
    return holder(token=f"{heartbeat._host()}/{2**22 + 1}/abcdef01")


def test_a_second_one_is_refused_and_told_who_holds_it(store):
    """It takes as long as a beat to see that the first one lives."""
    with lock.held(store, ALIAS, holder()):
        with pytest.raises(Refused, match=r"locked: promotion of shop_v1_00000001, begun by ann at 2026-11-21 00:00:00 UTC, on \S+, which is still"):
            with lock.held(store, ALIAS, holder("cleanup")):
                pass


def test_a_released_lock_is_taken_again_and_again(store):
    """One ledger is left each time, and the acts travel along."""
    for number in range(1, 4):
        with lock.held(store, ALIAS, holder()) as held:
            held.check()
            held.record(act(number))
    assert [each.id for each in ledger.read(store, ALIAS).acts] == ["001", "002", "003"]
    assert store.collections() == [f"{ALIAS}_ledger_3"]
    assert ledger.read(store, ALIAS).holder is None


def test_a_failure_releases_it(store):
    """Also Ctrl-C."""
    with pytest.raises(KeyboardInterrupt), lock.held(store, ALIAS, holder()):
        raise KeyboardInterrupt
    assert ledger.read(store, ALIAS).holder is None


@pytest.mark.parametrize("left", [dead_holder, lambda: holder(token="elsewhere@1/17/abcdef01")], ids=["this machine", "another machine"])
def test_a_dead_holder_is_passed_over(store, left):
    """On this machine at once, on another when it has been silent for long enough; what it wrote down stays."""
    lock.break_open(store, ALIAS, left()).record(act(1))
    with lock.held(store, ALIAS, holder()) as held:
        held.check()
        assert [each.id for each in held.acts()] == ["001"]


class StandingStill:
    """A store whose second look takes `seconds`."""

    def __init__(self, store: MilvusStore, seconds: float) -> None:
        self._store, self._seconds, self._looks = store, seconds, 0
        self.over = threading.Event()

    def properties(self, name: str) -> dict[str, str] | None:
        found = self._store.properties(name)
        self._looks += 1
        if self._looks == 2:
            time.sleep(self._seconds)
            self.over.set()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_server_that_stands_still_makes_nobody_dead(store, monkeypatch):
    """While it does, the beats of one who lives do not get through either: what counts is the time in which it answered."""
    monkeypatch.setattr(heartbeat, "SILENCE_SECONDS", 1.5)
    theirs, standing = lock.break_open(store, ALIAS, holder(token="elsewhere@1/17/abcdef01")), StandingStill(store, seconds=2.0)
    ended = threading.Event()

    def live():
        standing.over.wait()
        for count in itertools.count(1):
            if ended.wait(0.2):
                return
            theirs.beat(count)

    living = threading.Thread(target=live)
    living.start()
    try:
        with pytest.raises(Refused, match="which is still at work"), lock.held(standing, ALIAS, holder()):
            pass
    finally:
        ended.set()
        living.join()
    theirs.check()


class Gone:
    """A store to which nothing can be written once it is `away`."""

    def __init__(self, store: MilvusStore) -> None:
        self._store, self.away, self.refused = store, False, []

    def set_properties(self, name: str, properties: dict[str, str]) -> None:
        if self.away:
            self.refused.append(properties)
            raise Unreachable("Milvus stopped answering.")
        self._store.set_properties(name, properties)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_server_that_is_away_is_not_asked_to_take_the_lock_back(store):
    """Who is told so has waited for it for a minute already, and not for another one; whoever comes next sees that nobody beats."""
    gone = Gone(store)
    with pytest.raises(Unreachable), lock.held(gone, ALIAS, holder()):
        gone.away = True
        while not gone.refused:
            time.sleep(0.02)
        raise Unreachable("Milvus stopped answering.")
    assert [ledger.RELEASED in each for each in gone.refused] == [False]


def test_whose_lock_was_broken_finds_out_before_its_next_step(store):
    """And it does not release what is another's."""
    with lock.held(store, ALIAS, holder()) as held:
        lock.break_open(store, ALIAS, holder("unlock"))
        with pytest.raises(Refused, match=f"lock on {ALIAS} was taken over: unlock, begun by ann"):
            held.check()
    assert ledger.read(store, ALIAS).holder.doing == "unlock"


def test_who_comes_late_with_an_old_view_has_nothing(store):
    """A number that is gone can be made again, but it is not the newest."""
    for _ in range(2):
        with lock.held(store, ALIAS, holder()):
            pass
    assert lock._next(store, ALIAS, holder(), None) is None
    assert store.collections() == [f"{ALIAS}_ledger_2"]


def test_what_a_holder_wrote_while_it_was_taken_for_dead_is_kept(store):
    """Its act was done, so it belongs into the history."""
    first = lock.break_open(store, ALIAS, dead_holder())
    seen = ledger.read(store, ALIAS)
    first.record(act(1))
    assert [each.id for each in lock._next(store, ALIAS, holder(), seen).acts()] == ["001"]


def test_an_act_is_recorded_once(store):
    """A crashed act that is finished later has the same id."""
    with lock.held(store, ALIAS, holder()) as held:
        held.record(act(1, outcome="failed"))
        held.record(act(1))
        assert [each.outcome for each in held.acts()] == ["done"]


def test_only_the_newest_acts_are_carried_on(store):
    """A ledger stays small; a full one can be taken along and read."""
    acts = tuple(act(number, why="x" * 500) for number in range(ledger.ACTS_KEPT + 5))
    written = {key: value for each in acts for key, value in ledger.property_of(each).items()}
    store.claim(ledger.name_of(ALIAS, 1), "aa", written | {ledger.RELEASED: "yes"})
    with lock.held(store, ALIAS, holder()) as held:
        assert held.acts() == acts[5:]


def test_a_ledger_that_cannot_be_read_keeps_nobody_out(store):
    """Whoever holds it must beat; and an act that only a newer kit can read is carried on."""
    newer = {"promotion.act.002": '{"kind": "merger"}'}
    store.claim(ledger.name_of(ALIAS, 1), "aa", {ledger.HOLDER: "{"} | newer | ledger.property_of(act(1)))
    with lock.held(store, ALIAS, holder()) as held:
        assert [each.id for each in held.acts()] == ["001"]
        assert newer.items() <= store.properties(held.name).items()


def test_a_claim_repeated_by_its_owner_succeeds(store):
    """An answer may be lost on the way."""
    assert store.claim("shop_prod_ledger_1", "aa", {"promotion.beat": "1"})
    assert store.claim("shop_prod_ledger_1", "aa", {"promotion.beat": "1"})
    assert not store.claim("shop_prod_ledger_1", "bb", {"promotion.beat": "1"})


def _contend(uri: str, token: str, go, inside, won) -> None:
    with MilvusStore(uri, token) as store:
        for _ in range(5):
            go.wait()
            try:
                with lock.held(store, ALIAS, holder()) as held:
                    held.check()
                    with inside.get_lock():
                        inside.value += 1
                        assert inside.value == 1, "two at once"
                    time.sleep(0.05)
                    with inside.get_lock():
                        inside.value -= 1
                    with won.get_lock():
                        won.value += 1
            except Refused:
                pass


def test_of_several_processes_never_two_hold_it(empty_milvus_server):
    """Six processes, five times at once, the first time beside a dead holder: never two inside, and nobody is left out who waits its turn."""
    with MilvusStore(empty_milvus_server.uri, empty_milvus_server.token) as store:
        lock.break_open(store, ALIAS, dead_holder())
    spawn = multiprocessing.get_context("spawn")
    go, inside, won = spawn.Barrier(6), spawn.Value("i", 0), spawn.Value("i", 0)
    processes = [spawn.Process(target=_contend, args=(empty_milvus_server.uri, empty_milvus_server.token, go, inside, won)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 6
    assert won.value >= 5


def test_threads_of_one_process_never_hold_it_together(store):
    """Each has a token of its own."""
    inside, most = [], []

    def contend():
        try:
            with lock.held(store, ALIAS, holder()):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.05)
                inside.pop()
        except Refused:
            pass

    threads = [threading.Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
