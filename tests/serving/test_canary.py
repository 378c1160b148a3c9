"""A canary, from the command to the clients: whose queries the candidate gets, what is counted, and that nothing of it fails a query."""

import json
import subprocess
import sys
import threading

import pytest

from scripts import canary, catalogue
from scripts.canary import Arm, Canary, Mode
from scripts.canary_outcomes import Reading
from scripts.errors import KitError, Refused, UsageError
from scripts.jobs.canary import start, stop
from tests.serving.place import NAMES, eventually, follows

KEYS = [f"user-{number}" for number in range(400)]


@pytest.fixture
def begun(place):
    """Starts a canary with the second pair, through the job."""

    def begin(share: float = 0.5, mode: Mode = Mode.SPLIT, pair: str = "") -> Canary:
        with place.kit(CIRCLE_USERNAME="ann") as kit:
            return start(kit, pair or place.second, share=share, mode=mode).canary

    return begin


def ready(searcher, running: Canary) -> None:
    eventually(lambda: searcher.health().canary == running.id and searcher.health().candidate == running.pair)


def outcomes(folder) -> list[dict]:
    return list(Reading.of([folder])) if any(folder.glob("*.jsonl")) else []


def test_a_share_of_the_keys_meets_the_candidate_and_each_key_one_pair(place, searching, begun):
    """As the hash says, in every searcher; the answers are wholly those of the pair that they name."""
    one, other = searching(), searching()
    running = begun(0.3)
    ready(one, running)
    ready(other, running)
    for number, key in enumerate(KEYS[:60]):
        product = number % 150 + 1
        answer = one.search(NAMES[product], key=key)
        expected = place.second if running.takes(key) else place.first
        assert answer.pair == expected == other.search(NAMES[product], key=key).pair
        assert answer.arm is (Arm.CANDIDATE if expected == place.second else Arm.PRODUCTION)
        assert place.recognises(answer, product)


def test_without_a_key_every_query_is_a_user_of_its_own(place, searching, begun):
    """The share holds all the same."""
    searcher = searching()
    ready(searcher, begun(0.5))
    asked = [searcher.search(NAMES[1]).pair for _ in range(100)]
    assert 20 < asked.count(place.second) < 80


def test_clients_follow_the_start_and_the_stop(place, searching, begun):
    """And a stop where nothing runs is no fault."""
    searcher = searching()
    ready(searcher, begun(0.5))
    with place.kit() as kit:
        assert stop(kit).canary.pair == place.second
        assert stop(kit).canary is None
    eventually(lambda: searcher.health().canary == "")
    assert {searcher.search(NAMES[1], key=key).pair for key in KEYS[:30]} == {place.first}


def test_a_canary_ends_when_production_switches_and_stays_ended_when_it_comes_back(place, searching, begun):
    """The pair that comes back by a rollback has the property still; it belongs to another time in production."""
    searcher = searching()
    ready(searcher, begun(0.5))
    place.switch(place.second)
    follows(searcher, place.second)
    assert searcher.health().canary == ""
    stamp = next(entry.stamp for entry in seen(place).entries if entry.pair.collection == place.first)
    try:
        place.store.set_properties(place.first, stamp.changes(begun_at=stamp.promoted_at.replace(year=2040)))
        place.switch(place.first)
        follows(searcher, place.first)
        assert searcher.health().canary == "" and searcher.health().well
    finally:
        place.store.set_properties(place.first, stamp.changes(begun_at=stamp.begun_at))


def seen(place) -> catalogue.Catalogue:
    with place.kit() as kit:
        return catalogue.read(place.store, kit.settings)


def test_a_candidate_that_is_promoted_answers_everyone(place, searching, begun):
    """It is loaded already and takes over at once."""
    searcher = searching()
    ready(searcher, begun(0.5))
    candidate = searcher._following.now.candidate
    place.switch(place.second)
    follows(searcher, place.second)
    assert searcher._following.now.production is candidate


def test_a_candidate_that_fails_is_stood_in_for(place, searching, begun, tmp_path):
    """Its users get production's answers, the failures are counted as its own, and health says what is wrong."""
    searcher = searching(outcomes=tmp_path / "outcomes")
    running = begun(0.5)
    ready(searcher, running)
    place.store.open(place.second).release()
    try:
        for product, key in enumerate(KEYS[:20], start=1):
            answer = searcher.search(NAMES[product], key=key)
            assert answer.pair == place.first and place.recognises(answer, product)
        assert place.second in searcher.health().candidate_trouble
    finally:
        place.store.open(place.second).load()
    errors = [line for line in outcomes(tmp_path / "outcomes") if line.get("error")]
    assert len(errors) == sum(map(running.takes, KEYS[:20])) > 0
    assert {line["arm"] for line in errors} == {"candidate"}


