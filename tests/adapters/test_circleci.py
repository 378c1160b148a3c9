"""CircleCI's API as the kit uses it: what is sent, and what every answer means."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from scripts.adapters.circleci import CircleCi
from scripts.errors import Refused, Unreachable, UsageError
from scripts.pipelines import PipelineSettings
from tests.circleci.api import APP, DEFINITION, OAUTH, TOKEN, StandIn
from tests.circleci.calls import RELEASE, client, failure
from tests.circleci.faults import (
    ACCEPTS_AND_CLOSES,
    DENIED,
    garbage,
    skipped,
)
from tests.circleci.still import Job, Workflow


@pytest.fixture
def circleci() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


def test_an_oauth_project_is_started_by_branch(circleci):
    """With the older request, which needs no definition; what comes back is the pipeline and its page."""
    made = client(circleci).start(RELEASE)
    (started,), (call,) = circleci.started, circleci.calls
    assert (made.id, made.number, made.url) == (started.id, 1, f"{circleci.url}/pipelines/{OAUTH}/1")
    assert call.body == {"branch": "main", "parameters": RELEASE}
    assert (call.operation, call.headers["Circle-Token"]) == ("trigger", TOKEN)


@pytest.mark.parametrize("project", [APP, OAUTH])
def test_a_definition_is_started_by_its_id(project):
    """For config and checkout alike; projects of the GitHub App have no other way."""
    with StandIn(project=project) as circleci:
        assert client(circleci, definition=DEFINITION).start(RELEASE).number == 1
        (call,) = circleci.calls
    assert call.operation == "run"
    assert call.body == {"definition_id": DEFINITION, "config": {"branch": "main"}, "checkout": {"branch": "main"}, "parameters": RELEASE}


def test_numbers_and_switches_are_parameters_as_well(circleci):
    """They arrive as what they are."""
    client(circleci).start({"many": 3, "really": True})
    assert circleci.started[0].parameters == {"many": 3, "really": True}


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://circleci.com", "https://app.circleci.com/pipelines/gh/acme/promotion"),
        ("https://ci.acme.example:8443/", "https://app.ci.acme.example:8443/pipelines/gh/acme/promotion"),
        ("https://10.1.2.3", "https://10.1.2.3/pipelines/gh/acme/promotion"),
    ],
)
def test_people_look_beside_the_api(url, page):
    """At `app.`, of CircleCI and of a server of one's own."""
    assert CircleCi(PipelineSettings(project=OAUTH, url=url), SecretStr(TOKEN))._pages == page


def test_parameters_that_circleci_does_not_take_are_not_sent(circleci):
    """More than a hundred, or one of more than 512 characters; exactly so many are fine."""
    ci = client(circleci)
    assert "takes 100 parameters at most, not 101" in failure(UsageError, ci.start, {f"p{i}": "" for i in range(101)})
    assert "parameter why has 513 characters" in failure(UsageError, ci.start, {"why": "x" * 513})
    assert not circleci.calls
    ci.start({f"p{i}": "x" * 512 for i in range(100)})


def test_a_wrong_token_is_told_apart_from_one_that_may_not(circleci):
    """401 and 403 both say what to do about the token."""
    assert "does not know the token in CIRCLECI_TOKEN (401)" in failure(Unreachable, client(circleci, "another").start, RELEASE)
    circleci.misbehave(DENIED)
    told = failure(Unreachable, client(circleci).start, RELEASE)
    assert f"may not start pipelines of {OAUTH} (403): Permission denied." in told and "write access" in told


def test_a_project_or_a_definition_that_does_not_exist_is_named(circleci):
    """404, which CircleCI also answers to who may not see it."""
    told = failure(UsageError, client(circleci, project="gh/acme/nothing").start, RELEASE)
    assert "no project gh/acme/nothing, or this token may not see it (404): Project not found." in told
    assert "need pipeline.definition" in told
    other = str(uuid.uuid4())
    assert f"with definition {other}" in failure(UsageError, client(circleci, definition=other).start, RELEASE)


def test_a_parameter_that_is_not_declared_is_named():
    """CircleCI says which; we say where it has to be declared."""
    with StandIn(declared=["action"]) as circleci:
        told = failure(UsageError, client(circleci).start, {"action": "release", "colour": "red"})
    assert "(400): Unexpected argument(s): colour." in told and ".circleci/config.yml" in told


def test_a_branch_that_does_not_exist_is_named(circleci):
    """And nothing is started elsewhere."""
    assert "branch other (400): Branch not found: other." in failure(UsageError, client(circleci, branch="other").start, RELEASE)
    assert not circleci.started


def test_a_skipped_pipeline_is_none(circleci):
    """2xx, but not 201: CircleCI understood, started nothing, and says why."""
    circleci.misbehave(skipped("[ci skip] was found."))
    told = failure(Refused, client(circleci).start, RELEASE)
    assert told == "CircleCI skipped the pipeline of gh/acme/promotion, branch main: [ci skip] was found. Nothing was started."


