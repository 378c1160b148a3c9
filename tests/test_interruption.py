"""Ctrl-C at any moment: one line, 130, and nobody waits for what hangs."""

import os
import subprocess
import sys

import pytest

from scripts import outputs
from tests.conftest import ROOT

LINE = "interrupted: run the same command again to go on.\n"
HANGS = 60
COMMANDS = """
import atexit, os, signal, sys, threading, click
from scripts import endings, interruption

for_ever, me = threading.Event().wait, os.getpid()

def ctrl_c():
    os.kill(me, signal.SIGINT)

@click.group(cls=endings.Commands)
def main(): pass

@main.command()
def once():
    click.echo("a table")
    ctrl_c()

@main.command()
def reported():
    try:
        ctrl_c()
    except KeyboardInterrupt:
        click.echo(interruption.TOLD, err=True, nl=False)
        sys.exit(interruption.EXIT_CODE)

@main.command()
def in_a_thread():
    threading.Thread(target=for_ever).start()
    ctrl_c()

@main.command()
def twice():
    try:
        ctrl_c()
    finally:
        ctrl_c()
        for_ever()

@main.command()
def when_it_was_told():
    tell = interruption.tell
    interruption.tell = lambda: (tell(), ctrl_c(), for_ever())
    ctrl_c()

@main.command()
def while_it_leaves():
    interruption.LEAVE_SECONDS = 1
    try:
        ctrl_c()
    finally:
        for_ever()

@main.command()
def while_nobody_hears_it():
    interruption.LEAVE_SECONDS = 1
    try:
        ctrl_c()
    except BaseException:
        for_ever()

@main.command()
def terminated():
    os.kill(me, signal.SIGTERM)

@main.command()
def while_python_ends():
    atexit.register(ctrl_c)

with interruption.heeded():
    main(sys.argv[1:])
"""


def ended(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Raises TimeoutExpired where it hangs."""
    inherited = {"PATH": os.environ["PATH"]}
    return subprocess.run([sys.executable, *words], cwd=ROOT, env=inherited | environment, capture_output=True, text=True, timeout=HANGS)


def test_ctrl_c_while_python_imports(tmp_path):
    """That takes most of the first second."""
    (tmp_path / "click.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)\n")
    done = ended("-m", "scripts", "--version", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (130, LINE)


@pytest.mark.parametrize(
    "when", ["once", "reported", "in-a-thread", "twice", "when-it-was-told", "while-it-leaves", "while-nobody-hears-it", "while-python-ends"]
)
def test_ctrl_c_ends_it_whatever_hangs(when):
    """A call in another thread, what is handed back, a library that swallows it, Python's own end."""
    done = ended("-c", COMMANDS, when)
    assert (done.returncode, done.stderr) == (130, LINE)


def test_what_was_written_before_is_not_lost():
    """A report that was broken off is the result."""
    assert ended("-c", COMMANDS, "once").stdout == "a table\n"


def test_where_ctrl_c_is_ignored_it_stays_so():
    """As of what a shell runs in the background."""
    done = ended("-c", "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + COMMANDS, "once")
    assert (done.returncode, done.stderr) == (0, "")


def test_sigterm_ends_it_also_as_the_first_process_of_a_container():
    """Which gets no signal that it does not take itself: Kubernetes would wait for half a minute and then kill it."""
    first = "import os; os.getpid, me = lambda: 1, os.getpid()\n" + COMMANDS.replace("os.getpid()\n", "me\n", 1)
    assert ended("-c", first, "terminated").returncode == 143
    assert ended("-c", COMMANDS, "terminated").returncode == -15


def test_ctrl_c_right_after_a_file_was_replaced_is_no_fault_of_the_kit(tmp_path, monkeypatch):
    """The file is there as a whole, and nothing beside it."""
    rename = os.replace

    def interrupted(*paths):
        rename(*paths)
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        outputs.replace(tmp_path / "health.prom", b"up 1\n")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("health.prom", b"up 1\n")]
