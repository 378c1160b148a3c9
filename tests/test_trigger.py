"""One pipeline for a model version: whoever asks, however often, from however many places, and whatever dies in between."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from mlflow import MlflowClient

from scripts import config, lock, releases
from scripts.errors import Refused
from scripts.heartbeat import new_token
from scripts.jobs.trigger import Outcome, announced
from scripts.ledger import Holder
from scripts.ports import ModelVersion
from scripts.wiring import Wiring
from tests.circleci import faults
from tests.circleci.api import StandIn
from tests.shop import Shop, refusal

ALIAS = "test_shop_prod"


@pytest.fixture
def circleci() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


@pytest.fixture
def shop(tmp_path, milvus, mlflow_server, circleci) -> Shop:
    return _shop(Shop(tmp_path / "shop", milvus.uri, milvus.token, mlflow_server.uri), circleci)


@pytest.fixture
def server_shop(tmp_path, empty_milvus_server, mlflow_server, circleci) -> Shop:
    """For several at once: a milvus-lite file belongs to one process."""
    return _shop(Shop(tmp_path / "shop", empty_milvus_server.uri, empty_milvus_server.token, mlflow_server.uri), circleci)


@pytest.fixture
def lite_shop(tmp_path, mlflow_server, circleci) -> Shop:
    return _shop(Shop(tmp_path / "shop", str(tmp_path / "milvus.db"), "", mlflow_server.uri), circleci)


def _shop(shop: Shop, circleci: StandIn) -> Shop:
    shop.configure(pipeline=circleci.section)
    shop.stage("words")
    return shop


@pytest.fixture
def token(circleci) -> dict[str, str]:
    return circleci.environment


def kit(shop: Shop, circleci: StandIn) -> Wiring:
    return Wiring(config.load(shop.folder / "promotion.yaml", shop.environment | circleci.environment))


def requests(shop: Shop, circleci: StandIn):
    with kit(shop, circleci) as parts:
        return releases.read(parts.store, ALIAS)


def dead() -> Holder:
    """Of a process of this machine that has ended."""
    ended = subprocess.run([sys.executable, "-c", "from scripts.heartbeat import new_token; print(new_token())"], capture_output=True, text=True, check=True)
    return Holder(token=ended.stdout.strip(), doing="release", by="a receiver", since=datetime.now(UTC))


def test_the_candidate_gets_one_pipeline_however_often_one_asks(shop, circleci, token):
    """With all that its first job has to know; the second asker is told which pipeline has it."""
    first = shop.do("trigger", "--reason", "the spring model", **token)
    again = shop.do("trigger", **token)
    (started,) = circleci.started
    assert (first["outcome"], again["outcome"]) == ("started", "found")
    assert again["pipeline"] == first["pipeline"]
    assert first["pipeline"]["id"] == started.id
    assert started.parameters["action"] == "release"
    assert (started.parameters["service"], started.parameters["model_version"]) == ("", "1")
    (act,) = requests(shop, circleci)
    assert (act.id, act.why, act.outcome, act.details["pipeline"]) == (started.parameters["request"], "the spring model", releases.STARTED, started.id)


def test_a_service_is_selected_as_the_pipeline_finds_it(tmp_path, mlflow_server, circleci, token):
    """By its folder below `services`; the one in the root by nothing; and a folder that no pipeline can be told of starts none."""
    for folder, selector in (("services/sofas-2", "sofas-2"), ("elsewhere", "")):
        (tmp_path / folder).parent.mkdir(exist_ok=True)
        shop = _shop(Shop(tmp_path / folder, str(tmp_path / "milvus.db"), "", mlflow_server.uri), circleci)
        shop.do("trigger", **token)
        assert circleci.started[-1].parameters["service"] == selector
    odd = _shop(Shop(tmp_path / "services/so fas", str(tmp_path / "milvus.db"), "", mlflow_server.uri), circleci)
    assert "services/so fas" in refusal(odd.run("trigger", **token), 2)
    assert len(circleci.started) == 2


@pytest.mark.parametrize("missing", ["MILVUS_URI", "MLFLOW_TRACKING_URI"])
def test_on_parts_of_this_machine_alone_nothing_is_started(lite_shop, circleci, token, missing):
    """An address that was forgotten would have each asker look into a file of its own, and start a pipeline of its own."""
    assert missing in refusal(lite_shop.run("trigger", **token | {missing: ""}), 2)
    assert not circleci.started


def test_many_at_the_same_moment_start_one_pipeline(server_shop, circleci):
    """Each with connections of its own, as receivers on several machines have."""
    begin, outcomes, failures = threading.Barrier(8), [], []

    def ask() -> None:
        with kit(server_shop, circleci) as parts:
            begin.wait()
            try:
                outcomes.append(announced(parts, 1, why="an event").outcome)
            except Exception as failure:
                failures.append(failure)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(outcomes) == [Outcome.FOUND] * 7 + [Outcome.STARTED]
    assert len(circleci.started) == 1


def test_again_starts_another(lite_shop, circleci, token):
    """Only where a person says so, and as another request."""
    lite_shop.do("trigger", **token)
    assert lite_shop.do("trigger", "--again", **token)["outcome"] == "started"
    assert len({started.parameters["request"] for started in circleci.started}) == 2


def test_a_version_that_has_a_pair_needs_no_pipeline(lite_shop, circleci, token):
    """Also one that was built by hand."""
    pair = lite_shop.do("build")["pair"]
    found = lite_shop.do("trigger", **token)
    assert (found["outcome"], found["pair"]) == ("found", f"{pair}, built")
    assert not circleci.started


@pytest.mark.parametrize("fault", [faults.Fault(), faults.CLOSES, faults.ACCEPTS_AND_FAILS, faults.ACCEPTS_AND_CLOSES], ids=["fails", "closes", "accepts and fails", "accepts and closes"])
def test_what_the_ci_system_did_not_answer_is_asked_again_as_the_same_request(lite_shop, circleci, token, fault):
    """Nobody knows whether a pipeline was started: of two with one request the second stops in its first job."""
    circleci.misbehave(fault, times=9, on="")
    refusal(lite_shop.run("trigger", **token), 5)
    circleci.behave()
    (asked,) = requests(lite_shop, circleci)
    assert asked.outcome == releases.ASKED
    assert lite_shop.do("trigger", **token)["outcome"] == "started"
    assert {started.parameters["request"] for started in circleci.started} == {asked.id}


def test_whoever_died_between_asking_and_writing_down_keeps_nobody_waiting(lite_shop, circleci, token):
    """A lock and a request of the dead: the request is asked again."""
    gone, model = dead(), ModelVersion(lite_shop.model, 1)
    with kit(lite_shop, circleci) as parts:
        with lock.held(parts.store, releases.ledger_of(ALIAS), gone) as held:
            held.record(asked := releases.asked(ALIAS, model, gone, "an event"))
            held.release = lambda: None  # killed
    assert lite_shop.do("trigger", **token)["outcome"] == "started"
    (started,) = circleci.started
    assert started.parameters["request"] == asked.id


def test_of_two_pipelines_with_one_request_the_second_stops_in_its_first_job(lite_shop, circleci, token):
    """It ends with 4, names the other one and has built nothing; the first may run its job again."""
    lite_shop.do("trigger", **token)
    (started,) = circleci.started
    request = started.parameters["request"]
    line = refusal(lite_shop.run("create", "--request", request, CIRCLE_PIPELINE_ID="another"), 4)
    assert f"/{started.number}" in line
    first = lite_shop.do("create", "--request", request, CIRCLE_PIPELINE_ID=started.id)["pair"]
    assert lite_shop.do("create", "--request", request, CIRCLE_PIPELINE_ID=started.id)["pair"] == first
    assert len(lite_shop.do("status")["pairs"]) == 1


def test_a_request_of_another_service_or_version_is_refused(lite_shop, circleci, token):
    """As when a pipeline reads another promotion.yaml than whoever asked."""
    lite_shop.do("trigger", **token)
    request = circleci.started[0].parameters["request"]
    lite_shop.stage("words")
    for wrong in (request.replace("test_shop", "other_shop"), request):  # the candidate is version 2 by now
        assert "is not for test_shop_prod" in refusal(lite_shop.run("create", "--request", wrong, CIRCLE_PIPELINE_ID="p-1"), 4)


def test_a_release_that_a_person_started_by_hand_is_found(lite_shop, circleci, token):
    """In CircleCI's own page, without a request: its first job writes down whose version that is now."""
    lite_shop.do("create", CIRCLE_PIPELINE_ID="p-1", CIRCLE_BUILD_URL="https://ci.example/p-1")
    lite_shop.do("create", CIRCLE_PIPELINE_ID="p-1")
    (act,) = requests(lite_shop, circleci)
    assert act.details["pipeline"] == "p-1"
    assert lite_shop.do("trigger", **token)["pipeline"]["id"] == "p-1"
    assert not circleci.started


