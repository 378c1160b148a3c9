"""What people are told in a chat: the facts, escaped and bounded; and that telling them changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from scripts import messages, notifying, switch
from scripts.adapters import messenger
from scripts.adapters.messenger import Messenger
from scripts.catalogue import Entry
from scripts.environment import Environment
from scripts.errors import Refused
from scripts.evidence import Evidence
from scripts.jobs.switching import Switched
from scripts.jobs.validate import Validated
from scripts.messages import Context, Message
from scripts.notifying import Attempt
from scripts.pair import Build, Pair
from scripts.quality.gates import Verdict
from scripts.switch import Kind, SwitchPlan
from tests.chat import SECRET, Chat, chatting
from tests.test_pair import stamp

THEN = datetime(2026, 3, 1, tzinfo=UTC)
NEW, OLD = "shop_v7_0000000a", "shop_v6_0000000b"
WHERE = Context("shop", "ann", "https://ci.test/42")


def evidence(verdict: Verdict = Verdict.PASS) -> Evidence:
    return Evidence(
        pair=NEW,
        model_digest="d",
        embedding_fingerprint="e",
        source_fingerprint="s",
        rows=1_234,
        suite="golden",
        suite_digest="g",
        queries=116,
        means={"nDCG@10": 0.593, "RR@10": 0.7},
        production=OLD,
        production_means={"nDCG@10": 0.379},
        gates=(),
        verdict=verdict,
        why="nDCG@10 at least 0.5 (0.5930)",
        judged_at=THEN,
    )


def entry(name: str, **values) -> Entry:
    made = stamp(build=Build(id="b", created_at=THEN, url="https://ci.test/7"), **values)
    return Entry(Pair.parse(name), made, (), False)


def plan(kind: Kind = Kind.PROMOTION, **changes) -> SwitchPlan:
    to = entry(NEW, evidence_digest="e" * 64)
    return SwitchPlan(**{"kind": kind, "alias": "shop_prod", "expected": OLD, "origin": entry(OLD), "to": to, "reason": "cheaper"} | changes)


def said(message: Message) -> str:
    """All that is shown, which `text` and `blocks` agree on."""
    told = message.as_json()
    shown = "\n".join(block["text"]["text"] for block in told["blocks"])
    for line in told["text"].splitlines():
        assert line in shown
    return shown


def test_who_approves_is_told_all_that_approval_should_rest_on():
    """Verdict, measures against production, the evidence, and the command that approves it."""
    shown = said(messages.approval_waits(evidence(), WHERE))
    for fact in (NEW, OLD, "pass: nDCG@10 at least", "nDCG@10 0.5930 (production 0.3790)", "RR@10 0.7000", "1,234", "ann", "<https://ci.test/42|Build>"):
        assert fact in shown
    assert f"```python -m scripts approve {NEW} --evidence {evidence().digest}```" in shown


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_what_the_gates_refused_is_told_with_the_reason(verdict):
    """There is nothing to approve."""
    message = messages.not_passed(evidence(verdict), WHERE)
    assert f"{verdict}: nDCG@10 at least 0.5" in said(message)
    assert message.code == ""


def test_a_switch_is_told_with_who_what_and_why():
    """Of promotion and rollback; also what is left to do."""
    shown = said(messages.switched(plan(), WHERE, left="MLflow was not told"))
    for fact in ("shop_prod now serves", NEW, OLD, "cheaper", "ann", "MLflow was not told", "e" * 64, "<https://ci.test/7|The pair's build>"):
        assert fact in shown
    assert "(rollback)" in said(messages.switched(plan(Kind.ROLLBACK), WHERE))
    assert "Instead of:* nothing" in said(messages.switched(plan(expected=None), WHERE))


def test_a_promotion_that_was_taken_back_says_where_production_is():
    """Back at what it was, or nowhere."""
    shown = said(messages.taken_back(plan(), "golden queries find less", WHERE))
    assert "taken back" in shown and "golden queries find less" in shown and f"back at {OLD}" in shown
    assert "points to nothing" in said(messages.taken_back(plan(expected=None), "why", WHERE))


def test_what_failed_is_told_with_its_error_and_its_reason():
    """A rollback need not have named its pair."""
    assert "The promotion of shop_v7_0000000a did not come to its end" in said(messages.failed("promotion", NEW, "it is locked", WHERE))
    shown = said(messages.failed("rollback", "", "no predecessor", WHERE, reason="prices missing"))
    assert "The rollback did not come to its end" in shown and "no predecessor" in shown and "prices missing" in shown


def test_nobody_is_called_and_nothing_is_linked_by_what_others_wrote():
    """&, < and > are escaped, and Slack is told to leave names and addresses alone."""
    hostile = "<!channel> <https://evil.test|click> a&b\n*x*\x1b[31m\u202e"
    told = messages.failed("promotion", NEW, hostile, Context("<shop>", "<@U1>", "javascript:alert(1)")).as_json()
    for text in (told["text"], *(block["text"]["text"] for block in told["blocks"])):
        assert "<" not in text and "a&b" not in text and "\x1b" not in text and "\u202e" not in text
    assert "&lt;!channel&gt;" in told["text"] and "a&amp;b" in told["text"]
    assert all(block["text"]["verbatim"] for block in told["blocks"])


@pytest.mark.parametrize("letter", ["x", "&", "<", "é"])
def test_a_message_is_never_longer_than_slack_takes(letter):
    """3,000 characters a section, escapes included; none of them is cut in two."""
    long = letter * 20_000
    told = messages.switched(plan(reason=long), Context(long, long, "https://" + long), left=long).as_json()
    for block in told["blocks"]:
        assert len(block["text"]["text"]) <= 3_000
    assert len(told["text"]) < 10_000 and len(told["blocks"]) <= 50
    assert "…" in told["text"] and "&am…" not in told["text"] and "&l…" not in told["text"]


def test_links_are_web_addresses_that_cannot_end_early():
    """And none carries a password."""

    def told(url: str) -> str:
        return messages.failed("promotion", NEW, "why", Context("shop", "", url)).as_json()["text"]

    assert "<https://ci.test/a%7Cb%3Ec%20d?e=1&amp;f|Build>" in told("https://ci.test/a|b>c d?e=1&f")
    for url in ("https://u:p@ci.test/", "ftp://x", "javascript:alert(1)", ""):
        assert "Build" not in told(url), url


@pytest.fixture
def chat():
    with chatting() as server:
        yield server


def test_a_message_is_posted_as_json(chat):
    """To the very address."""
    assert Messenger(chat.url).send({"text": "hallo ü"}) == ""
    assert chat.got == [(f"/{SECRET}", {"text": "hallo ü"})]


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_a_server_that_says_no_is_told_by_its_status_alone(chat, status):
    """Its answer may repeat the address."""
    chat.status = status
    assert Messenger(chat.url).send({}) == f"the server answered {status}"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(chat, status):
    """Whoever answers does not choose where our messages go."""
    with chatting() as other:
        chat.status, chat.headers = status, {"Location": other.url.get_secret_value()}
        assert Messenger(chat.url).send({}) == f"the server answered {status}, and redirects are not followed"
        assert other.got == []


def test_a_server_that_is_down_or_slow_is_left_after_a_while(chat, monkeypatch):
    """Also one that keeps sending, a line at a time, and a name that leads nowhere."""
    closed = Chat()
    url = closed.url
    closed.server_close()
    assert Messenger(url).send({}) == "the server was not reached (ConnectionError)"
    monkeypatch.setattr(messenger, "SECONDS", 0.3)
    chat.pause = 0.1
    assert Messenger(chat.url).send({}) == "there was no answer within 0.3 seconds"


@pytest.mark.parametrize("url", ["http://chat.test/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "https://", "chat", "http://[::1", "http://127.0.0.1.evil.test/"])
def test_an_address_that_is_not_private_on_its_way_is_not_used(url):
    """https, or this machine."""
    assert Messenger(SecretStr(url)).send({}) == "NOTIFY_URL does not begin with https://"


def kit(url: SecretStr, build_id: str = "p-1") -> SimpleNamespace:
    nowhere = {"mlflow_uri": "", "milvus_uri": "", "milvus_token": SecretStr("")}
    environment = Environment(**nowhere, build_id=build_id, build_url="https://ci.test/42", shard="", actor="ann", notify_url=url)
    return SimpleNamespace(settings=SimpleNamespace(service="shop", environment=environment))


PROMOTION = Attempt("promotion", NEW, "cheaper")


def test_what_a_switch_came_to_is_told(chat):
    """Done, taken back, refused, or broken off by a fault; the error goes on as it was."""
    for result in (Switched(plan(), ()), Switched(plan(), (), failure="found less")):
        with notifying.notifying(kit(chat.url), PROMOTION) as told:
            told(result)
    with pytest.raises(Refused, match="it is locked"), notifying.notifying(kit(chat.url), PROMOTION):
        raise Refused("it is locked", hint="Wait.")
    with pytest.raises(ZeroDivisionError), notifying.notifying(kit(chat.url), PROMOTION):
        raise ZeroDivisionError("secret of a fault")
    texts = [message["text"] for _, message in chat.got]
    assert [text.splitlines()[0] for text in texts] == [
        f"shop_prod now serves {NEW}",
        f"The promotion of {NEW} was taken back",
        *[f"The promotion of {NEW} did not come to its end"] * 2,
    ]
    assert "it is locked Wait." in texts[2] and "cheaper" in texts[2]
    assert "ZeroDivisionError" in texts[3] and "secret of a fault" not in texts[3]


def test_nobody_is_told_twice_nor_of_what_did_not_happen(chat):
    """A dry run, a promotion that was done before, and a validation by hand."""
    settled = entry(NEW, promoted_at=THEN)
    for result, dry_run in ((Switched(plan(), (), dry_run=True), True), (Switched(plan(expected=NEW, to=settled), ()), False)):
        with notifying.notifying(kit(chat.url), PROMOTION, dry_run=dry_run) as told:
            told(result)
    with pytest.raises(Refused), notifying.notifying(kit(chat.url), PROMOTION, dry_run=True):
        raise Refused("no")
    notifying.judged(kit(chat.url, build_id=""), validated(Verdict.PASS))
    assert chat.got == []


def validated(verdict: Verdict) -> Validated:
    return Validated(SimpleNamespace(evidence=evidence(verdict)), {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}[verdict])


def test_a_pipelines_validation_is_told(chat):
    """That approval waits, or why it does not."""
    for verdict in Verdict:
        notifying.judged(kit(chat.url), validated(verdict))
    heads = [message["text"].splitlines()[0].removeprefix(f"{NEW} ") for _, message in chat.got]
    assert sorted(heads) == ["cannot be judged yet", "waits for approval", "was refused by its gates"]


def test_a_notification_that_fails_is_one_warning_without_the_address(chat, capsys):
    """The command ends as it would have."""
    chat.status = 500
    with notifying.notifying(kit(chat.url), PROMOTION) as told:
        told(Switched(plan(), ()))
    with pytest.raises(Refused, match="no"), notifying.notifying(kit(SecretStr(f"nonsense/{SECRET}")), PROMOTION):
        raise Refused("no")
    notifying.judged(kit(chat.url), SimpleNamespace(exit_code=0, evidence=None))
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == [
        "warning: nobody was notified: the server answered 500.",
        "warning: nobody was notified: NOTIFY_URL does not begin with https://.",
        "warning: nobody was notified: a fault of the kit, AttributeError.",
    ]


def test_nothing_is_done_where_nobody_wants_to_know(capsys):
    """NOTIFY_URL is not set."""
    with notifying.notifying(kit(SecretStr("")), PROMOTION) as told:
        told(Switched(plan(), ()))
    notifying.judged(kit(SecretStr("")), validated(Verdict.PASS))
    assert capsys.readouterr() == ("", "")


def test_no_secret_of_the_environment_is_in_a_message():
    """Nor a password in an address that an error names."""
    shown = said(messages.failed("promotion", NEW, "MLflow at https://ann:hunter2@mlflow.test did not answer", WHERE))
    assert "hunter2" not in shown and "https://***@mlflow.test" in shown


def test_a_plan_of_the_switch_itself_is_understood():
    """What `rollback` returns, with the pair that it came from."""
    back = switch.SwitchPlan(Kind.ROLLBACK, "shop_prod", NEW, entry(NEW), entry(OLD), "prices missing")
    shown = said(messages.switched(back, WHERE))
    assert f"shop_prod now serves {OLD} (rollback)" in shown and NEW in shown and "prices missing" in shown
