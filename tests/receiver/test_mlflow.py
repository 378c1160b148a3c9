"""With a real MLflow server: its events reach the receiver, `register` makes them, and `doctor` finds why they do not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet
from mlflow import MlflowClient

from scripts.cli import main
from tests.receiver.process import MODEL, SECRET, Receiver, configure
from tests.servers import MlflowServer, free_ports
from tests.shop import refusal

# The receiver of a test is on this machine and without TLS. Of the list of webhooks, which MLflow keeps for 60 s, a test wants to see what is new.
REACHES_THIS_MACHINE = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true", "MLFLOW_WEBHOOK_CACHE_TTL": "0"}
# An address that nobody listens at is given up sooner.
REACHES_THIS_MACHINE["MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES"] = "2"
KEY = {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode()}
ANOTHER_SECRET = "another-fake-secret-0123456789"


class Workers(MlflowServer):
    """As many as `workers` says; started when all of them answer."""

    workers = 2

    def command(self):
        words = [*super().command()]
        words[words.index("--workers") + 1] = str(self.workers)
        return words

    def start(self):
        before = self.ready()
        super().start()
        wait_for(lambda: self.ready() >= before + self.workers, self.log.read_text)

    def ready(self):
        return self.log.read_text().count("Application startup complete") if self.log.exists() else 0


@pytest.fixture(scope="module")
def mlflow_that_sends(tmp_path_factory) -> Iterator[MlflowServer]:
    """To this machine, whoever listens there."""
    with MlflowServer(tmp_path_factory.mktemp("sending"), REACHES_THIS_MACHINE | KEY) as server:
        yield server


@pytest.fixture
def mlflow(mlflow_that_sends) -> Iterator[MlflowServer]:
    """Without webhooks."""
    yield mlflow_that_sends
    client = MlflowClient(mlflow_that_sends.uri)
    for webhook in client.list_webhooks():
        client.delete_webhook(webhook.webhook_id)


@pytest.fixture(scope="module")
def model(mlflow_that_sends) -> str:
    """Named with whatever MLflow takes: everything but a slash and a colon (3.17)."""
    client, name = MlflowClient(mlflow_that_sends.uri), MODEL.replace(":", "").strip()
    client.create_registered_model(name)
    for _ in range(3):
        client.create_model_version(name, source="s3://nowhere/model")
    return name


@pytest.fixture
def receiver(tmp_path, model) -> Iterator[Receiver]:
    with Receiver(tmp_path, configure(tmp_path, model=model)) as process:
        yield process


def run(server: MlflowServer | str, folder: Path, *words: str, secret: str = SECRET):
    arguments = ["webhook", *words, "--config", str(folder / "shop" / "promotion.yaml")]
    return CliRunner().invoke(main, arguments, env={"MLFLOW_TRACKING_URI": getattr(server, "uri", server), "WEBHOOK_SECRET": secret})


def register(server: MlflowServer, folder: Path, url: str, secret: str = SECRET) -> dict:
    result = run(server, folder, "register", url, "--json", secret=secret)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def diagnosis(server: MlflowServer | str, folder: Path, *words: str, secret: str = SECRET) -> list[dict]:
    """What the doctor found wrong; its exit code says whether it was anything."""
    result = run(server, folder, "doctor", *words, "--json", secret=secret)
    faults = [check for check in json.loads(result.stdout)["checks"] if check["fault"]]
    assert result.exit_code == (1 if faults else 0), result.output
    return faults


def wait_for(what: Callable[[], bool], why: Callable[[], str], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


def test_a_registered_webhook_brings_aliases_and_tags(mlflow, model, receiver, tmp_path):
    """Whatever the model's name; the alias again when it moves; and nothing for another alias."""
    client = MlflowClient(mlflow.uri)
    done = register(mlflow, tmp_path, receiver.url)
    assert done["created"] and [test["fault"] for test in done["tests"]] == [None, None]
    client.set_registered_model_alias(model, "production", "1")
    client.set_registered_model_alias(model, "staging", "2")
    wait_for(lambda: len(receiver.starts()) == 1, lambda: receiver.log)
    client.set_registered_model_alias(model, "staging", "3")
    wait_for(lambda: len(receiver.starts()) == 2, lambda: receiver.log)
    client.set_model_version_tag(model, "1", "stage", "Staging")
    wait_for(lambda: len(receiver.starts()) == 3, lambda: receiver.log)
    assert [start["version"] for start in receiver.starts()] == [2, 3, 1]
    client.transition_model_version_stage(model, "1", "Staging")
    assert diagnosis(mlflow, tmp_path) == [] and len(receiver.starts()) == 3
    assert SECRET not in receiver.log


def test_registering_again_changes_what_is_there(mlflow, model, receiver, tmp_path):
    """One webhook, which gets the secret of now, the events of now, and is made active."""
    client = MlflowClient(mlflow.uri)
    client.create_webhook("by-hand", receiver.url, ["model_version.created"], secret=ANOTHER_SECRET, status="DISABLED")
    done = register(mlflow, tmp_path, receiver.url)
    (webhook,) = client.list_webhooks()
    assert not done["created"] and webhook.webhook_id == done["webhook"]
    assert webhook.status.is_active() and sorted(map(str, webhook.events)) and len(webhook.events) == 2