def test_a_pipeline_that_nobody_wrote_down_keeps_its_request(lite_shop, circleci, token):
    """Whoever asked was killed right after; then the pipeline begins, and whoever asks next finds it."""
    gone, model = dead(), ModelVersion(lite_shop.model, 1)
    with kit(lite_shop, circleci) as parts, lock.held(parts.store, releases.ledger_of(ALIAS), gone) as held:
        held.record(asked := releases.asked(ALIAS, model, gone, "an event"))
    lite_shop.do("create", "--request", asked.id, CIRCLE_PIPELINE_ID="p-1", CIRCLE_BUILD_URL="https://ci.example/p-1")
    assert lite_shop.do("trigger", **token)["pipeline"]["id"] == "p-1"
    assert not circleci.started


def test_only_the_candidate_is_released_by_an_event(lite_shop, circleci, token):
    """Not a version that was archived, or replaced, before its event came; nor one that does not exist."""
    lite_shop.stage("words")
    client = MlflowClient(lite_shop.mlflow_uri)
    with kit(lite_shop, circleci) as parts:
        for version in (1, 3):
            told = announced(parts, version, why="an event")
            assert (told.outcome, told.why) == (Outcome.NOT_CANDIDATE, "version 2 is at Staging")
        client.transition_model_version_stage(lite_shop.model, "2", "Archived")
        assert announced(parts, 2, why="an event").why == "no version is at Staging"
    assert not circleci.started
    refusal(lite_shop.run("trigger", "--model-version", "3", **token), 2)