def test_a_candidate_whose_model_cannot_be_loaded_is_not_asked(place, searching, begun, tmp_path):
    """Production answers everyone, nothing is counted, and health says why."""
    searcher = searching(outcomes=tmp_path / "outcomes")
    searcher._following._candidate = lambda pair: (_ for _ in ()).throw(Refused("no such weights"))
    running = begun(0.5)
    eventually(lambda: "no such weights" in searcher.health().candidate_trouble)
    assert {searcher.search(NAMES[1], key=key).pair for key in KEYS[:20]} == {place.first}
    assert searcher.health().canary == running.id and outcomes(tmp_path / "outcomes") == []


@pytest.mark.parametrize(("found", "told"), [({"promotion.state": "rejected"}, "was rejected"), ({"promotion.rolled_back": "True"}, "was rolled back")])
def test_a_candidate_that_turns_out_bad_meets_nobody_any_more(place, searching, begun, found, told):
    """A validation that fails it ends its share with the next look; health says why."""
    searcher = searching()
    ready(searcher, begun(0.5))
    sound = place.store.properties(place.second)
    place.store.set_properties(place.second, found)
    try:
        eventually(lambda: told in searcher.health().candidate_trouble)
        assert {searcher.search(NAMES[1], key=key).pair for key in KEYS[:30]} == {place.first}
    finally:
        place.store.set_properties(place.second, {name: sound[name] for name in found})


def test_what_cannot_be_asked_is_no_failure_of_the_candidate(place, searching, begun, tmp_path):
    """A filter that nobody understands is told as without a canary, and counted nowhere."""
    searcher = searching(outcomes=tmp_path / "outcomes")
    ready(searcher, begun(0.5))
    for key in KEYS[:10]:
        with pytest.raises(KitError):
            searcher.search("red sofa", filter="price_cents <", key=key)
    assert [line for line in outcomes(tmp_path / "outcomes") if line["arm"] == "candidate" and line.get("error")] == []


def test_a_mirror_shows_nobody_the_candidate_and_compares_the_answers(place, searching, begun, tmp_path):
    """Every answer is production's; the candidate's are compared with it, on the side."""
    searcher = searching(outcomes=tmp_path / "outcomes")
    running = begun(0.5, Mode.MIRROR)
    ready(searcher, running)
    asked = {searcher.search(NAMES[number % 150 + 1], key=key).pair for number, key in enumerate(KEYS[:40])}
    assert asked == {place.first}
    mirrored = sum(map(running.takes, KEYS[:40]))
    eventually(lambda: sum(line["event"] == "mirror" for line in outcomes(tmp_path / "outcomes")) == mirrored)
    lines = outcomes(tmp_path / "outcomes")
    assert sum(line["event"] == "query" for line in lines) == mirrored
    assert all(0 <= line["overlap"] <= 1 and line["pair"] == place.second for line in lines if line["event"] == "mirror")


def test_a_mirror_that_hangs_holds_up_no_query(place, searching, begun):
    """What it cannot take is dropped and counted, and the searcher closes."""
    searcher = searching()
    ready(searcher, begun(0.5, Mode.MIRROR))
    go_on = threading.Event()
    searcher._following.now.candidate.search = lambda asked: go_on.wait(60)  # type: ignore[method-assign]
    for number in range(300):
        assert searcher.search(NAMES[1], key=KEYS[number % len(KEYS)]).pair == place.first
    assert searcher.health().unmirrored > 0
    searcher.close()
    go_on.set()


