"""A switch, a rollback, and all that can go wrong meanwhile: queries are answered, by one pair each."""

import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from scripts.errors import KitError, Refused
from scripts.jobs.promote import promote
from scripts.jobs.rollback import rollback
from scripts.jobs.validate import validate
from scripts.serving import Backends
from scripts.serving.model_files import ModelFiles
from tests.servers import MlflowServer
from tests.serving.place import NAMES, eventually, follows


@contextmanager
def asked_without_end(place, searcher, threads: int):
    """So many threads ask while the block runs. Gives what they saw: pairs that answered, and every answer that was nobody's or failed."""
    pairs, wrong, stop = set(), [], threading.Event()

    def ask(first: int) -> None:
        for product in range(first, 10**9):
            if stop.is_set():
                return
            key = product % len(NAMES) + 1
            try:
                answer = searcher.search(NAMES[key], limit=5)
            except KitError as error:
                wrong.append(str(error))
                continue
            pairs.add(answer.pair)
            if not place.recognises(answer, key):
                wrong.append(f"{answer.pair} answered {NAMES[key]} with {answer.hits}")

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(ask, number * 37) for number in range(threads)]
        try:
            yield pairs, wrong
        finally:
            stop.set()
        for thread in running:
            thread.result()


def test_no_answer_is_mixed_while_production_switches(place, searching):
    """Threads ask while the alias moves to and fro; every answer is wholly that of the pair which it names."""
    searcher = searching()
    with asked_without_end(place, searcher, threads=4) as (pairs, wrong):
        for turn in range(8):
            pair = (place.second, place.first)[turn % 2]
            place.switch(pair)
            follows(searcher, pair)
    assert wrong == []
    assert pairs == {place.first, place.second}


def test_the_kit_s_own_promotion_and_rollback_are_followed(place, searching):
    """By the jobs themselves, not by moving the alias."""
    searcher = searching()
    with place.kit() as kit:
        validate(kit, place.second)
        promote(kit, place.second)
        follows(searcher, place.second)
        assert place.recognises(searcher.search(NAMES[3]), 3)
        rollback(kit, to=None, reason="", dry_run=False)
        follows(searcher, place.first)
        assert place.recognises(searcher.search(NAMES[3]), 3)


def test_no_query_waits_while_the_next_model_loads(place, searching):
    """It takes as long as it takes; production's last pair answers, and the next takes over when it has answered itself."""
    searcher = searching()
    place.load_gate.unlink()
    place.switch(place.gated)
    eventually(lambda: loading(place))
    for product in range(1, 50):
        assert searcher.search(NAMES[product]).pair == place.first
    place.load_gate.touch()
    follows(searcher, place.gated)
    assert place.recognises(searcher.search(NAMES[3]), 3)


def loading(place) -> bool:
    return any(name == "load.gate" for name in waiting_for_gates())


def waiting_for_gates() -> list[str]:
    """The gates at which a test model waits in some thread of this process."""
    import sys

    found = []
    for frame in sys._current_frames().values():
        while frame:
            if frame.f_code.co_name == "wait_for":
                found.append(str(frame.f_locals.get("path", "")).rpartition("/")[2])
            frame = frame.f_back
    return found


def test_a_pair_that_was_rolled_back_while_it_loaded_never_answers(place, searching):
    """The alias is looked at again before the new pair takes over."""
    searcher = searching()
    place.load_gate.unlink()
    place.switch(place.gated)
    eventually(lambda: loading(place))
    place.switch(place.second)
    with asked_without_end(place, searcher, threads=1) as (pairs, wrong):
        place.load_gate.touch()
        follows(searcher, place.second)
    assert place.gated not in pairs and not wrong


def test_a_query_under_way_is_answered_by_the_pair_that_it_began_with(place, searching):
    """The pair is kept until the last such query has its answer, and said to be draining; then it is gone."""
    place.switch(place.stuck)
    searcher = searching()
    place.encode_gate.unlink()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(searcher.search, NAMES[3])
        eventually(lambda: "encode.gate" in waiting_for_gates())
        place.switch(place.second)
        follows(searcher, place.second)
        assert searcher.search(NAMES[4]).pair == place.second
        assert searcher.health().draining == (place.stuck,)
        place.encode_gate.touch()
        answer = slow.result()
    assert answer.pair == place.stuck and place.recognises(answer, 3)
    del slow, answer
    eventually(lambda: gc.collect() >= 0 and searcher.health().draining == ())


