"""docs/webhook.md and the examples beside it say what is so."""

import configparser
import re
from pathlib import Path

from scripts import signatures
from scripts.events import MAX_BODY_BYTES
from scripts.receiver import app, server, starting
from scripts.receiver.answers import STATUS, Outcome
from scripts.receiver.log import MAX_REFUSALS_PER_S
from scripts.webhook_commands import webhook

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "webhook.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "docs" / "examples" / "Dockerfile").read_text(encoding="utf-8")
UNIT = (ROOT / "docs" / "examples" / "promotion-webhook.service").read_text(encoding="utf-8")


def test_every_outcome_is_documented_with_its_status():
    """And no other; `gone` is told to nobody."""
    rows = re.findall(r"^\| ([\d, ]+) \| (.*?) \| (?:no|yes) \|$", DOCUMENT, re.MULTILINE)
    documented = {outcome: {int(each) for each in statuses.split(",")} for statuses, text in rows for outcome in re.findall(r"`([a-z_]+)`", text)}
    assert documented.keys() == {outcome.value for outcome in Outcome if outcome is not Outcome.GONE}
    assert all(STATUS[Outcome(outcome)] in statuses for outcome, statuses in documented.items())


def test_only_what_may_come_right_is_sent_again():
    """MLflow sends again after 429 and 5xx (3.17)."""
    again = {outcome for outcome, status in STATUS.items() if status >= 500 or status == 429}
    assert again == {Outcome.FAULT, Outcome.UNAVAILABLE, Outcome.BUSY}


def test_the_limits_are_those_that_are_documented():
    """In its section on security."""
    assert f"Bodies end at {MAX_BODY_BYTES // 1024} KiB and after {app.BODY_S:.0f} s, heads after {server.HEAD_S:.0f} s" in DOCUMENT
    assert f"answers that are not read after {server.WRITE_S:.0f} s for each connection" in DOCUMENT
    assert f"connections at {server.MAX_CONNECTIONS}, deliveries under way at {app.MAX_JUDGED}," in DOCUMENT
    assert f"starts that wait at {starting.MAX_WAITING}." in DOCUMENT
    assert f"{MAX_REFUSALS_PER_S} a second" in DOCUMENT
    assert f"has {signatures.SHORTEST_SECRET} characters at least" in DOCUMENT
    assert f"({signatures.WINDOW_S} s either way)" in DOCUMENT


def test_every_command_of_the_webhook_is_documented():
    """In a line that can be copied."""
    assert "\npython -m scripts webhook " in DOCUMENT
    assert all(f"\npython -m scripts webhook {name}" in DOCUMENT for name in webhook.commands)


def test_the_image_is_pinned_and_runs_as_nobody_special():
    """Of the Python that CI has, with what requirements.txt pins, and no secret in it."""
    base = re.search(r"^FROM python:([\d.]+)-slim-bookworm$", DOCKERFILE, re.MULTILINE)
    assert base and f"cimg/python:{base[1]}" in (ROOT / ".circleci" / "config.yml").read_text()
    assert re.search(r"^USER \d+$", DOCKERFILE, re.MULTILINE)
    assert not re.search(r"^(ENV|ARG).*(SECRET|TOKEN|PASSWORD)", DOCKERFILE, re.MULTILINE)
    assert "pip install --no-deps -r requirements.txt" in DOCKERFILE


def test_the_unit_runs_the_receiver_without_rights():
    """As a user of its own, with secrets from a file, and time to finish."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(UNIT)
    service = parser["Service"]
    assert service["ExecStart"].split()[1:4] == ["-m", "scripts", "webhook"]
    assert service["User"] not in ("root", "") and service["EnvironmentFile"] and service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict" and not service["CapabilityBoundingSet"]
    assert int(service["TimeoutStopSec"]) > server.STOP_S > starting.ANSWER_S
    assert not re.search(r"^Environment=.*(SECRET|TOKEN)", UNIT, re.MULTILINE)


def test_neither_example_tells_where_it_listens_to_the_world():
    """The unit binds to this machine; the image's ports are published on it alone."""
    assert "--host 127.0.0.1" in UNIT
    assert "-p 127.0.0.1:8700:8700" in DOCKERFILE
