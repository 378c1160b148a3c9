"""What Prometheus reads: the grammar of its text format, checked line by line, and the page that serves it."""

from __future__ import annotations

import re
import threading
import time
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from urllib.request import urlopen

import pytest

from scripts.errors import UsageError
from scripts.health import metrics
from scripts.health.page import Page
from scripts.health.report import ClusterHealth, HealthReport
from scripts.health.seen import Load
from scripts.health.statuses import Finding, Status, examine
from scripts.health_commands import _again_and_again
from tests.health.test_judgments import NOW, WELL
from tests.servers import free_ports

# https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4
_NAME, _LABEL = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r"[a-zA-Z_][a-zA-Z0-9_]*"
_VALUE = r"[-+]?(?:\d+(?:\.\d+)?(?:e[-+]\d+)?|Inf|NaN)"
_PAIR = rf'({_LABEL})="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_PAIR}(?:,{_PAIR})*)\}})? ({_VALUE})")
_COMMENT = re.compile(rf"# (HELP|TYPE) ({_NAME}) (.+)")

ODD = 'a"b\\c\nd,e}f{g=é 1'


def parsed(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample, by name and labels. Fails at the first line that Prometheus would not take."""
    assert text.endswith("\n") and "\r" not in text
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    kinds: dict[str, str] = {}
    last = ""
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("#"):
            comment = _COMMENT.fullmatch(line)
            assert comment, line
            if comment[1] == "TYPE":
                assert comment[2] not in kinds and comment[3] == "gauge", line
                kinds[comment[2]] = comment[3]
            last = comment[2]
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, line
        assert sample[1] == last and last in kinds, f"not among those of its kind: {line}"
        pairs = re.findall(_PAIR, sample[2] or "")
        labels = frozenset((name, _read(value)) for name, value in pairs)
        assert len({name for name, _ in labels}) == len(pairs), line
        assert (sample[1], labels) not in samples, f"twice: {line}"
        samples[sample[1], labels] = float(sample[sample.re.groups])
    return samples


def _read(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)


def value(samples, name, **labels):
    return samples.get((f"promotion_health_{name}", frozenset(labels.items())))


def test_prometheus_takes_every_line():
    """Families with help and type, no sample twice, labels escaped so that they are read back as they were: also of a cluster with an odd name."""
    paths = tuple(replace(WELL.indexes[0], field="json", name=name, vector=False) for name in ("by_color", "by_size"))
    unknown = replace(WELL, indexes=paths, name="other", rows=None, growing_rows=None, replicas=None, segments=None, load=Load.UNKNOWN, aliases=())
    lost = Finding(Status.ERROR, "the alias points to nothing", "Go.")
    looks = tuple(map(examine, (WELL, replace(WELL, name="growing", growing_rows=7), unknown)))
    here = ClusterHealth(ODD, "", looks, (lost,), unseen=("late",))
    samples = parsed(metrics.text(HealthReport((here, ClusterHealth("down", "", failure="down")), NOW)))
    assert (value(samples, "cluster_up", cluster=ODD), value(samples, "cluster_up", cluster="down")) == (1, 0)
    assert value(samples, "collection_rows", cluster=ODD, collection=WELL.name) == 100_000
    assert value(samples, "collection_growing_rows", cluster=ODD, collection="growing") == 7
    assert value(samples, "alias", cluster=ODD, alias="shop_prod", collection=WELL.name) == 1
    assert value(samples, "collections", cluster=ODD, status="error") == 0 and value(samples, "collections", cluster="down", status="error") is None
    assert (value(samples, "cluster_errors", cluster=ODD), value(samples, "cluster_unseen_collections", cluster=ODD)) == (1, 1)
    for name in ("collection_rows", "collection_loaded", "collection_replicas", "collection_growing_rows"):
        assert value(samples, name, cluster=ODD, collection="other") is None
    which = {"cluster": ODD, "collection": "growing", "field": "vector", "index": "hnsw"}
    assert [value(samples, "index_judgment", **which, judgment=found) for found in ("building", "completed")] == [1, 0]
    assert value(samples, "index_coverage_ratio", **which) == 0.9999


def test_the_check_of_the_grammar_finds_what_prometheus_would_not_take():
    """Or the test before this one says nothing."""
    good = "# HELP a b\n# TYPE a gauge\na 1\n"
    assert parsed(good)
    added = ("a 2\n", "b 1\n", 'a{x="\\q"} 1\n', 'a{x="1" } 1\n', "a one\n")
    for bad in (good.removesuffix("\n"), *(good + line for line in added), "# TYPE a\n"):
        with pytest.raises(AssertionError):
            parsed(bad)


def test_of_nothing_at_all_only_the_time_is_told():
    """And a server without collections is up."""
    samples = parsed(metrics.text(HealthReport((ClusterHealth("eu", ""),), NOW)))
    assert value(samples, "timestamp_seconds") == NOW.timestamp() and value(samples, "cluster_up", cluster="eu") == 1


def ask(page: Page, path: str, method: str = "GET"):
    with closing(HTTPConnection("127.0.0.1", page.port, timeout=10)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.getheader("Content-Length"), answer.read()


def test_the_page_answers_as_a_scraper_expects():
    """The format's own content type, HEAD without a body, 404 elsewhere, 503 before the first look and when looks have stopped."""
    with Page(0, 60) as page:
        assert ask(page, "/metrics")[0] == ask(page, "/healthz")[0] == 503
        page.renew("a 1\n")
        assert ask(page, "/metrics") == (200, "text/plain; version=0.0.4; charset=utf-8", "4", b"a 1\n")
        assert ask(page, "/metrics?x=1")[3] == b"a 1\n"
        assert ask(page, "/metrics", "HEAD") == (200, "text/plain; version=0.0.4; charset=utf-8", "4", b"")
        assert ask(page, "/healthz")[::3] == (200, b"ok\n")
        assert [ask(page, path)[0] for path in ("/", "/metrics/", "/etc/passwd", "/metrics/../x")] == [404] * 4
        assert ask(page, "/metrics", "POST")[0] == 501
        with pytest.raises(UsageError, match=f"Port {page.port} of 127.0.0.1 cannot be served"):
            Page(page.port, 60)
        for host in ("nobody.invalid", "ä..", "a..b"):
            with pytest.raises(UsageError, match="cannot be served"):
                Page(0, 60, host)
    with Page(0, 0) as page:
        page.renew("a 1\n")
        assert ask(page, "/healthz")[0] == 503 and ask(page, "/metrics")[0] == 200


def test_it_is_served_where_it_is_asked_to_be_served():
    """Also over IPv6, as in a cluster that has nothing else."""
    with Page(0, 60, "::1") as page:
        page.renew("a 1\n")
        assert page.address == f"http://[::1]:{page.port}"
        with closing(HTTPConnection("::1", page.port, timeout=10)) as connection:
            connection.request("GET", "/metrics")
            assert connection.getresponse().read() == b"a 1\n"


def test_who_only_knocks_leaves_no_trace_in_the_log(capfd):
    """As probes do, which reset the connection; a fault of the page itself is shown."""
    with Page(0, 60) as page:
        for fault in (ConnectionResetError, ZeroDivisionError):
            try:
                raise fault
            except fault:
                page._server.handle_error(None, None)
    told = capfd.readouterr().err
    assert "ConnectionResetError" not in told and "ZeroDivisionError" in told


def test_who_looks_slowly_still_looks():
    """A cluster that does not answer makes each look as long as the time-out: /healthz, on which a watcher's life may hang, goes by both."""
    (port,) = free_ports(1)
    asked: list[int] = []

    def look() -> HealthReport:
        if not asked:
            asked.append(0)
            return HealthReport((), NOW)
        time.sleep(0.5)
        with closing(urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10)) as answer:
            asked.append(answer.status)
        raise EOFError

    with pytest.raises(EOFError):
        _again_and_again(look, timeout=30, as_json=True, every=0.1, metrics_file=None, served=("127.0.0.1", port))
    assert asked == [0, 200]


def test_many_scrapes_while_it_is_renewed_see_one_look_each():
    """Never half of one and half of another, and none is turned away."""
    looks = [f"{'x' * 100_000}{number}\n" for number in range(10)]
    wrong: list[object] = []
    with Page(0, 60) as page:
        page.renew(looks[0])

        def scrape() -> None:
            for _ in range(20):
                try:
                    status, _, _, body = ask(page, "/metrics")
                    if status != 200 or body.decode() not in looks:
                        wrong.append((status, len(body)))
                except OSError as error:
                    wrong.append(error)

        scrapers = [threading.Thread(target=scrape) for _ in range(16)]
        for scraper in scrapers:
            scraper.start()
        while any(scraper.is_alive() for scraper in scrapers):
            for text in looks:
                page.renew(text)
        for scraper in scrapers:
            scraper.join()
    assert not wrong