def test_the_searcher_goes_on_when_the_alias_cannot_be_looked_at(place, searching):
    """Whatever is raised, it says so and follows again when it can."""
    searcher = searching()
    look, searcher._following._look = searcher._following._look, failing
    eventually(lambda: searcher.health().trouble)
    assert searcher.health().trouble == "The alias cannot be followed: no route to host"
    assert place.recognises(searcher.search(NAMES[3]), 3)
    searcher._following._look = look
    place.switch(place.second)
    follows(searcher, place.second)
    assert searcher.health().well


def failing(*args, **kwargs):
    raise RuntimeError("no route\nto host")


def test_the_searcher_goes_on_when_the_alias_is_gone(place, searching):
    """Also where it dangles: the last known production answers."""
    searcher = searching()
    place.store.withdraw(place.alias)
    eventually(lambda: "does not point to a pair" in searcher.health().trouble)
    assert place.recognises(searcher.search(NAMES[3]), 3)
    place.switch(place.second)
    follows(searcher, place.second)


def test_mlflow_is_needed_only_for_files_that_are_not_here(place, searching, tmp_path):
    """Without it a searcher starts with models that were fetched before, goes on when the next model cannot be fetched, and says why."""
    models = place.shop.folder / "fetched"
    with MlflowServer(tmp_path / "mlflow") as server:
        dead = server.uri
    searching(models=models).close()
    searcher = searching(models=models, backends=Backends(place.store, ModelFiles(dead), models))
    place.switch(place.second)
    eventually(lambda: searcher.health().trouble)
    assert f"{place.second} is production and cannot be made ready: Nothing answers at MLFLOW_TRACKING_URI" in searcher.health().trouble
    assert place.recognises(searcher.search(NAMES[3]), 3)
    place.switch(place.first)
    eventually(lambda: searcher.health().well)
    with pytest.raises(KitError, match="Nothing answers at MLFLOW"):
        searching(models=tmp_path / "empty", backends=Backends(place.store, ModelFiles(dead), tmp_path / "empty"))


def test_a_model_that_cannot_be_loaded_is_tried_ever_less_often(place, searching, caplog):
    """And told once, not with every look."""
    searcher = searching()
    tries = []
    searcher._following._ready = lambda *pair: tries.append(pair) or failing()
    with caplog.at_level(logging.WARNING, logger="scripts.serving"):
        place.switch(place.second)
        looks = searcher._following._looks
        eventually(lambda: searcher._following._looks > looks + 15)
    assert 1 <= len(tries) < 5
    assert [record.message for record in caplog.records] == [f"{place.second} is production and cannot be made ready: no route to host"]
    assert searcher.search(NAMES[3]).pair == place.first


def test_a_pair_that_is_released_under_its_queries_is_looked_for_behind_the_alias(place, searching):
    """The query that meets it looks at once, and is answered by the next pair instead of failing."""
    searcher = searching(poll=3600.0)
    place.switch(place.second)
    place.store.open(place.first).release()
    try:
        answer = searcher.search(NAMES[3])
        assert answer.pair == place.second and place.recognises(answer, 3)
    finally:
        place.store.open(place.first).load()


def test_a_pair_that_is_released_while_it_is_production_says_so(place, searching):
    """There is nothing else to ask: one line that names what helps, and no waiting for the next look."""
    searcher = searching(poll=3600.0)
    place.store.open(place.first).release()
    try:
        with pytest.raises(Refused, match="not loaded"):
            searcher.search(NAMES[3])
    finally:
        place.store.open(place.first).load()
    assert place.recognises(searcher.search(NAMES[3]), 3)


def test_a_pair_that_is_not_loaded_does_not_take_over(place, searching):
    """The alias moves to a released collection without a word; the searcher notices before its queries do."""
    searcher = searching()
    place.store.open(place.second).release()
    try:
        place.switch(place.second)
        eventually(lambda: "not loaded" in searcher.health().trouble)
        assert searcher.search(NAMES[3]).pair == place.first
    finally:
        place.store.open(place.second).load()
    follows(searcher, place.second)


def test_a_look_that_is_asked_for_while_another_is_under_way_is_a_new_one(place, searching):
    """What the earlier look saw may be older than the failure."""
    searcher = searching(poll=3600.0)
    seen, go_on = threading.Event(), threading.Event()
    look = searcher._following._look

    def slow():
        found = look()
        seen.set()
        go_on.wait()
        return found

    searcher._following._look = slow
    live = searcher._following.now.production
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(searcher._following.look_again, live, 60.0)
        seen.wait()
        place.switch(place.second)
        second = pool.submit(searcher._following.look_again, live, 60.0)
        time.sleep(0.1)
        go_on.set()
        assert second.result().name == place.second
        first.result()
