"""CircleCI's API as the kit uses it: what is sent, what every answer means, how long it takes, and that nobody ever sees the token."""

from __future__ import annotations

import dataclasses
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from scripts.adapters import circleci_http
from scripts.adapters.circleci import CircleCi
from scripts.adapters.circleci_http import Patience
from scripts.errors import KitError, Refused, Unreachable, UsageError
from scripts.settings import PipelineSettings
from tests.circleci.api import APP, DEFINITION, OAUTH, TOKEN, StandIn
from tests.circleci.faults import (
    ACCEPTS_AND_CLOSES,
    ACCEPTS_AND_FAILS,
    CLOSES,
    DENIED,
    HANGS,
    Fault,
    garbage,
    skipped,
    too_many,
)
from tests.circleci.still import Job, Workflow

SOON = Patience(total=3, connect=1, silence=0.3, pause=0.01)
RELEASE = {"action": "release", "service": "products", "model_version": "7", "request": "r1"}


@pytest.fixture
def circleci() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


def client(stand_in: StandIn, token: str = TOKEN, patience: Patience = SOON, **changes: str) -> CircleCi:
    return CircleCi(PipelineSettings.model_validate(stand_in.section | changes), SecretStr(token), patience)


def failure(kind: type[KitError], act, *words) -> str:
    """The one line of a failure, in which nobody finds the token."""
    with pytest.raises(kind) as caught:
        act(*words)
    assert type(caught.value) is kind
    told = str(caught.value)
    assert "\n" not in told and len(told) < 700, told
    assert TOKEN not in told + repr(caught.value) + repr(caught.value.__cause__), told
    return told


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


def test_without_a_token_nothing_is_asked(circleci):
    """That is said when it is first used, not before."""
    ci = client(circleci, "")
    for act in (lambda: ci.start(RELEASE), lambda: ci.waiting(str(uuid.uuid4()))):
        assert failure(UsageError, act).startswith("CIRCLECI_TOKEN is not set.")
    assert not circleci.calls


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN}\r\nX-Evil: 1", f" {TOKEN}", f"{TOKEN}é", f"{TOKEN}\x00"])
def test_a_token_that_cannot_be_one_is_not_sent_and_not_shown(circleci, token):
    """Libraries quote a header that they do not like."""
    assert "CIRCLECI_TOKEN has a character in it" in failure(UsageError, client(circleci, token).start, RELEASE)
    assert not circleci.calls


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


