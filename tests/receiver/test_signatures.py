"""Signatures: what is believed."""

import base64
import hashlib
import hmac
import inspect

import pytest
from mlflow.webhooks import delivery as mlflow_delivery
from pydantic import SecretStr

from scripts import signatures
from scripts.errors import UsageError
from scripts.signatures import NotGenuine, Sender, Stale

KEY = b"a-secret-for-tests-0123456789"
ID, AT, BODY = "0b2f6f0e-6a0f-4c8e-9d0f-0a9f6f2f7f10", "1795280000", b'{"entity": "model_version_alias"}'


def by_hand(key: bytes, text: bytes) -> str:
    """With the standard library alone."""
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def headers(**changes: str | None) -> list[tuple[bytes, bytes]]:
    given = {"x-mlflow-delivery-id": ID, "x-mlflow-timestamp": AT, "x-mlflow-signature": by_hand(KEY, f"{ID}.{AT}.".encode() + BODY)}
    given |= {name.replace("_", "-"): value for name, value in changes.items()}
    return [(name.encode(), value.encode()) for name, value in given.items() if value is not None]


def test_a_signature_made_by_hand_is_right():
    """Base64 of HMAC-SHA256 over id, timestamp and body, joined by dots."""
    found = signatures.verified(KEY, headers(), BODY)
    assert (found.sender, found.id, found.sent_at) == (Sender.MLFLOW, ID, int(AT))


def test_mlflows_own_signature_is_right():
    """As the installed MLflow makes it."""
    theirs = mlflow_delivery._generate_hmac_signature(KEY.decode(), ID, AT, BODY.decode())
    assert signatures.verified(KEY, headers(x_mlflow_signature=theirs), BODY).id == ID
    assert theirs == signatures.mlflow_signature(KEY, ID, AT, BODY)


def test_databricks_signature_is_right():
    """Hexadecimal, over the body alone; a copy has the same id."""
    signature = hmac.new(KEY, BODY, hashlib.sha256).hexdigest()
    found = signatures.verified(KEY, [(b"x-databricks-signature", signature.encode())], BODY)
    assert (found.sender, found.id, found.sent_at) == (Sender.DATABRICKS, hashlib.sha256(BODY).hexdigest(), None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"x_mlflow_signature": None}, "no signature"),
        ({"x_mlflow_signature": ""}, "signature is wrong"),
        ({"x_mlflow_signature": by_hand(b"another", f"{ID}.{AT}.".encode() + BODY)}, "signature is wrong"),
        ({"x_mlflow_signature": by_hand(KEY, BODY)}, "signature is wrong"),
        ({"x_mlflow_signature": by_hand(KEY, f"{ID}.{AT}.".encode() + BODY).removeprefix("v1,")}, "signature is wrong"),
        ({"x_mlflow_signature": "v1,é"}, "signature is wrong"),
        ({"x_mlflow_signature": "v1," + "A" * 300}, "too long"),
        ({"x_mlflow_timestamp": "1795280001"}, "signature is wrong"),
        ({"x_mlflow_timestamp": None}, "timestamp is missing"),
        ({"x_mlflow_timestamp": "-5"}, "timestamp is missing"),
        ({"x_mlflow_timestamp": "1e9"}, "timestamp is missing"),
        ({"x_mlflow_timestamp": "٣"}, "timestamp is missing"),
        ({"x_mlflow_timestamp": "9" * 13}, "timestamp is missing"),
        ({"x_mlflow_delivery_id": "another"}, "signature is wrong"),
        ({"x_mlflow_delivery_id": None}, "delivery id"),
        ({"x_mlflow_delivery_id": "a.b"}, "delivery id"),
        ({"x_mlflow_delivery_id": "a" * 101}, "delivery id"),
        ({"x_databricks_signature": hmac.new(KEY, BODY, hashlib.sha256).hexdigest()}, "both"),
    ],
)
def test_what_is_not_signed_right_is_not_believed(changes, why):
    """Missing, wrong, of another secret, over another text, oddly shaped; and it is said which, without the right one."""
    with pytest.raises(NotGenuine, match=why) as refused:
        signatures.verified(KEY, headers(**changes), BODY)
    assert by_hand(KEY, f"{ID}.{AT}.".encode() + BODY) not in str(refused.value)


@pytest.mark.parametrize("name", [b"x-mlflow-signature", b"x-mlflow-delivery-id", b"x-mlflow-timestamp"])
def test_a_header_that_comes_twice_is_not_believed(name):
    """A proxy and the receiver might each take another one."""
    with pytest.raises(NotGenuine, match="twice"):
        signatures.verified(KEY, [*headers(), (name, b"x")], BODY)


def test_another_body_is_not_believed():
    """One space more."""
    with pytest.raises(NotGenuine, match="wrong"):
        signatures.verified(KEY, headers(), BODY + b" ")


def test_what_mlflow_signed_cannot_be_cut_anew():
    """Neither with the first dot elsewhere, nor as a body that Databricks signed; nor a Databricks body as id, timestamp and body."""
    text = f"{ID}.{AT}.".encode() + BODY
    as_databricks = hmac.new(KEY, text, hashlib.sha256).hexdigest()
    assert signatures.verified(KEY, [(b"x-databricks-signature", as_databricks.encode())], text).sender is Sender.DATABRICKS
    assert not text.startswith(b"{")  # so it is no JSON, and is refused as malformed
    for delivery, timestamp, body in ((f"{ID}.{AT}", "1", BODY), ('{"event": 1', "2", b"3}"), ("", ID, BODY)):
        signature = by_hand(KEY, f"{delivery}.{timestamp}.".encode() + body)
        with pytest.raises(NotGenuine):
            signatures.verified(KEY, headers(x_mlflow_delivery_id=delivery, x_mlflow_timestamp=timestamp, x_mlflow_signature=signature), body)


@pytest.mark.parametrize("apart", [-300, -1, 0, 300])
def test_five_minutes_either_way_are_now(apart):
    """Clocks differ, and retries take some seconds."""
    signatures.refuse_stale(1000.0 + apart, 1000.0)


@pytest.mark.parametrize("sent_at", [699, 1301, 0, 10**12, float("nan")])
def test_what_is_older_or_from_the_future_is_stale(sent_at):
    """It may have been recorded long ago."""
    with pytest.raises(Stale):
        signatures.refuse_stale(sent_at, 1000.0)


@pytest.mark.parametrize("secret", ["", "short", "a" * 15])
def test_a_secret_that_is_missing_or_short_is_refused(secret):
    """Whoever saw one delivery could guess it; and the message does not have it."""
    with pytest.raises(UsageError, match="WEBHOOK_SECRET") as refused:
        signatures.key(SecretStr(secret))
    assert not secret or secret not in str(refused.value)


def test_signatures_are_compared_in_constant_time():
    """By the function that is made for it, and by no other comparison."""
    assert "hmac.compare_digest(right, given)" in inspect.getsource(signatures._compare)
    assert "==" not in inspect.getsource(signatures.verified)


def test_the_window_is_wider_than_mlflows_retries():
    """Their timestamps are those of the first try: 0 + 2 + 4 + 8 s at most, and a second of jitter each (3.17)."""
    retry = mlflow_delivery._create_webhook_session().get_adapter("https://").max_retries
    slowest = sum(retry.backoff_factor * 2**n + retry.backoff_jitter for n in range(retry.total))
    assert slowest + retry.total * 30 < signatures.WINDOW_S
