"""A server that is paused, killed and restarted under commands at work: each goes on, says what it sees, and no row is lost."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from urllib.request import urlopen

import pytest

from tests.faults.running import Running
from tests.faults.world import OTHER, PAIR, ROWS, Loss, World
from tests.servers import MilvusServer

LIMIT = 120
INTERRUPTED = 130


@pytest.fixture(scope="module")
def server(tmp_path_factory, milvus_wheel):
    """Its sessions are short: after a kill collections answer in 7 seconds instead of 26."""
    with MilvusServer(tmp_path_factory.mktemp("milvus"), milvus_wheel, {"COMMON_SESSION_TTL": "10"}) as server:
        yield server


@pytest.fixture(scope="module")
def world(server, tmp_path_factory):
    return World(server, tmp_path_factory.mktemp("world") / "production")


@dataclass(frozen=True)
class Watch:
    """`health --watch`, with a file and a page."""

    run: Running
    file: Path

    def looks(self) -> list[dict]:
        """What each look found of the one cluster."""
        return [json.loads(said.text)["clusters"][0] for said in self.run.out]

    def until(self, is_so, looks: int = 1) -> None:
        """Until so many new looks find it so."""
        already = len(self.run.out)
        self.run.until(lambda: sum(map(is_so, self.looks()[already:])) >= looks, LIMIT)

    def served(self) -> str:
        address = next(said.text.removeprefix("health: ") for said in self.run.err if said.text.startswith("health: "))
        with urlopen(address, timeout=5) as answer:
            return answer.read().decode()


def right(look: dict) -> bool:
    """It saw production, whole."""
    found = {each["collection"]: each for each in look["collections"]}
    return PAIR in found and (found[PAIR]["status"], found[PAIR]["rows"]) == ("healthy", ROWS)


def away(look: dict) -> bool:
    return bool(look["failure"])


@pytest.fixture(scope="module")
def watch(world, tmp_path_factory):
    """One for all of these tests: it is to outlive them."""
    folder = tmp_path_factory.mktemp("watch")
    words = ["health", "--watch", "1", "--timeout", "4", "--json", "--metrics-file", str(folder / "health.prom"), "--serve", "0", *world.config]
    with Running(folder / "run", words, world.environment) as run:
        watch = Watch(run, folder / "health.prom")
        watch.until(right)
        yield watch


class Reader:
    """Reads a file over and over within its block, as Prometheus' node exporter might at any moment."""

    def __init__(self, file: Path) -> None:
        self.found: set[str] = set()
        self._file = file
        self._ended = Event()
        self._thread = Thread(target=self._read)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._ended.wait(0.005):
            self.found.add(self._file.read_text())


def test_a_look_at_a_paused_server_names_it_and_the_next_look_is_right_again(world, watch):
    """Within its time-out and in one line; nothing of the look before is told as if it were still so."""
    world.server.pause()
    try:
        watch.until(away)
    finally:
        world.server.resume()
    silent = watch.looks()[-1]
    assert silent["reachable"] is False and silent["collections"] == []
    assert "\n" not in silent["failure"] and "Traceback" not in silent["failure"]
    watch.until(right, looks=2)


def test_the_metrics_file_is_whole_at_every_moment_and_shows_a_server_that_is_away(world, watch):
    """Whoever reads it, while looks replace it, finds one look from its first to its last line; what is not known has no line."""
    with Reader(watch.file) as reader:
        world.server.pause()
        try:
            watch.until(away)
            gone, served = watch.file.read_text(), watch.served()
        finally:
            world.server.resume()
        watch.until(right)
    assert 'promotion_health_cluster_up{cluster="milvus"} 0\n' in gone and PAIR not in gone
    assert served == gone, "the page answers, with the same look"
    assert 'promotion_health_cluster_up{cluster="milvus"} 1\n' in watch.file.read_text()
    for text in reader.found:
        assert text.startswith("# HELP promotion_health_timestamp_seconds") and text.endswith("\n")
        assert ("cluster_up" in text) and (f'collection="{PAIR}"' in text) == ('cluster_up{cluster="milvus"} 1' in text)