@pytest.mark.parametrize("retry_after", ["0", None, "soon", "-1", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_too_many_requests_are_asked_again(circleci, retry_after):
    """Also to start a pipeline: what was turned away was not accepted. One pipeline comes of it."""
    circleci.misbehave(too_many(retry_after), times=3)
    assert client(circleci).start(RELEASE).number == 1
    assert (len(circleci.calls), len(circleci.started)) == (4, 1)


@pytest.mark.parametrize("in_words", [str, lambda s: format_datetime(datetime.now(UTC) + timedelta(seconds=s), usegmt=True)])
def test_retry_after_is_waited_for(circleci, monkeypatch, in_words):
    """Given in seconds or as a date."""
    slept: list[float] = []
    monkeypatch.setattr(circleci_http.time, "sleep", slept.append)
    circleci.misbehave(too_many(in_words(20)))
    client(circleci, patience=dataclasses.replace(SOON, total=30)).start(RELEASE)
    assert slept == [pytest.approx(20, abs=2)]


@pytest.mark.parametrize("retry_after", ["31", "999999999999999999999", format_datetime(datetime.now(UTC) + timedelta(days=9), usegmt=True)])
def test_nobody_waits_longer_than_that(circleci, monkeypatch, retry_after):
    """More than our patience is said at once."""
    monkeypatch.setattr(circleci_http.time, "sleep", lambda seconds: pytest.fail(f"slept {seconds} s"))
    circleci.misbehave(too_many(retry_after))
    assert "takes no more requests for now (429)" in failure(Unreachable, client(circleci, patience=Patience()).start, RELEASE)
    assert len(circleci.calls) == 1


def test_it_ends_where_there_are_always_too_many(circleci):
    """After a few attempts."""
    circleci.misbehave(too_many(), times=99)
    assert "(429)" in failure(Unreachable, client(circleci).start, RELEASE)
    assert len(circleci.calls) == SOON.tries


@pytest.mark.parametrize("fault", [ACCEPTS_AND_CLOSES, ACCEPTS_AND_FAILS, CLOSES, HANGS, Fault(503), Fault(500, accepts=True)])
def test_a_start_that_may_have_been_accepted_is_not_repeated(circleci, fault):
    """A second pipeline would be worse than none: whoever asked is told where to look."""
    circleci.misbehave(fault)
    told = failure(Unreachable, client(circleci).start, RELEASE)
    assert told.endswith(f"It is not known whether the pipeline was started: {circleci.url}/pipelines/{OAUTH} shows it, if it was.")
    assert len(circleci.calls) == 1 and len(circleci.started) <= 1


def test_a_start_that_cannot_have_been_accepted_is_repeated():
    """Where there is no connection. Nothing is said of a pipeline that might be there."""
    with closing(socket.create_server(("127.0.0.1", 0))) as port:
        url = f"http://127.0.0.1:{port.getsockname()[1]}"
    ci = CircleCi(PipelineSettings(project=OAUTH, url=url), SecretStr(TOKEN), SOON)
    told = failure(Unreachable, ci.start, RELEASE)
    assert "cannot be asked" in told and "refused" in told and "not known" not in told


def test_questions_are_asked_again(circleci):
    """They change nothing: whatever goes wrong, a few more are asked."""
    circleci.still.hold(pipeline := str(uuid.uuid4()))
    circleci.misbehave(CLOSES, Fault(503), HANGS)
    assert len(client(circleci).waiting(pipeline)) == 1


def test_questions_that_nobody_answers_end(circleci):
    """With the last thing that went wrong."""
    circleci.misbehave(Fault(503, b'{"message": "Maintenance"}'), times=99)
    assert "is out of order (503): Maintenance." in failure(Unreachable, client(circleci).waiting, str(uuid.uuid4()))
    circleci.behave()
    circleci.misbehave(HANGS, times=99)
    assert "no answer within 0.3 s" in failure(Unreachable, client(circleci).waiting, str(uuid.uuid4()))


def test_whoever_answers_a_byte_at_a_time_is_not_waited_for(circleci):
    """Each comes in time, the whole of them never would."""
    circleci.misbehave(Fault(200, b" " * 10_000, pause=0.05), times=99)
    told = failure(Unreachable, client(circleci, patience=dataclasses.replace(SOON, total=1)).waiting, str(uuid.uuid4()))
    assert "no answer within" in told, "the whole of it would be no JSON"


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


def test_an_answer_without_end_is_not_read(circleci):
    """More than a few MiB is no answer of CircleCI's."""
    circleci.misbehave(garbage(b" " * (circleci_http.MAX_BYTES + 1), 201))
    assert "more than 4 MiB" in failure(Unreachable, client(circleci).start, RELEASE)


def test_a_list_without_end_is_not_followed(circleci):
    """Nor one that leads back to its own first page."""
    circleci.misbehave(garbage(b'{"items": [], "next_page_token": "again"}'), times=99)
    assert "a list does not end" in failure(Unreachable, client(circleci).waiting, str(uuid.uuid4()))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_token_goes_nowhere_else(circleci, status):
    """A redirection is not followed, wherever it leads."""
    with StandIn() as elsewhere:
        circleci.misbehave(Fault(status, b"", {"Location": f"{elsewhere.url}/api/v2/project/{OAUTH}/pipeline"}))
        assert "sends us elsewhere" in failure(Unreachable, client(circleci).start, RELEASE)
        assert not elsewhere.calls


def test_a_netrc_is_not_sent_along(circleci, tmp_path, monkeypatch):
    """It would be someone else's password."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client(circleci).start(RELEASE)
    assert "Authorization" not in circleci.calls[0].headers


def test_a_token_that_is_sent_back_is_not_shown(circleci):
    """Some servers quote what they were asked."""
    circleci.misbehave(Fault(403, b'{"message": "No access for %s\\u001b[2J\\nat all"}' % TOKEN.encode()))
    told = failure(Unreachable, client(circleci).start, RELEASE)
    assert "No access for …" in told and "\x1b" not in told


def test_a_file_of_authorities_that_is_missing_is_said(circleci, monkeypatch):
    """It is named by REQUESTS_CA_BUNDLE, which requests reads."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    told = failure(Unreachable, client(circleci, url="https://127.0.0.1:9").start, RELEASE)
    assert "/nowhere/ca.pem" in told and "not known" not in told


def test_a_proxy_is_asked_that_is_not_there(circleci, monkeypatch):
    """Proxies are taken from the environment, and their passwords are not told."""
    monkeypatch.setenv("HTTPS_PROXY", "http://somebody:secret@127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    told = failure(Unreachable, client(circleci, url="https://circleci.invalid").start, RELEASE)
    assert "proxy" in told.lower() and "secret" not in told


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


@pytest.mark.parametrize("pipeline", ["", "local build", "../../me", str(uuid.uuid4())])
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