def test_feedback_may_reach_another_process_than_the_query(place, searching, begun, tmp_path):
    """The query's id says itself in which canary and arm it was."""
    folder = tmp_path / "outcomes"
    searcher = searching(outcomes=folder)
    ready(searcher, begun(0.5))
    answer = searcher.search(NAMES[1], key=KEYS[0])
    told = (
        "import sys; from pathlib import Path; from scripts.serving.trial import Trial; "
        "print(Trial(Path(sys.argv[1])).feedback(sys.argv[2], clicked=True, details={'rank': 3}))"
    )
    done = subprocess.run([sys.executable, "-c", told, str(folder), answer.query_id], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    (feedback,) = [line for line in outcomes(folder) if line["event"] == "feedback"]
    assert feedback["query"] == answer.query_id and feedback["arm"] == answer.arm and feedback["details"] == {"rank": 3}


def test_feedback_that_does_not_count_is_said_not_to(place, searching, begun, tmp_path):
    """Of a query in no canary or of yesterday; and what is no id, or too long, is told."""
    searcher = searching(outcomes=tmp_path / "outcomes")
    outside = searcher.search(NAMES[1])
    assert searcher.feedback(outside.query_id) is False
    ready(searcher, begun(0.5))
    answer = searcher.search(NAMES[1])
    assert searcher.feedback(answer.query_id, clicked=False) is True
    long_ago = f"{int(answer.query_id.split('-')[0], 16) - 25 * 3_600_000:011x}"
    assert searcher.feedback("-".join([long_ago, *answer.query_id.split("-")[1:]])) is False
    for wrong in ("", "x", answer.query_id + "0"):
        with pytest.raises(UsageError, match="not the id of a query"):
            searcher.feedback(wrong)
    with pytest.raises(UsageError, match="bytes"):
        searcher.feedback(answer.query_id, note="x" * 10_000)
    with pytest.raises(UsageError, match="outcomes=FOLDER"):
        searching().feedback(answer.query_id)


def test_outcomes_hold_neither_the_text_nor_the_key(searching, begun, tmp_path):
    """They may lie where many can read them."""
    searcher = searching(outcomes=tmp_path / "outcomes")
    ready(searcher, begun(0.5))
    for key in KEYS[:10]:
        searcher.search("a very private wish", key=f"{key}@example.org")
    written = "".join(file.read_text() for file in (tmp_path / "outcomes").iterdir())
    assert written.count("\n") == 10
    assert "private" not in written and "example.org" not in written


def test_a_disk_that_takes_no_outcome_fails_no_query(searching, begun, tmp_path):
    """Health says what is lost."""
    searcher = searching(outcomes=tmp_path / "outcomes")
    ready(searcher, begun(0.5))
    (tmp_path / "outcomes").rmdir()
    assert searcher.search("red sofa").hits
    assert "cannot be written" in searcher.health().candidate_trouble


def test_who_may_not_be_a_candidate_is_refused(place, begun):
    """Production itself, what is not validated or was taken out of production, what does not exist, what is not loaded; shares out of bounds."""
    with pytest.raises(Refused, match="is production"):
        begun(pair=place.first)
    with pytest.raises(Refused, match="not validated"):
        begun(pair=place.gated)
    with pytest.raises(Refused, match="There is no pair"):
        begun(pair=place.first[:-8] + "00000000")
    for share in (0, -0.1, 0.51, 5, float("nan")):
        with pytest.raises(UsageError, match="share"):
            begun(share)
    stamp = next(entry.stamp for entry in seen(place).entries if entry.pair.collection == place.second)
    for unfit, told in ({"rolled_back": True}, "taken out of production"), ({"state": "rejected"}, "rejected"):
        place.store.set_properties(place.second, {f"promotion.{name}": str(value) for name, value in unfit.items()})
        with pytest.raises(Refused, match=told):
            begun()
        place.store.set_properties(place.second, stamp.changes(rolled_back=False, state=stamp.state))
    place.store.open(place.second).release()
    try:
        with pytest.raises(Refused, match="not loaded"):
            begun()
    finally:
        place.store.open(place.second).load()


def test_a_canary_that_cannot_be_read_is_told_and_can_be_stopped(place, searching):
    """Production answers everyone meanwhile."""
    searcher = searching()
    place.store.set_properties(place.first, {canary.PROPERTY: '{"id": 7}'})
    eventually(lambda: "cannot be read" in searcher.health().candidate_trouble)
    assert searcher.search("red sofa").pair == place.first
    with place.kit() as kit:
        stop(kit)
    eventually(lambda: searcher.health().well)


def test_start_says_who_and_what_and_replaces_what_ran(place, begun):
    """The property is what clients in other languages read."""
    first = begun(0.1)
    with place.kit(CIRCLE_USERNAME="bob") as kit:
        result = start(kit, place.second, share=0.2, mode=Mode.SPLIT)
    assert result.replaced == first and result.canary.by == "bob"
    assert "20.00%" in result.lines()[0] and first.id in result.lines()[1]
    written = json.loads(place.store.properties(place.first)[canary.PROPERTY])
    assert written.keys() == {"id", "pair", "share", "mode", "started_at", "by", "stint"}
    assert result.facts()["replaced"] == first.id