@dataclass(frozen=True)
class Restart:
    """What was at work while the server was killed and started again. The backup has come to its end."""

    backup: Running
    folder: Path
    sidecar: Running
    loaded_before: bool
    """The second pair, when the server was back and the sidecar had not looked yet."""
    looks: list[dict]


@pytest.fixture(scope="module")
def restart(world, watch, tmp_path_factory):
    """`kill -9` while a backup is in the middle of its work, a watch watches, and a sidecar sees to it that what has an alias is loaded. Of that, a
    second pair was released just before."""
    folder = tmp_path_factory.mktemp("restart")
    world.add_second()
    with ExitStack() as open_:
        sidecar = open_.enter_context(Running(folder / "sidecar", ["ensure-loaded", "--every", "1", "--json", *world.config], world.environment))
        words = ["backup", "--pair", PAIR, "--to", str(folder / "backup"), "--json", *world.config]
        backup = open_.enter_context(Running(folder / "backup-run", words, world.environment, slow=("Query", 0.3)))
        sidecar.until(lambda: sidecar.out, LIMIT)
        backup.until(lambda: sum(call.well for call in backup.calls("Query")) >= 5, LIMIT)
        looks = len(watch.run.out)
        sidecar.freeze()
        world.release(OTHER)
        world.server.kill()
        world.server.start()
        assert backup.wait(LIMIT) == 0, backup.told()
        loaded = world.is_loaded(OTHER)
        sidecar.thaw()
        watch.until(right, looks=2)
        yield Restart(backup, folder / "backup", sidecar, loaded, watch.looks()[looks:])


def test_a_backup_whose_server_is_killed_goes_on_where_it_stopped(world, restart):
    """In the same process, when the server is back: every row is in its files, as it was in the collection."""
    calls = restart.backup.calls("Query")
    lost = next(at for at, call in enumerate(calls) if not call.well)
    assert lost >= 5 and any(call.well for call in calls[lost:]), "the kill came in the middle of its work"
    assert restart.backup.errors == []
    assert world.loss_of_backup(restart.folder) == Loss()


def test_health_watch_outlives_a_restart(world, watch, restart):
    """The same process says that the server is away, and later that all is well. It calls production healthy only when it has counted every row of it."""
    assert watch.run.code is None
    assert any(map(away, restart.looks)) and right(restart.looks[-1])
    for look in restart.looks:
        for each in look["collections"]:
            assert each["collection"] != PAIR or each["status"] != "healthy" or each["rows"] == ROWS
    assert world.loss(PAIR) == Loss()


def test_ensure_loaded_loads_again_what_a_restart_left_unloaded(world, restart):
    """A sidecar whose server was killed and started again while it did not look goes on with a new connection."""
    assert not restart.loaded_before

    def was_loaded() -> list[bool]:
        told = [each for said in restart.sidecar.out for each in json.loads(said.text)["collections"]]
        return [each["was_loaded"] for each in told if each["collection"] == OTHER and each["loaded"]]

    restart.sidecar.until(lambda: was_loaded()[-1:] == [True] and False in was_loaded(), LIMIT)
    assert world.is_loaded(OTHER)
    assert world.loss(OTHER) == Loss()


def test_ctrl_c_ends_a_watch_and_a_sidecar_cleanly(watch, restart):
    """With the exit code of an interruption and one line; the page is gone with its process."""
    for run in (watch.run, restart.sidecar):
        run.interrupt()
        assert run.wait(LIMIT) == INTERRUPTED, run.told()
        assert run.err[-1].text == "interrupted: run the same command again to go on."
        assert not any("Traceback" in said.text for said in run.err)
    with pytest.raises(OSError):
        watch.served()
