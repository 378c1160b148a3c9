"""One query: which pair answers, with what, and what is refused before anybody works on it."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from scripts.errors import Refused, Unreachable, UsageError
from scripts.pair import Stamp
from scripts.serving import Backends, PairSearcher
from scripts.serving.model_files import ModelFiles
from tests.conftest import ROOT
from tests.serving.place import NAMES, eventually, follows


def test_an_answer_is_production_s_own_and_says_so(place, searching):
    """Encoded by the stamped model, found in the stamped collection."""
    searcher = searching()
    answer = searcher.search(NAMES[7], limit=5)
    assert answer.pair == place.first == searcher.pair
    assert len(answer.hits) == 5
    assert place.recognises(answer, 7)


def test_filters_and_fields_are_the_collection_s(searching):
    """As Milvus takes them."""
    answer = searching().search("red sofa", filter="price_cents < 500", fields=["name", "price_cents"])
    assert len(answer.hits) == 4
    assert all(hit.fields == {"name": NAMES[hit.key], "price_cents": 100 * hit.key} for hit in answer.hits)


def test_many_texts_are_answered_in_their_order_by_one_pair(place, searching):
    """More than the model takes at a time."""
    asked = [*NAMES][:150]
    answers = searching().search_many([NAMES[product] for product in asked], limit=3)
    assert len({answer.query_id for answer in answers}) == 150
    assert all(place.recognises(answer, product) for answer, product in zip(answers, asked, strict=True))
    assert searching().search_many([]) == []


def test_an_event_loop_goes_on_while_queries_wait(place, searching):
    """Several at once, and the loop turns meanwhile."""
    searcher = searching()

    async def both() -> int:
        turns = 0
        queries = asyncio.gather(*(searcher.asearch(NAMES[product]) for product in range(1, 21)))
        while not queries.done():
            turns += 1
            await asyncio.sleep(0)
        assert all(place.recognises(answer, product) for product, answer in enumerate(queries.result(), start=1))
        assert len(await searcher.asearch_many(["red sofa", "blue lamp"])) == 2
        return turns

    assert asyncio.run(both()) > 20


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"text": ""}, "not empty"),
        ({"text": "  \n"}, "not empty"),
        ({"text": None}, "not empty"),
        ({"text": "x" * 100_001}, "characters"),
        ({"limit": 0}, "from 1 to"),
        ({"limit": 16_385}, "from 1 to"),
        ({"limit": "10"}, "from 1 to"),
        ({"limit": True}, "from 1 to"),
        ({"fields": ["colour"]}, "colour"),
        ({"fields": "name"}, "lists"),
        ({"filter": "price_cents <"}, ""),
        ({"filter": "colour == 'red'"}, ""),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(searching, asked, told):
    """And the searcher goes on."""
    searcher = searching()
    with pytest.raises((UsageError, Refused)) as refused:
        searcher.search(**({"text": "red sofa"} | asked))
    assert told in str(refused.value) and "\n" not in str(refused.value)
    assert searcher.search("red sofa").hits


@pytest.mark.parametrize("how", [{"timeout": 0}, {"poll": -1}])
def test_times_are_more_than_nothing(searching, how):
    """Told before anything is opened."""
    with pytest.raises(UsageError, match="more than 0"):
        searching(**how)


def test_an_unknown_alias_is_told_at_the_start(place, searching):
    """Also where the name is a collection's and no alias."""
    for name in ("nobody_prod", place.first):
        with pytest.raises(Refused, match=f"The alias {name} does not point to a pair"):
            searching(name)


def test_a_service_is_found_by_its_name(place, searching):
    """The one in promotion.yaml, hyphens and all."""
    service = place.alias.removesuffix("_prod").replace("_", "-")
    models = place.shop.folder / "models"
    with PairSearcher.of_service(service, models=models, backends=place.backends(models)) as searcher:
        assert searcher.pair == place.first


def test_a_collection_without_a_stamp_is_not_served(place, searching):
    """Nobody knows which model made it."""
    store = place.store
    stamp = Stamp.read(place.first, store.properties(place.first))
    store.create("somebody_elses", stamp.layout, {})
    store.point("somebody_elses_prod", "somebody_elses")
    try:
        with pytest.raises(Refused, match="somebody_elses is not a pair"):
            searching("somebody_elses_prod")
    finally:
        store.withdraw("somebody_elses_prod")
        store.drop("somebody_elses")