def test_a_pipeline_that_was_made_and_cannot_run_is_refused(circleci):
    """Its configuration has a fault: the page says which."""
    made = b'{"id": "%s", "number": 7, "state": "errored", "created_at": "2026-11-20T20:40:10Z"}' % str(uuid.uuid4()).encode()
    circleci.misbehave(garbage(made, 201))
    assert f"{OAUTH}/7, which cannot run" in failure(Refused, client(circleci).start, RELEASE)


_SOME_ID = b"1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
NO_PIPELINES = [
    *(b"<html>Welcome</html>", b"", b"[]", b"null", b"17", b"{}", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000),
    *(b'{"id": 7, "number": 1}', b'{"id": "../../x", "number": 1}'),
    *(b'{"id": "%s", "number": "1"}' % _SOME_ID, b'{"id": "%s", "number": true}' % _SOME_ID, b'{"id": "%s"}' % _SOME_ID),
]


@pytest.mark.parametrize("body", NO_PIPELINES)
def test_what_is_no_pipeline_is_none(circleci, body):
    """In one line, whatever was said instead."""
    circleci.misbehave(garbage(body, 201))
    assert "does not answer as CircleCI does (201)" in failure(Unreachable, client(circleci).start, RELEASE)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"items": 3}', b'{"items": [3]}', b'{"items": [{}]}', b'{"items": [{"status": "on_hold"}]}'])
def test_what_is_no_list_is_none(circleci, body):
    """Nothing is taken for "nothing waits" that does not say so."""
    circleci.misbehave(garbage(body))
    assert "does not answer as CircleCI does (200)" in failure(Unreachable, client(circleci).waiting, str(uuid.uuid4()))


def test_a_list_without_end_is_not_followed(circleci):
    """Nor one that leads back to its own first page."""
    circleci.misbehave(garbage(b'{"items": [], "next_page_token": "again"}'), times=99)
    assert "a list does not end" in failure(Unreachable, client(circleci).waiting, str(uuid.uuid4()))


def test_what_waits_is_found_on_every_page():
    """The newest workflow first; what is built, was approved or was cancelled does not wait."""
    with StandIn(page=1) as circleci:
        pipeline = client(circleci).start(RELEASE).id
        old, new = circleci.still.hold(pipeline), circleci.still.hold(pipeline, job="hold-rollback", workflow="rollback")
        circleci.still.hold(pipeline).status = "canceled"
        others = [Workflow("release", "success", [Job("validate")]), Workflow("ci", "running", [Job("lint", status="running")])]
        circleci.still.pipelines[0].workflows[:0] = others
        found = client(circleci).waiting(pipeline)
        workflow = circleci.still.pipelines[0].workflows[3]
    assert [(each.approval, each.job, each.workflow_name) for each in found] == [(new.id, "hold-rollback", "rollback"), (old.id, "hold", "release")]
    assert (found[0].pipeline, found[0].workflow) == (pipeline, workflow.id)
    assert found[0].url == f"{circleci.url}/pipelines/{OAUTH}/1/workflows/{workflow.id}"


@pytest.mark.parametrize("pipeline", ["", "local build", "../../me", "2f0b1c9e-6a3d-4f5b-9c7e-8d1a2b3c4d5e"])
def test_in_a_pipeline_that_nobody_knows_nothing_waits(circleci, pipeline):
    """A pair may have been built by hand, whose build id is anything."""
    assert client(circleci).waiting(pipeline) == ()


def test_who_may_not_look_is_told(circleci):
    """That is not "nothing waits"."""
    assert "(401)" in failure(Unreachable, client(circleci, "another").waiting, str(uuid.uuid4()))
    circleci.misbehave(DENIED)
    assert f"may not see the pipelines of {OAUTH} (403)" in failure(Unreachable, client(circleci).waiting, str(uuid.uuid4()))


def test_what_waits_is_approved_once(circleci):
    """Then it does not wait any more, and approving it again is refused."""
    job = circleci.still.hold(pipeline := str(uuid.uuid4()))
    ci = client(circleci)
    (waiting,) = ci.waiting(pipeline)
    ci.approve(waiting)
    assert job.status == "success" and ci.waiting(pipeline) == ()
    assert "(404)" in failure(Refused, ci.approve, waiting)


def test_who_may_not_approve_is_told(circleci):
    """In one line that says what was not allowed."""
    job = circleci.still.hold(pipeline := str(uuid.uuid4()))
    (waiting,) = client(circleci).waiting(pipeline)
    circleci.misbehave(DENIED, on="approve")
    assert f"may not approve hold of {OAUTH} (403)" in failure(Unreachable, client(circleci).approve, waiting)
    assert job.status == "on_hold"


def test_an_approval_that_may_have_been_taken_is_not_repeated(circleci):
    """Whoever gave it is told where to look."""
    circleci.still.hold(pipeline := str(uuid.uuid4()))
    (waiting,) = client(circleci).waiting(pipeline)
    circleci.misbehave(ACCEPTS_AND_CLOSES, on="approve")
    assert f"not known whether hold was approved: see {waiting.url}" in failure(Unreachable, client(circleci).approve, waiting)
    assert [call.operation for call in circleci.calls].count("approve") == 1