def test_a_pipeline_that_was_skipped_is_no_pipeline(lite_shop, circleci, token):
    """CircleCI's 2xx without one is told as a refusal."""
    circleci.misbehave(faults.skipped())
    refusal(lite_shop.run("trigger", **token), 4)
    assert lite_shop.do("trigger", **token)["outcome"] == "started"


def test_reconcile_finds_what_no_event_told(shop, circleci, token):
    """A stage transition sends none in OSS MLflow. Asked again it starts nothing; without a candidate it says so."""
    assert shop.do("reconcile", **token)[0]["outcome"] == "started"
    assert shop.do("reconcile", **token)[0]["outcome"] == "found"
    shop.do("build")
    assert shop.do("reconcile", **token)[0]["pair"].endswith(", built")
    MlflowClient(shop.mlflow_uri).transition_model_version_stage(shop.model, "1", "Archived")
    assert shop.do("reconcile", **token)[0]["outcome"] == "no_candidate"
    assert len(circleci.started) == 1


def test_reconcile_goes_on_with_the_next_service(lite_shop, circleci, token, tmp_path):
    """One that cannot be looked at is told in a line, and its exit code is the command's."""
    missing = tmp_path / "missing.yaml"
    result = lite_shop.run("reconcile", "--config", str(missing), **token)
    assert refusal(result, 2).startswith(f"error: {missing}")
    assert "started pipeline" in result.stdout


def test_without_a_project_nothing_is_started(lite_shop, token):
    """The setting that is missing is named."""
    lite_shop.configure()
    assert "pipeline: {project:" in refusal(lite_shop.run("trigger", **token), 2)


def test_without_a_token_nothing_is_started(lite_shop, circleci):
    """The variable that is missing is named."""
    assert "CIRCLECI_TOKEN" in refusal(lite_shop.run("trigger"), 2)
    assert not circleci.started


def test_a_process_of_its_own_watches(server_shop, circleci):
    """`watch` starts what appears while it runs, tells only what changed, and ends when asked to."""
    path = str(server_shop.folder / "promotion.yaml")
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts", "watch", "--every", "1", "--config", path],
        env={"PATH": "", **server_shop.environment, **circleci.environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "started pipeline" in process.stdout.readline()
        assert "has a pipeline already" in process.stdout.readline()
        server_shop.stage("words")
        assert "version 2" in process.stdout.readline()
    finally:
        process.terminate()
        process.wait()
    assert [started.parameters["model_version"] for started in circleci.started] == ["1", "2"]


def test_a_living_asker_is_waited_for_not_overtaken(lite_shop, circleci):
    """Who waits too long is told to come again, and has started nothing."""
    mine = Holder(token=new_token(), doing="release", by="another receiver", since=datetime.now(UTC))
    with kit(lite_shop, circleci) as parts, lock.held(parts.store, releases.ledger_of(ALIAS), mine):
        with pytest.raises(Refused, match="Another process is starting a pipeline"), releases.turn(parts.store, ALIAS, mine, patience=0):
            pass
    assert not circleci.started