def test_what_is_wrong_with_a_webhook_is_found(mlflow, model, receiver, tmp_path):
    """That there is none, that it is disabled, for other events, without secret, or at another path."""
    client = MlflowClient(mlflow.uri)
    assert "MLflow has none" in diagnosis(mlflow, tmp_path, receiver.url)[0]["fault"]
    made = client.create_webhook("by-hand", receiver.url, ["model_version.created"], status="DISABLED")
    found = [check["fault"] for check in diagnosis(mlflow, tmp_path, receiver.url)]
    assert ["disabled" in found[0], "lacks model_version_alias.created" in found[1], "no secret" in found[2]] == [True] * 3
    client.delete_webhook(made.webhook_id)
    client.create_webhook("by-hand", receiver.url.replace("/mlflow", "/"), ["model_version_alias.created", "model_version_tag.set"], secret=SECRET)
    assert "path is /mlflow" in diagnosis(mlflow, tmp_path, receiver.url.replace("/mlflow", "/"))[0]["do"]


def test_whose_secret_is_wrong_is_found(mlflow, model, receiver, tmp_path):
    """MLflow's, or the receiver's: a delivery that is signed here tells them apart."""
    result = run(mlflow, tmp_path, "register", receiver.url, secret=ANOTHER_SECRET)
    assert result.exit_code == 1 and "another secret" in result.output
    (of_mlflow,) = diagnosis(mlflow, tmp_path)
    assert "MLflow's test" in of_mlflow["what"] and "Run `webhook register` again" in of_mlflow["do"]
    assert "another WEBHOOK_SECRET than this command" in diagnosis(mlflow, tmp_path, secret=ANOTHER_SECRET)[1]["fault"]
    assert register(mlflow, tmp_path, receiver.url)["created"] is False
    assert diagnosis(mlflow, tmp_path) == []


def test_a_receiver_that_is_not_there_is_found(mlflow, model, tmp_path):
    """Seen from MLflow, and from here."""
    configure(tmp_path, model=model)
    result = run(mlflow, tmp_path, "register", f"http://127.0.0.1:{free_ports(1)[0]}/mlflow")
    assert result.exit_code == 1 and "Nothing listens there" in result.output
    faults = diagnosis(mlflow, tmp_path)
    assert "Nothing listens there" in faults[0]["fault"] and "no answer here either" in faults[-1]["fault"]


def test_an_address_that_mlflow_refuses_is_explained(mlflow_server, tmp_path):
    """With the variable that allows it; and nothing is made."""
    configure(tmp_path)
    assert "MLFLOW_WEBHOOK_ALLOWED_SCHEMES" in refusal(run(mlflow_server, tmp_path, "register", "http://127.0.0.1:1/mlflow"), 4)
    assert "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS" in refusal(run(mlflow_server, tmp_path, "register", "https://127.0.0.1:1/mlflow"), 4)
    assert "cannot resolve" in refusal(run(mlflow_server, tmp_path, "register", "https://nowhere.invalid/mlflow"), 4)
    assert MlflowClient(mlflow_server.uri).list_webhooks() == []


def test_a_stage_is_never_announced(mlflow, tmp_path):
    """Registering is refused, and the doctor says what to use instead."""
    path = configure(tmp_path, candidate="Staging")
    path.write_text(path.read_text().replace("event_tag: stage=Staging", "event_tag: ''"))
    assert "sends no event when a model version changes its stage" in refusal(run(mlflow, tmp_path, "register", "http://127.0.0.1:1/mlflow"), 2)
    assert "@staging" in diagnosis(mlflow, tmp_path)[0]["do"]


def test_a_database_sends_nothing(tmp_path):
    """Only a server does; whoever writes to its database past it is not heard either."""
    configure(tmp_path)
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert "only a server sends webhooks" in refusal(run(database, tmp_path, "register", "https://hooks.example/mlflow"), 2)
    assert "only a server sends webhooks" in diagnosis(database, tmp_path)[0]["fault"]


def test_workers_without_a_common_key_are_found_and_so_is_a_lost_key(tmp_path):
    """Each worker invents one, and after a restart nobody has it. The table is mended as docs/webhook.md says."""
    import sqlite3

    configure(tmp_path)
    with Workers(tmp_path / "mlflow", REACHES_THIS_MACHINE | {"MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES": "0"}) as server:
        MlflowClient(server.uri).create_webhook("index-promotion-kit", "http://127.0.0.1:1/mlflow", ["model_version_alias.created"], secret=SECRET)
        assert "Some of MLflow's workers" in diagnosis(server, tmp_path)[0]["fault"]
        server.stop()
        server.workers = 1
        server.start()
        (lost,) = diagnosis(server, tmp_path)
        assert "another key than when they were made" in lost["fault"]
        assert "docs/webhook.md" in refusal(run(server, tmp_path, "register", "http://127.0.0.1:1/mlflow"), 4)
        with sqlite3.connect(tmp_path / "mlflow" / "mlflow.db") as database:
            database.execute("UPDATE webhooks SET secret = NULL")
        assert all("key" not in fault["fault"] for fault in diagnosis(server, tmp_path))


def test_a_receiver_that_is_killed_before_it_answered_is_sent_the_event_again(mlflow, model, receiver, tmp_path):
    """`kill -9` between taking the event and starting anything; another receiver at its address gets MLflow's retry."""
    register(mlflow, tmp_path, receiver.url)
    (tmp_path / "hang").touch()
    MlflowClient(mlflow.uri).set_registered_model_alias(model, "staging", "1")
    wait_for(lambda: len(receiver.starts()) == 1, lambda: receiver.log)
    successor = receiver.succeed()
    try:
        receiver.process.kill()
        (tmp_path / "hang").unlink()
        wait_for(lambda: '"started"' in successor.log, lambda: f"MLflow did not send it again: {successor.log}")
    finally:
        successor.process.kill()
        successor.process.wait()
    assert [start["version"] for start in receiver.starts()] == [1, 1]
