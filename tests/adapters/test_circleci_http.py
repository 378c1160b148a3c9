"""Requests to CircleCI on bad days: what is asked again and what is not, how long it takes, and that nobody ever sees the token."""

from __future__ import annotations

import dataclasses
import gzip
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
from scripts.errors import Unreachable, UsageError
from scripts.pipelines import PipelineSettings
from tests.certificates import Authority
from tests.circleci.api import OAUTH, TOKEN, StandIn
from tests.circleci.calls import RELEASE, SOON, client, failure
from tests.circleci.faults import (
    ACCEPTS_AND_CLOSES,
    ACCEPTS_AND_FAILS,
    CLOSES,
    HANGS,
    Fault,
    garbage,
    too_many,
)


@pytest.fixture
def circleci() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


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


@pytest.mark.parametrize("retry_after", ["31", "999999999999999999999", "Tue, 19 Jan 2038 03:14:07 GMT"])
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
    assert f"CircleCI at {url} cannot be asked: Failed to establish a new connection" in told
    assert "not known" not in told


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


def test_an_answer_without_end_is_not_read(circleci):
    """More than a few MiB is no answer of CircleCI's."""
    circleci.misbehave(garbage(b" " * (circleci_http.MAX_BYTES + 1), 201))
    assert "more than 4 MiB" in failure(Unreachable, client(circleci).start, RELEASE)


def test_an_answer_that_swells_is_not_read(circleci):
    """What is sent is small, what comes out of it is not."""
    packed = gzip.compress(b" " * 2**25, 1)
    circleci.misbehave(Fault(200, packed, {"Content-Encoding": "gzip"}), times=9)
    assert "more than 4 MiB" in failure(Unreachable, client(circleci).waiting, str(uuid.uuid4()))


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


def test_only_a_certificate_that_is_trusted_gets_the_token(tmp_path, monkeypatch):
    """Whom requests trusts, by REQUESTS_CA_BUNDLE. Another one is told of, and that nothing was started."""
    ours, stranger = Authority(tmp_path, "ours"), Authority(tmp_path, "stranger")
    signed = ours.sign("server")
    with StandIn(tls=signed) as circleci:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stranger.certificate))
        told = failure(Unreachable, client(circleci).start, RELEASE)
        assert "certificate verify failed" in told and "REQUESTS_CA_BUNDLE" in told and "not known" not in told
        assert not circleci.calls
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ours.certificate))
        assert client(circleci).start(RELEASE).number == 1


def test_a_proxy_is_asked_that_is_not_there(circleci, monkeypatch):
    """Proxies are taken from the environment, and their passwords are not told."""
    monkeypatch.setenv("HTTPS_PROXY", "http://somebody:secret@127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    told = failure(Unreachable, client(circleci, url="https://circleci.invalid").start, RELEASE)
    assert "proxy" in told.lower() and "secret" not in told
