"""What comes over the wire, hostile or not, to a real receiver."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts import signatures
from scripts.receiver.answers import Outcome
from tests.receiver import starts
from tests.receiver.process import MODEL, SECRET, TOKEN, Receiver, alias_event, configure, databricks_event, mlflow_event, signed


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    """Of two services with one model, and a third with another."""
    folder = tmp_path_factory.mktemp("receiver")
    configs = (configure(folder), configure(folder, "beside", candidate="Staging"), configure(folder, "other", model="other"))
    with Receiver(folder, *configs) as process:
        yield process


@pytest.fixture(autouse=True)
def still_alive(receiver):
    """Whatever came, the receiver answers, and the next good delivery is taken."""
    yield
    assert receiver.get("/healthz") == "ready\n"
    assert receiver.send(alias_event(starts.FOUND)).told["outcome"] == "found"


@pytest.fixture
def unmoved(receiver):
    """Nothing is started meanwhile."""
    before = len(receiver.starts())
    yield
    assert len(receiver.starts()) == before


def databricks(body: bytes) -> dict[str, str]:
    return {"X-Databricks-Signature": signatures.databricks_signature(SECRET.encode(), body)}


def test_a_signed_event_starts_one_pipeline_and_copies_of_the_news_find_it(receiver):
    """Another delivery of the same version is told of the same pipeline, and nothing is started again."""
    first, second = receiver.send(alias_event(11)), receiver.send(alias_event(11))
    assert first == (202, {"outcome": "started", "service": "shop", "pipeline": "https://ci.example/11"})
    assert second == (200, {"outcome": "found", "service": "shop", "pipeline": "https://ci.example/11"})
    assert [start["why"] for start in receiver.starts() if start["version"] == 11] == ["mlflow says: alias @staging"]


def test_databricks_event_starts_a_pipeline_once(receiver):
    """A copy has the same body, and is refused; the same news with another time is not."""
    body = databricks_event(12)
    assert receiver.post(body, databricks(body)) == (202, {"outcome": "started", "service": "beside", "pipeline": "https://ci.example/12"})
    assert receiver.post(body, databricks(body)).status == 409
    again = databricks_event(12, at=time.time() - 7)
    assert receiver.post(again, databricks(again)).told["outcome"] == "found"
    assert [start["service"] for start in receiver.starts() if start["version"] == 12] == ["beside"]


def test_every_service_that_waits_for_it_is_started(receiver):
    """Two services follow one model, and have the same tag."""
    body = mlflow_event("model_version_tag", "set", {"name": MODEL, "version": "13", "key": "stage", "value": "Staging"})
    assert receiver.send(body).told["service"] == "shop, beside"
    assert sorted(start["service"] for start in receiver.starts() if start["version"] == 13) == ["beside", "shop"]


@pytest.mark.parametrize(
    "body",
    [
        alias_event(model="another"),
        alias_event(model=MODEL.strip()),
        alias_event(alias="production"),
        alias_event(model="$(touch /tmp/pwned)\n<<pipeline.id>>"),
        alias_event(model="\ud800"),
        mlflow_event("model_version", "created", {"name": MODEL, "version": "1"}),
        mlflow_event("prompt_alias", "created", {"name": MODEL, "alias": "staging", "version": "1"}),
        mlflow_event("something", "new", {}),
    ],
)
@pytest.mark.usefixtures("unmoved")
def test_what_is_nobodys_is_taken_and_ignored(receiver, body):
    """With 200, so that MLflow is done with it, and with the reason."""
    status, told = receiver.send(body)
    assert (status, told["outcome"]) == (200, "ignored")
    assert told["reason"]


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({}, "unsigned"),
        ({"X-MLflow-Signature": "v1,AAAA"}, "unsigned"),
        (signed(alias_event(21), secret="another-secret-0123456789"), "unsigned"),
        (signed(alias_event(22)), "unsigned"),
        ({"X-Databricks-Signature": "0" * 64}, "unsigned"),
        (signed(alias_event(21), at=time.time() - 3_600), "stale"),
        (signed(alias_event(21), at=time.time() + 3_600), "stale"),
        (signed(alias_event(21), at=0), "stale"),
    ],
)
def test_what_is_not_signed_now_is_refused(receiver, headers, outcome):
    """With 401, which MLflow does not send again."""
    assert receiver.post(alias_event(21), headers) == (401, {"outcome": outcome, "reason": receiver.post(alias_event(21), headers).told["reason"]})


@pytest.mark.usefixtures("unmoved")
def test_an_old_event_of_databricks_is_refused(receiver):
    """Its time is in what it signs."""
    body = databricks_event(23, at=time.time() - 3_600)
    assert receiver.post(body, databricks(body)).told["outcome"] == "stale"


def test_a_delivery_that_was_answered_is_refused_when_it_comes_again(receiver):
    """With 409, also when it was ignored."""
    for body in (alias_event(24), alias_event(24, model="another")):
        headers = signed(body)
        assert receiver.post(body, headers).status in (200, 202)
        assert receiver.post(body, headers) == (409, {"outcome": "replayed", "reason": "it was answered before"})


@pytest.mark.usefixtures("unmoved")
@pytest.mark.parametrize("body", [b"", b"{", b"[" * 60_000, b"\xff", alias_event("1; reboot"), mlflow_event("model_version_alias", "created", None)])
def test_what_is_signed_and_malformed_is_refused(receiver, body):
    """With 400: sent again it would be no better."""
    assert receiver.send(body).status == 400


@pytest.mark.usefixtures("unmoved")
def test_no_body_is_larger_than_64_kib(receiver):
    """With its length said, without, or with a length that is none; signed or not."""
    body = b'{"a": "' + b"x" * 70_000 + b'"}'
    assert receiver.send(body).status == receiver.post(body, {}).status == 413
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    head = b"POST /mlflow HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b" 413 " in receiver.raw(head, chunk, chunk, b"0\r\n\r\n")
    for length in (b"-1", b"1e3", b"9" * 30, b"5, 6"):
        assert b" 400 " in receiver.raw(b"POST /mlflow HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n" + b"x" * 10)


@pytest.mark.usefixtures("unmoved")
def test_who_sends_too_slowly_is_hung_up_on(receiver):
    """In the head, in the body, or after it was refused; all at once, so that this takes one limit's time."""
    head = b"POST /mlflow HTTP/1.1\r\nHost: x\r\n"
    slow = [
        [b""],
        [b"POST /ml"] * 40,
        [head, *[b"X-A: 1\r\n"] * 40],
        [head + b"Content-Length: 500\r\n\r\n", *[b"x"] * 40],
        [head + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 40],
        [head + b"Content-Length: 9999999\r\n\r\n" + b"x" * 70_000, *[b"x"] * 40],
    ]
    with ThreadPoolExecutor(len(slow)) as threads:
        came = list(threads.map(lambda pieces: receiver.raw(*pieces, pause=lambda: time.sleep(0.5)), slow))
    assert [re.findall(rb"^HTTP/1.1 (\d+)", each) for each in came] == [[], [], [], [b"408"], [b"408"], [b"413"]]


