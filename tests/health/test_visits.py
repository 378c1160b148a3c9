"""How a cluster is gone through: what serves first, what there is no time for, what falls silent in the middle. Stand-ins answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace

import pytest

from scripts.errors import Unreachable
from scripts.health.seen import Because, Gap, Seen
from scripts.health.statuses import Status
from scripts.health.visit import Place
from scripts.jobs.health import health
from tests.health.test_judgments import NOW, WELL

MANY = 10_000
ALIASES = {f"alias_{number}": f"z_{number:05}" for number in range(0, MANY, 100)}


class Server:
    """Implements health.seen.Inspection with these collections; `ask` is called in each look."""

    def __init__(self, names, aliases=ALIASES, ask: Callable[[str], None] = lambda name: None) -> None:
        self.names, self.known, self.ask = list(names), aliases, ask
        self.asked: list[str] = []

    def collections(self):
        return self.names

    def aliases(self):
        return self.known

    def look(self, name) -> Seen:
        self.asked.append(name)
        self.ask(name)
        return replace(WELL, name=name, aliases=("told_prod",) if name == "z_00000" else ())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def look(server, within=30.0):
    report = health([Place("here", "http://here", lambda: server)], within=within, now=lambda: NOW)
    return report, report.clusters[0]


@pytest.fixture
def names():
    return [f"z_{number:05}" for number in range(MANY)]


def test_ten_thousand_collections_are_all_told_and_bury_nothing(names):
    """The table has what serves and what is wrong, and counts the quiet rest; JSON and Prometheus have them all."""
    report, cluster = look(Server(names))
    assert len(cluster.collections) == MANY and report.exit_code == 0 and report.counts()["healthy"] == MANY
    lines = report.lines()
    assert len(lines) == 1 + 2 * len(ALIASES) + 50 + 1 + 1
    assert lines[1].split()[1] == "z_00000" and "9,850 more that are healthy" in lines[-2] and "10,000 healthy" in lines[-1]
    assert len(replace(report, quiet_lines=MANY).lines()) == 1 + MANY + len(ALIASES) + 1
    assert len(report.facts()["clusters"][0]["collections"]) == MANY


def test_what_is_red_comes_first_among_ten_thousand(names):
    """Then what is only a warning, then what serves."""
    server = Server(names)
    answer = server.look

    def worse(name):
        seen = answer(name)
        if name == "z_09900":
            return replace(seen, rows=200_000, growing_rows=100_000)
        return replace(seen, unknown=(Gap("rows", Because.FAILED, "no"),)) if name == "z_09999" else seen

    server.look = worse
    report, _ = look(server)
    rows = [line.split()[:2] for line in report.lines() if line.startswith(("error", "warning", "healthy"))]
    assert rows[:3] == [["error", "z_09900"], ["warning", "z_09999"], ["healthy", "z_00000"]]
    assert report.exit_code == 1


def test_without_time_for_all_what_serves_is_seen_and_the_rest_is_counted(names):
    """A warning, not green in silence: the first that was left is named, and the exit code is that of what serves."""
    server = Server(names, ask=lambda name: time.sleep(0 if name in ALIASES.values() else 0.2))
    report, cluster = look(server, within=2)
    assert set(server.asked[: len(ALIASES)]) == set(ALIASES.values()) and cluster.unseen and not cluster.failure
    assert len(cluster.collections) + len(cluster.unseen) == MANY and cluster.status is Status.WARNING and report.exit_code == 0
    told = "\n".join(report.lines())
    assert f"{len(cluster.unseen):,} collections were not looked at" in told and cluster.unseen[0] in told


def test_without_time_for_what_serves_the_cluster_counts_as_not_seen(names):
    """Exit code 5, and what was seen is shown all the same."""
    report, cluster = look(Server(names, ask=lambda name: time.sleep(0.7)), within=2)
    assert report.exit_code == 5 and "--timeout" in cluster.failure and cluster.collections
    assert any(line.startswith("  NOT ALL SEEN") for line in report.lines())
    assert cluster.facts()["reachable"] and not cluster.facts()["complete"]


@contextmanager
def stuck():
    """A call that does not come back for as long as the block runs."""
    release = threading.Event()
    yield lambda name: release.wait(60)
    release.set()


def test_a_call_that_hangs_loses_nothing_of_what_was_seen():
    """When the time-out ends, all others are told; the one is not."""
    with stuck() as hang:
        server = Server(["a", "b", "z_00000"], ask=lambda name: hang(name) if name == "b" else None)
        report, cluster = look(server, within=1)
    assert ([each.seen.name for each in cluster.collections], cluster.unseen, report.exit_code) == (["a", "z_00000"], ("b",), 0)
    with stuck() as hang:
        server = Server(["a", "b", "z_00000"], ask=lambda name: hang(name) if name == "z_00000" else None)
        report, cluster = look(server, within=1)
    assert (cluster.unseen, report.exit_code, "--timeout" in cluster.failure) == (("z_00000",), 5, True)


def test_a_cluster_that_does_not_answer_hides_no_other():
    """The answer comes within the time-out, with all of the others and the name of the one."""
    with stuck() as hang:
        silent = Place("silent", "http://silent", lambda: hang("") and Server([]))
        report = health([silent, Place("well", "http://well", lambda: Server(["a"]))], within=1, now=lambda: NOW)
    assert report.clusters[0].failure.startswith("It did not answer within 1 seconds.") and report.exit_code == 5
    assert [each.seen.name for each in report.clusters[1].collections] == ["a"] and not report.clusters[1].failure
    assert "NOT SEEN: silent" in report.lines()[-1]


def test_a_server_that_is_lost_in_the_middle_ends_the_look_at_it(names):
    """With its own words, and with what was seen before."""
    served = list(ALIASES.values())

    def ask(name):
        if name not in served:
            raise Unreachable("Milvus at http://here stopped answering.")

    report, cluster = look(Server(names, ask=ask))
    assert (cluster.failure, report.exit_code) == ("Milvus at http://here stopped answering.", 5)
    assert 0 < len(cluster.collections) <= len(served) and len(cluster.collections) + len(cluster.unseen) == MANY


def test_a_fault_of_the_kit_is_told_as_what_it_is_and_hides_nothing():
    """With its place: of the one collection that was not understood, red where it serves; and of the one cluster."""

    def ask(name):
        if name != "a":
            raise ValueError("110 is not a\nvalid DataType")

    report, cluster = look(Server(["a", "b", "z_00000"], ask=ask))
    assert {each.seen.name: each.status for each in cluster.collections} == {"a": Status.HEALTHY, "b": Status.WARNING, "z_00000": Status.ERROR}
    assert report.exit_code == 1 and not cluster.failure
    assert any("a fault of the kit: ValueError: 110 is not a valid DataType (test_visits.py, line" in line for line in report.lines())

    broken = Server(["a"])
    broken.aliases = lambda: 1 / 0
    places = [Place(name, "", lambda server=server: server) for name, server in (("broken", broken), ("well", Server(["a"])))]
    report = health(places, within=30, now=lambda: NOW)
    assert "a fault of the kit: ZeroDivisionError" in report.clusters[0].failure and report.exit_code == 5
    assert not report.clusters[1].failure and report.clusters[1].collections


def test_where_aliases_may_not_be_listed_those_that_collections_tell_count():
    """So that production can still be red; that one which points to nothing would go unseen is a warning."""
    report, cluster = look(Server(["a", "z_00000"], aliases=None))
    assert {each.seen.name: each.serves for each in cluster.collections} == {"a": False, "z_00000": True}
    assert (cluster.status, report.exit_code) == (Status.WARNING, 0) and "may not list aliases" in "\n".join(report.lines())
    report, cluster = look(Server(["a", "b"], aliases=None, ask=lambda name: time.sleep(0.5 if name == "a" else 2)), within=1)
    assert report.exit_code == 5 and cluster.unseen == ("b",)


def test_an_alias_is_only_what_the_list_says():
    """Where aliases are listed, one that a collection still tells and that has been moved meanwhile does not count."""
    _, cluster = look(Server(["z_00000"], aliases={}))
    assert not cluster.collections[0].serves