@pytest.mark.parametrize(("spoiled", "told"), [({"promotion.format": "2"}, "format 2"), ({"promotion.layout": "{"}, "cannot be read")])
def test_a_stamp_that_cannot_be_read_is_not_served(place, searching, spoiled, told):
    """Of a newer kit, or damaged: told at the start; and who serves already goes on with what it has."""
    before = searching()
    store = place.store
    sound = store.properties(place.second)
    store.set_properties(place.second, spoiled)
    try:
        place.switch(place.second)
        with pytest.raises(Refused, match=told):
            searching()
        eventually(lambda: told in before.health().trouble)
        assert before.search("red sofa").pair == place.first
    finally:
        store.set_properties(place.second, {name: sound[name] for name in spoiled})


def test_a_model_whose_files_changed_is_not_served(place, searching):
    """Its vectors would mean something else than those of the index."""
    store = place.store
    stamp = Stamp.read(place.first, store.properties(place.first))
    other = stamp.changed(model=replace_digest(stamp))
    store.set_properties(place.first, other.changes(model=other.model))
    try:
        with pytest.raises(Refused, match="has changed in the registry"):
            searching()
    finally:
        store.set_properties(place.first, stamp.changes(model=stamp.model))


def replace_digest(stamp: Stamp):
    return stamp.model.model_copy(update={"digest": "0" * 64})


def test_a_closed_searcher_says_so(searching):
    """Closing twice is no fault."""
    searcher = searching()
    searcher.close()
    searcher.close()
    with pytest.raises(UsageError, match="closed"):
        searcher.search("red sofa")


FORGOTTEN = """
import atexit, sys, threading
atexit.register(lambda: print(sorted(each.name for each in threading.enumerate() if each.name.startswith("following"))))
from scripts.serving import Backends, PairSearcher
from scripts.serving.model_files import ModelFiles
from tests.conftest import ROOT
searcher = PairSearcher(sys.argv[1], models=sys.argv[2])
print(searcher.search("red sofa").pair)
"""


@pytest.mark.parametrize("two_pairs", ["server"], indirect=True)
def test_a_searcher_that_nobody_closed_is_closed_before_python_ends(place, tmp_path):
    """Else Python stops the thread that follows wherever it is, and the connection, closed after that, may wait for it for good."""
    command = [sys.executable, "-c", FORGOTTEN, place.alias, str(tmp_path / "models")]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, **place.shop.environment}, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout.splitlines()) == (0, [place.first, "[]"]), ended.stderr


def test_a_searcher_that_is_dropped_follows_no_more(place, tmp_path):
    """What it opened goes with its last user."""
    searcher = PairSearcher(place.alias, backends=place.backends(tmp_path) or Backends(place.store, ModelFiles(place.shop.mlflow_uri), tmp_path))
    thread = searcher._following._thread
    del searcher
    eventually(lambda: not thread.is_alive())


def test_a_searcher_that_was_forked_says_so(searching):
    """The thread that follows is not in the child, and the connection is not its own."""
    searcher = searching()
    child = os.fork()
    if child == 0:
        try:
            searcher.search("red sofa")
        except UsageError as error:
            os._exit(0 if "after the fork" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("two_pairs", ["server"], indirect=True)
def test_a_milvus_that_hangs_fails_its_queries_in_one_line(place, searching, milvus_server):
    """And answers again when it is back, without a new searcher."""
    searcher = searching(timeout=1.0)
    milvus_server.pause()
    try:
        with pytest.raises(Unreachable) as failed:
            for _ in range(100):  # it takes a moment until all its threads stand still
                searcher.search("red sofa")
    finally:
        milvus_server.resume()
    assert "\n" not in str(failed.value)
    eventually(lambda: answers(searcher))
    place.switch(place.second)
    follows(searcher, place.second)


def answers(searcher) -> bool:
    try:
        return bool(searcher.search("red sofa").hits)
    except Unreachable:
        return False


def test_health_says_what_answers(place, searching):
    """And that all is well."""
    health = searching().health()
    assert health.well and health.pair == place.first and health.alias == place.alias
    assert health.facts()["trouble"] == "" and replace(health, trouble="x").well is False