@pytest.mark.usefixtures("unmoved")
def test_what_is_no_http_is_refused(receiver):
    """And too large a head."""
    assert b" 400 " in receiver.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10 + b"\r\n\r\n")
    assert b" 400 " in receiver.raw(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n")


def test_there_are_three_paths_and_no_page_that_describes_them(receiver):
    """A delivery is posted to one of them, and is not sent on to it from beside it: MLflow would follow, also from https to http."""
    assert receiver.post(alias_event(), signed(alias_event()), "/").status == 404
    assert receiver.post(alias_event(), signed(alias_event()), "/mlflow/").status == 404
    assert receiver.get("/docs") == receiver.get("/openapi.json") == '{"detail":"Not Found"}'
    assert receiver.get("/mlflow") == '{"detail":"Method Not Allowed"}'


@pytest.mark.parametrize(
    ("version", "status", "outcome"),
    [
        (starts.NOT_CANDIDATE, 200, "not_candidate"),
        (starts.NO_SUCH_VERSION, 422, "impossible"),
        (starts.NO, 422, "impossible"),
        (starts.AWAY, 503, "unavailable"),
        (starts.LOCKED, 503, "unavailable"),
        (starts.UNCLEAR, 503, "unavailable"),
        (starts.FAULT, 500, "fault"),
    ],
)
def test_what_may_come_right_is_asked_for_again_and_nothing_else(receiver, version, status, outcome):
    """MLflow retries after 5xx, with the same delivery id, which is then taken anew."""
    headers = signed(alias_event(version))
    for _ in range(2 if status >= 500 else 1):
        answer = receiver.post(alias_event(version), headers)
        assert (answer.status, answer.told["outcome"]) == (status, outcome)
    begun = sum(start["version"] == version for start in receiver.starts())
    assert begun == (2 if status >= 500 else 1)


def test_one_service_that_is_away_brings_the_event_again_for_all(receiver):
    """The other is then found, not started again."""
    body = mlflow_event("model_version_tag", "set", {"name": MODEL, "version": str(starts.AWAY), "key": "stage", "value": "Staging"})
    assert receiver.send(body).status == 503


def test_copies_that_come_together_share_one_start(receiver):
    """Thirty of one delivery and thirty others of the same version; each is answered."""
    headers, body = signed(alias_event(31)), alias_event(31)
    with ThreadPoolExecutor(60) as threads:
        answers = list(threads.map(lambda number: receiver.post(body, headers) if number % 2 else receiver.send(body), range(60)))
    assert {answer.status for answer in answers} <= {200, 202, 409}
    assert sum(start["version"] == 31 for start in receiver.starts()) == 1


def test_no_secret_is_in_an_answer_a_metric_or_the_log(receiver):
    """Not even where the reason of a failure has it in it; and no body is there either."""
    told = [receiver.send(alias_event(version)).told for version in (starts.TELLTALE, starts.FAULT)]
    assert told[0]["reason"] == "Nobody there, with *** and ***."
    private = mlflow_event("model_version_tag", "set", {"name": MODEL, "version": "1", "key": "k", "value": "a-private-value"})
    receiver.send(private[:-3] + b"not json")
    text = json.dumps(told) + receiver.get("/metrics") + receiver.log
    assert SECRET not in text and TOKEN not in text and "a-private-value" not in text
    assert "Traceback" not in receiver.log


def test_the_log_is_json_lines_whatever_a_sender_writes(receiver):
    """In ASCII, with control characters escaped: nobody forges a line or colours a terminal."""
    receiver.send(alias_event(41, model='x\n{"outcome": "started"}\x1b[31m\u202e'))
    receiver.post(b"", {"X-MLflow-Signature": "v1,\x1b[31m"})
    lines = receiver.log.splitlines()
    assert all({"time", "level", "message"} <= json.loads(line).keys() for line in lines)
    assert receiver.log.isascii() and "\x1b" not in receiver.log


def test_metrics_count_each_outcome(receiver):
    """Every outcome that there is has its line from the start, and no sender can add one."""
    before = receiver.count("unsigned")
    receiver.post(b"{}", {})
    assert receiver.count("unsigned") == before + 1
    names = re.findall(r'deliveries_total\{outcome="(\w+)"\}', receiver.get("/metrics"))
    assert names == [outcome.value for outcome in Outcome]


def test_metrics_are_in_prometheus_text_format(receiver):
    """Each family has help and a type, each line a number, and the histogram adds up."""
    lines = receiver.get("/metrics").splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r'promotion_webhook_\w+(\{\w+="[^"]+"\})? [0-9.e+-]+', line) for line in samples)
    families = {re.sub(r"(_bucket|_sum|_count)?(\{.*)? .*", "", line) for line in samples}
    described, typed = ({line.split()[2] for line in lines if line.startswith(word)} for word in ("# HELP", "# TYPE"))
    assert families == described == typed
    buckets = [int(line.rpartition(" ")[2]) for line in samples if "_bucket" in line]
    assert buckets == sorted(buckets)
    assert buckets[-1] == int(next(line for line in samples if "_seconds_count" in line).rpartition(" ")[2])
