"""A receiver's life: how it begins, how it ends, and what it needs."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml
from click.testing import CliRunner

from scripts.cli import main
from tests.receiver.process import NEEDED, SECRET, Receiver, alias_event, configure, signed
from tests.servers import free_ports
from tests.shop import refusal


def run(*words: str, **environment: str):
    return CliRunner().invoke(main, ["webhook", *words], env=environment)


@pytest.mark.parametrize("secret", ["", "short"])
def test_without_a_secret_it_does_not_start(tmp_path, secret):
    """Exit code 2, and what to do."""
    line = refusal(run("--config", str(configure(tmp_path)), "--port", str(free_ports(1)[0]), WEBHOOK_SECRET=secret), 2)
    assert "WEBHOOK_SECRET" in line and "openssl rand" in line


@pytest.mark.parametrize("missing", ["CIRCLECI_TOKEN", "MILVUS_URI", "MLFLOW_TRACKING_URI"])
def test_without_what_every_start_needs_it_does_not_start(tmp_path, missing):
    """It would answer 422 to each event, and MLflow would tell nobody: exit code 2, and which it is."""
    line = refusal(run("--config", str(configure(tmp_path)), "--port", str(free_ports(1)[0]), **NEEDED | {missing: ""}), 2)
    assert f"{missing} is not set" in line


def test_a_service_that_says_no_project_is_refused(tmp_path):
    """There would be nothing to start."""
    path = configure(tmp_path)
    settings = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({name: section for name, section in settings.items() if name != "pipeline"}))
    assert "Set pipeline:" in refusal(run("--config", str(path), WEBHOOK_SECRET=SECRET), 2)


def test_one_service_twice_is_refused(tmp_path):
    """Each has one model and one project."""
    config = str(configure(tmp_path))
    assert "another configuration" in refusal(run("--config", config, "--config", config, WEBHOOK_SECRET=SECRET), 2)


def test_a_port_that_is_taken_is_refused(tmp_path):
    """In one line."""
    with Receiver(tmp_path, configure(tmp_path)) as other:
        line = refusal(run("--config", str(configure(tmp_path)), "--port", str(other.port), **NEEDED), 2)
    assert str(other.port) in line and "--port" in line


def test_it_listens_on_this_machine_alone(tmp_path):
    """Unless it is told otherwise."""
    with Receiver(tmp_path, configure(tmp_path), real=True) as receiver:
        assert '"host": "127.0.0.1"' in receiver.log
        assert receiver.stop() == 0


def test_options_of_the_receiver_before_a_subcommand_are_refused(tmp_path):
    """They would do nothing there."""
    result = run("--port", "1", "doctor", "--config", str(configure(tmp_path)), WEBHOOK_SECRET=SECRET)
    assert result.exit_code == 2 and "--port before `doctor`" in result.output


def test_starting_it_imports_neither_milvus_nor_mlflow():
    """They cost five seconds, and are not needed until the first event."""
    code = "import sys; import scripts.receiver.opening; print([name for name in ('pymilvus', 'mlflow', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert done.stdout == "[]\n", done.stderr


def test_sigterm_lets_what_is_under_way_end(tmp_path):
    """The sender gets its answer; new ones are turned away meanwhile; the exit code is 0."""
    (tmp_path / "hang").touch()
    with Receiver(tmp_path, configure(tmp_path)) as receiver:
        answers = []
        sender = threading.Thread(target=lambda: answers.append(receiver.send(alias_event())))
        sender.start()
        while not receiver.starts():
            time.sleep(0.01)
        receiver.process.send_signal(signal.SIGTERM)
        while True:
            try:
                receiver.get("/healthz")
            except OSError:
                break
        assert receiver.process.poll() is None
        (tmp_path / "hang").unlink()
        sender.join(30)
        assert receiver.process.wait(30) == 0
        assert [answer.told["outcome"] for answer in answers] == ["started"]


def test_a_restarted_receiver_takes_a_delivery_that_the_old_one_did_not_answer(tmp_path):
    """What was remembered dies with the process; MLflow's retry is as good as its first try."""
    config, body = configure(tmp_path), alias_event(5)
    headers = signed(body)
    with Receiver(tmp_path, config) as receiver:
        assert receiver.post(body, headers).status == 202
    with Receiver(tmp_path, config) as receiver:
        assert receiver.post(body, headers).status == 202
        assert receiver.post(body, headers).status == 409
