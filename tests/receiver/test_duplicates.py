"""One pipeline, however often the event comes, to however many receivers: with real Milvus and MLflow, and the stand-in for CircleCI's API."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from mlflow import MlflowClient

from tests.circleci import faults
from tests.circleci.api import StandIn
from tests.receiver.process import NOBODY, TOKEN, Receiver, alias_event, signed
from tests.shop import Shop

DELIVERIES = 200


@pytest.fixture
def circleci() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


@pytest.fixture
def shop(tmp_path, empty_milvus_server, mlflow_server, circleci) -> Shop:
    """Whose version 1 is at @staging."""
    shop = Shop(tmp_path / "shop", empty_milvus_server.uri, empty_milvus_server.token, mlflow_server.uri)
    shop.configure(model={"name": shop.model, "candidate": "@staging", "production": "@production"}, pipeline=circleci.section)
    MlflowClient(shop.mlflow_uri).set_registered_model_alias(shop.model, "staging", str(shop.stage("words")))
    return shop


@pytest.fixture
def receivers(shop, circleci, tmp_path) -> Iterator[list[Receiver]]:
    """Two of them, as they are run."""
    config = shop.folder / "promotion.yaml"
    with ExitStack() as opened:
        environment = shop.environment | circleci.environment
        yield [opened.enter_context(Receiver(tmp_path, config, environment=environment, real=True)) for _ in range(2)]


def test_two_hundred_deliveries_to_two_receivers_start_one_pipeline(shop, circleci, receivers):
    """Half of them copies of one delivery, half deliveries of their own, all at once. Whoever is told to come again finds the pipeline then."""
    body = alias_event(1, model=shop.model)
    copies = signed(body)

    def deliver(number: int) -> int:
        headers = copies if number % 4 < 2 else signed(body)
        for _ in range(4):  # as MLflow does
            status = receivers[number % 2].post(body, headers).status
            if status < 500:
                return status
        return status

    with ThreadPoolExecutor(DELIVERIES) as threads:
        statuses = list(threads.map(deliver, range(DELIVERIES)))
    log = "".join(receiver.log for receiver in receivers)
    assert len(circleci.started) == 1, log
    assert set(statuses) <= {200, 202, 409}, log
    assert sum(receiver.count("started") for receiver in receivers) >= 1


def test_the_answer_is_no_before_it_is_yes_while_circleci_is_away(shop, circleci, receivers):
    """503 until it answers, then 202, with the token in none of it; and what is not the candidate is never started."""
    circleci.misbehave(faults.Fault(), times=9, on="")
    body = alias_event(1, model=shop.model)
    headers = signed(body)
    away = receivers[0].post(body, headers)
    assert (away.status, away.told["outcome"]) == (503, "unavailable")
    circleci.behave()
    assert receivers[0].post(body, headers).status == 202
    unknown = receivers[1].send(alias_event(99, model=shop.model))
    assert (unknown.status, unknown.told["outcome"]) == (200, "not_candidate")
    assert len({started.parameters["request"] for started in circleci.started}) == 1
    secret = circleci.environment["CIRCLECI_TOKEN"]
    assert not any(word in receiver.log + str(away) for receiver in receivers for word in (secret, TOKEN))


def test_milvus_away_is_asked_for_again(shop, circleci, tmp_path):
    """So is MLflow; each with one line that says who."""
    config = shop.folder / "promotion.yaml"
    for variable in ("MILVUS_URI", "MLFLOW_TRACKING_URI"):
        with Receiver(tmp_path, config, environment=shop.environment | circleci.environment | {variable: NOBODY}, real=True) as receiver:
            answer = receiver.send(alias_event(1, model=shop.model))
            assert (answer.status, answer.told["outcome"]) == (503, "unavailable"), answer
            assert "\n" not in answer.told["reason"] and NOBODY in answer.told["reason"]
    assert not circleci.started
