"""One process at a time fills a pair; a dead one does not stand in the way."""

from __future__ import annotations

import threading
import time

import pytest

from scripts import heartbeat
from scripts.adapters.milvus import MilvusStore
from scripts.errors import Refused
from scripts.lease import lease
from scripts.shards import Shard
from tests.test_pair import stamp

NAME = "shop_v1_00000001"


@pytest.fixture
def store(milvus, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.5)
    monkeypatch.setattr(heartbeat, "SILENCE_SECONDS", 4.0)
    with MilvusStore(milvus.uri, milvus.token) as opened:
        opened.create(NAME, stamp().layout, stamp().properties())
        yield opened


def leave_behind(store, value, shard="0-of-1"):
    store.set_properties(NAME, {f"promotion.lease.{shard}": value})


def test_a_second_process_is_refused_while_the_first_lives(store):
    """It sees the other's beat. Afterwards the way is free."""
    with lease(store, NAME, Shard()), pytest.raises(Refused, match=r"is being filled by another process on \S+\."), lease(store, NAME, Shard()):
        pass
    with lease(store, NAME, Shard()) as check:
        check()


def test_shards_do_not_wait_for_each_other_but_for_other_divisions(store):
    """0/2 and 1/2 have no key in common; 0/3 has."""
    with lease(store, NAME, Shard(0, 2)), lease(store, NAME, Shard(1, 2)):
        with pytest.raises(Refused, match=r"\(shard [01]-of-2\)"), lease(store, NAME, Shard(0, 3)):
            pass
        with pytest.raises(Refused), lease(store, NAME, Shard()):
            pass


def test_a_holder_that_is_dead_is_passed_over(store):
    """On another machine after a silence, on this one at once, because its process is gone."""
    leave_behind(store, "elsewhere@1/17/abcdef/9")
    with lease(store, NAME, Shard()) as check:
        check()
    leave_behind(store, f"{heartbeat._host()}/{2**22 + 1}/abcdef/9")
    with lease(store, NAME, Shard()) as check:
        check()


def test_who_comes_while_one_waits_is_seen_as_well(store):
    """A dead process is waited for; meanwhile a living one begins, with another division of the same keys."""
    leave_behind(store, "elsewhere@1/17/abcdef/9", "0-of-3")
    ended = threading.Event()

    def live():
        for count in range(100):
            if ended.wait(0.2):
                return
            leave_behind(store, f"elsewhere@1/18/abcdef/{count}", "0-of-2")

    living = threading.Thread(target=live)
    living.start()
    try:
        with pytest.raises(Refused, match="shard 0-of-2"), lease(store, NAME, Shard()):
            pass
    finally:
        ended.set()
        living.join()


def test_who_was_taken_for_dead_notices(store):
    """A machine that stood still for longer than the silence must not go on beside its successor."""
    with lease(store, NAME, Shard()) as check:
        leave_behind(store, "elsewhere@1/17/abcdef/0")
        with pytest.raises(Refused, match="took over"):
            for _ in range(100):
                check()
                time.sleep(0.1)
    assert store.properties(NAME)["promotion.lease.0-of-1"].startswith("elsewhere")


def test_the_stamp_is_not_touched(store):
    """A lease is no part of what a pair is."""
    before = stamp().read(NAME, store.properties(NAME))
    with lease(store, NAME, Shard(1, 4)):
        assert stamp().read(NAME, store.properties(NAME)) == before
