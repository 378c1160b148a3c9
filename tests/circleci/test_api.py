"""The stand-in for CircleCI's API itself: it is only worth something if it notices what the real one would."""

from __future__ import annotations

import pytest
import requests

from tests.circleci import shapes
from tests.circleci.api import DEFINITION, OAUTH, TOKEN, StandIn
from tests.circleci.still import Job, Workflow

RUN = {"definition_id": DEFINITION, "config": {"branch": "main"}, "checkout": {"branch": "main"}}
TRIGGER = {"branch": "main", "parameters": {"action": "release"}}


def post(circleci: StandIn, path: str, body: object) -> int:
    return requests.post(f"{circleci.url}/api/v2/project/{OAUTH}{path}", json=body, headers={"Circle-Token": TOKEN}, timeout=5).status_code


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/pipeline", {"branch": "main", "parameter": {}}),
        ("/pipeline", {"branch": "main", "tag": "v1"}),
        ("/pipeline", {"parameters": {"why": "x" * 513}}),
        ("/pipeline", {"parameters": {f"p{i}": 1 for i in range(101)}}),
        ("/pipeline", {"parameters": {"nested": {}}}),
        ("/pipeline", []),
        ("/pipeline/run", TRIGGER),
        ("/pipeline/run", RUN | {"definition_id": "seven"}),
        ("/pipeline/run", RUN | {"checkout": {}}),
        ("/pipeline/run", RUN | {"config": "main"}),
        ("/pipelines", TRIGGER),
    ],
)
def test_a_request_of_another_shape_fails_the_test(path, body):
    """Also where the client takes the answer well."""
    with pytest.raises(AssertionError), StandIn() as circleci:
        assert post(circleci, path, body) in (400, 404)


WELL_SHAPED = [("/pipeline", TRIGGER), ("/pipeline", {"branch": "main"}), ("/pipeline/run", RUN), ("/pipeline/run", RUN | {"parameters": {"n": 1}})]


@pytest.mark.parametrize(("path", "body"), WELL_SHAPED)
def test_a_request_of_the_published_shape_passes(path, body):
    """Otherwise the tests above would say nothing."""
    with StandIn() as circleci:
        assert post(circleci, path, body) == 201


def test_an_answer_of_another_shape_fails_the_test():
    """Our own as well: a client is not to get used to it."""
    with pytest.raises(AssertionError, match="'waiting' is not one of"), StandIn() as circleci:
        assert post(circleci, "/pipeline", TRIGGER) == 201
        circleci.still.pipelines[0].workflows.append(Workflow(status="waiting", jobs=[Job("hold")]))
        requests.get(f"{circleci.url}/api/v2/pipeline/{circleci.started[0].id}/workflow", headers={"Circle-Token": TOKEN}, timeout=5)


@pytest.mark.parametrize("token", ["", "CCIPAT_fake_other"])
def test_only_who_has_the_token_is_let_in(token):
    """401 for everything else, and nothing is started."""
    with StandIn() as circleci:
        answer = requests.post(f"{circleci.url}/api/v2/project/{OAUTH}/pipeline", json=TRIGGER, headers={"Circle-Token": token}, timeout=5)
        assert (answer.status_code, circleci.started) == (401, [])


def test_what_the_api_does_not_know_is_no_operation():
    """By method as by path."""
    assert shapes.operation("GET", f"/project/{OAUTH}/pipeline") is None
    assert shapes.operation("POST", "/pipeline/1/workflow") is None
    assert shapes.operation("POST", "/workflow/w/approve/a").values == {"id": "w", "approval_request_id": "a"}
