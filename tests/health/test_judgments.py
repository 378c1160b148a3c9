"""What figures mean: coverage by rows, and what makes a collection red. No server is asked."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click
import pytest

from scripts.cli import main
from scripts.health import metrics
from scripts.health.indexes import Judgment, judge
from scripts.health.report import ClusterHealth, HealthReport
from scripts.health.seen import Because, FieldSeen, Gap, IndexSeen, Load, Seen, Segment
from scripts.health.statuses import Status, examine, lost
from scripts.health.visit import _UNLISTED
from scripts.layout import Index
from scripts.pair import Content, State
from tests.test_pair import stamp

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NAME = "shop_v3_00000001"
KEY, VECTOR = FieldSeen("id", "INT64", primary=True), FieldSeen("vector", "FLOAT_VECTOR", 8, vector=True)


def index(total, indexed, pending=0, state="Finished", kind="HNSW") -> IndexSeen:
    return IndexSeen("vector", kind, "COSINE", state, total, indexed, pending, name="hnsw")


def collection(rows, counters, segments=(), growing=0, aliases=("shop_prod",), **others) -> Seen:
    """A loaded one, as a server tells of it."""
    values = {"stored_rows": rows, "load": Load.LOADED, "fields": (KEY, VECTOR), "segments": segments, "replicas": 1} | others
    values["growing_rows"] = None if segments is None or rows is None else growing
    return Seen(NAME, rows, aliases=aliases, indexes=(counters,), **values)


def judged(seen: Seen):
    (found,) = (judge(seen, each) for each in seen.indexes)
    return found.judgment, found.coverage


INDEXED = Segment(100_000, loaded=True, index="vector")
OLD = Segment(110_000, stored=False, loaded=True, index="vector")


@pytest.mark.parametrize(
    "seen, judgment, coverage",
    [
        (collection(0, index(0, 0)), Judgment.WAITING, None),
        (collection(100_000, index(100_000, 100_000), (INDEXED,)), Judgment.COMPLETED, 100),
        # As 2.3.5 tells it right after a flush: "Finished", with everything pending.
        (collection(100_000, index(100_000, 0, 100_000), (Segment(100_000),), 100_000), Judgment.BUILDING, 0),
        # Built, and not yet loaded: queries find 20,000 rows without it.
        (collection(120_000, index(120_000, 120_000), (INDEXED, Segment(20_000)), 20_000), Judgment.BUILDING, 83.33),
        # Loaded, and the index of it not yet.
        (collection(120_000, index(120_000, 120_000), (INDEXED, Segment(20_000, loaded=True))), Judgment.BUILDING, 83.33),
        # Written and not sealed.
        (collection(125_000, index(100_000, 100_000), (INDEXED,), 25_000), Judgment.BUILDING, 80),
        # Deleted rows are still in their segment.
        (collection(60_000, index(100_000, 100_000), (INDEXED,)), Judgment.COMPLETED, 100),
        # Right after a compaction (measured on 2.3.5): queries use the old segments until the new one is indexed.
        (collection(95_000, index(95_000, 110_000, 85_000), (OLD, Segment(95_000))), Judgment.COMPLETED, 100),
        # Deleted and written: the new rows are seen though the count fell.
        (collection(95_000, index(110_000, 110_000), (INDEXED, Segment(10_000)), 10_000), Judgment.BUILDING, 89.47),
        (collection(32_000, index(30_000, 30_000), (Segment(30_000, loaded=True, index="vector"),), 10_000), Judgment.BUILDING, 68.75),
        # A server builds none for so small a segment.
        (collection(100_500, index(100_500, 100_500), (INDEXED, Segment(500, loaded=True))), Judgment.COMPLETED, 100),
        # One row of 100,001 is not yet covered: never rounded up to 100.
        (collection(100_001, index(100_000, 100_000), (INDEXED,), 1), Judgment.BUILDING, 99.99),
        (collection(100_000, index(100_000, 0, kind="FLAT"), (Segment(100_000, loaded=True),)), Judgment.COMPLETED, 100),
        # Without segments, as on milvus-lite, its counters are all there is.
        (collection(5_000, index(5_000, 4_000, 1_000), None), Judgment.BUILDING, 80),
        (collection(5_000, index(4_000, 4_000), None), Judgment.BUILDING, 80),
        (collection(95_000, index(95_000, 110_000, 85_000), None), Judgment.UNKNOWN, None),
        # Not loaded: not to be counted, so the sealed segments alone.
        (collection(None, index(5_000, 5_000), (), load=Load.NOT_LOADED, stored_rows=5_000), Judgment.COMPLETED, 100),
        (collection(None, index(95_000, 110_000, 85_000), (), load=Load.NOT_LOADED, stored_rows=95_000), Judgment.BUILDING, 10.52),
        (collection(None, index(0, 0), (), load=Load.NOT_LOADED, stored_rows=0), Judgment.WAITING, None),
        (collection(None, index(0, 0), (), load=Load.NOT_LOADED, stored_rows=None), Judgment.UNKNOWN, None),
    ],
)
def test_an_index_is_judged_by_rows_and_not_by_its_word(seen, judgment, coverage):
    """Waiting, building or completed, with the share of the rows that queries find through it."""
    assert judged(seen) == (judgment, coverage)


def test_coverage_is_never_outside_of_its_bounds():
    """Whatever a server's counters say, also where more is pending than there is."""
    for rows in (1, 1_000):
        for total, indexed, pending in ((0, 5_000, 0), (500, 0, 9_000), (9_000, 0, 9_000), (0, 0, 0)):
            for segments in (None, (), (Segment(5_000),), (Segment(5_000, loaded=True, index="vector"),)):
                for growing in (0, 1, 9_000):
                    found = judge(collection(rows, index(total, indexed, pending), segments, growing), index(total, indexed, pending))
                    assert found.coverage is None or 0 <= found.coverage <= 100
                    assert found.uncovered_rows is None or 0 <= found.uncovered_rows <= rows


def test_with_several_vector_indexes_each_has_its_own_coverage():
    """A segment names one index of several, so then their counters decide."""
    second = IndexSeen("image", "IVF_FLAT", "L2", "Finished", 100_000, 40_000, 60_000)
    seen = replace(collection(100_000, index(100_000, 100_000), (INDEXED,)), indexes=(index(100_000, 100_000), second))
    assert [(judge(seen, each).judgment, judge(seen, each).coverage) for each in seen.indexes] == [(Judgment.COMPLETED, 100), (Judgment.BUILDING, 40)]


WHOLE = stamp(
    promoted_at=NOW,
    shards={"0-of-1": Content(rows=100_000, fingerprint="0" * 16, skipped=0, read_at=NOW)},
    content=Content(rows=100_000, fingerprint="0" * 16, skipped=0, read_at=NOW),
)
GOOD = stamp(state=State.PRODUCTION, promoted_at=NOW, content=Content(rows=100_000, fingerprint="0" * 16, skipped=0, read_at=NOW))
WELL = collection(100_000, index(100_000, 100_000), (INDEXED,), properties=GOOD.properties())


def test_production_that_is_well_is_healthy():
    """With its pair and its state from the stamp, and nothing to do."""
    found = examine(WELL)
    assert (found.status, found.findings, found.state, found.stamp.model.version) == (Status.HEALTHY, (), State.PRODUCTION, 3)


FAULTS = {
    "not loaded": (replace(WELL, load=Load.NOT_LOADED, rows=None), Status.ERROR),
    "being loaded (40%)": (replace(WELL, load=Load.LOADING, progress=40, rows=None), Status.ERROR),
    "has no index": (replace(WELL, indexes=()), Status.ERROR),
    "has failed": (replace(WELL, indexes=(index(100_000, 100_000, state="Failed"),)), Status.ERROR),
    "no rows; 100,000 were proved": (replace(WELL, rows=0, stored_rows=0, segments=()), Status.ERROR),
    "it has 90,000 rows; 100,000 were proved": (replace(WELL, rows=90_000, properties=WHOLE.properties()), Status.ERROR),
    "it has 90,001 rows; 100,000 were proved": (replace(WELL, rows=90_001, properties=WHOLE.properties()), Status.WARNING),
    "covers 50% of the rows: 100,000": (replace(WELL, rows=200_000, growing_rows=100_000), Status.ERROR),
    "covers 95.23% of the rows: 5,000": (replace(WELL, rows=105_000, growing_rows=5_000), Status.WARNING),
    "IVF_FLAT/COSINE, and HNSW/COSINE was stamped": (replace(WELL, indexes=(index(100_000, 100_000, kind="IVF_FLAT"),)), Status.WARNING),
    "16 small segments": (replace(WELL, segments=(INDEXED, *[Segment(10, loaded=True)] * 16)), Status.WARNING),
    "not known whether it is loaded": (replace(WELL, load=Load.UNKNOWN, rows=None), Status.WARNING),
    "not known: rows, segments (it hangs)": (
        replace(WELL, rows=None, unknown=tuple(Gap(what, Because.FAILED, "it hangs") for what in ("rows", "segments"))),
        Status.ERROR,
    ),
    "not known: rows (not permitted: it takes Query)": (
        replace(WELL, rows=None, unknown=(Gap("rows", Because.NOT_PERMITTED, "not permitted: it takes Query"),)),
        Status.WARNING,
    ),
    "covers the rows is not known": (
        replace(WELL, segments=None, growing_rows=None, indexes=(index(95_000, 110_000, 85_000),)),
        Status.WARNING,
    ),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_each_fault_of_what_serves_has_a_reason_and_a_remedy(reason):
    """In words that name the figure, and the worst decides."""
    seen, status = FAULTS[reason]
    found = examine(seen)
    assert found.status is status
    assert reason in str(found.findings[0]) and found.findings[0].remedy
    assert all(finding.reason in "\n".join(_report(found).lines()) for finding in found.findings)


@pytest.mark.parametrize("reason", FAULTS)
def test_only_what_has_an_alias_is_ever_red(reason):
    """A retired pair that is not loaded, half indexed or empty rings nobody."""
    found = examine(replace(FAULTS[reason][0], aliases=()))
    assert found.status is (Status.WARNING if reason in ("has failed", "not known: rows, segments (it hangs)") else Status.HEALTHY)
    assert _report(found).exit_code == 0


@pytest.mark.parametrize("state", [State.BUILDING, State.BUILT, State.VALIDATED, State.REJECTED])
@pytest.mark.parametrize("served", [{}, {"promoted_at": NOW}, {"promoted_at": NOW, "retired_at": NOW}])
def test_no_stamp_makes_a_collection_red_without_an_alias(state, served):
    """Whatever it says of itself; and with the alias it is red, whatever it says."""
    told = GOOD.changed(state=state, promoted_at=None, retired_at=None).changed(**served)
    ill = replace(WELL, load=Load.NOT_LOADED, rows=None, properties=told.properties())
    assert examine(replace(ill, aliases=())).status is not Status.ERROR
    assert examine(ill).status is examine(replace(ill, aliases=("somebody_elses",))).status is Status.ERROR


def test_every_command_in_a_remedy_is_one_of_the_kit():
    """Parsed by the command line itself, with the arguments that the remedy gives."""
    retired = replace(WELL, aliases=())
    findings = [finding for seen, _ in FAULTS.values() for finding in examine(seen).findings]
    findings += [*lost([examine(retired)], []), *examine(replace(WELL, rows=99_999, properties=WHOLE.properties())).findings, _UNLISTED]
    words = {tuple(quoted.split()) for finding in findings for quoted in re.findall(r"`([^`]+)`", finding.remedy)} - {("reader",)}
    assert {word[0] for word in words} == {"ensure-loaded", "compact", "catch-up", "rollback", "roles"}
    for name, *arguments in words:
        command = main.commands[name]
        if isinstance(command, click.Group):
            command = command.commands[arguments.pop(0)]
        if arguments or name != "compact":
            command.make_context(name, arguments)


def test_what_is_unknown_is_told_once_for_all_that_do_not_serve():
    """With how many there are; a milvus-lite file says once what it never has."""
    denied = Gap("segments", Because.NOT_PERMITTED, "not permitted")
    quiet = [examine(replace(WELL, name=f"q{n}", aliases=(), segments=None, unknown=(denied,))) for n in range(3)]
    lite = examine(replace(WELL, segments=None, replicas=None, growing_rows=None, unknown=(Gap("segments", Because.ABSENT, "milvus-lite has none"),)))
    lines = HealthReport((ClusterHealth("eu", "", (*quiet, lite)),), NOW).lines()
    assert "  not known of 3 without an alias: segments (not permitted)" in lines and "  not known: segments (milvus-lite has none)" in lines
    assert lite.status is Status.HEALTHY


def test_the_tail_that_a_server_never_indexes_is_not_worth_a_warning():
    """A service that is written to always has some rows that are not sealed yet: it is building, says so, and is healthy."""
    found = examine(replace(WELL, rows=100_700, growing_rows=700, properties=stamp(promoted_at=NOW).properties()))
    assert (found.indexes[0].judgment, found.indexes[0].uncovered_rows, found.status) == (Judgment.BUILDING, 700, Status.HEALTHY)


@pytest.mark.parametrize(
    "properties, told", [({"promotion.format": "9"}, "format 9"), (WHOLE.changed(shards={"1/1": WHOLE.content}).properties(), "shard")]
)
def test_a_broken_stamp_is_told_and_hides_nothing(properties, told):
    """The figures are judged as those of any other collection."""
    found = examine(replace(WELL, properties=properties))
    assert (found.status, found.stamp, found.indexes[0].judgment) == (Status.WARNING, None, Judgment.COMPLETED)
    assert told in found.findings[0].reason


def test_an_alias_that_points_to_nothing_is_an_error_of_the_cluster():
    """As long as pairs are there that have served, were it only retired ones because production itself was dropped; the remedy names the last."""
    there = examine(replace(WELL, aliases=()))
    (finding,) = lost([there], [])
    assert finding.status is Status.ERROR and "shop_prod points to nothing" in finding.reason and f"rollback --to {NAME}" in finding.remedy
    report = HealthReport((ClusterHealth("eu", "http://eu", (there,), (finding,)),), NOW)
    assert report.exit_code == 1 and report.summary().endswith("1 healthy, 0 warning, 0 error; 1 error of a whole cluster.")

    def retired(name, days):
        left = GOOD.changed(retired_at=NOW + timedelta(days=days))
        return examine(replace(WELL, name=name, aliases=(), properties=left.properties()))

    old, newer = retired("shop_v1_00000001", 0), retired("shop_v2_00000001", 1)
    (finding,) = lost([newer, old], [])
    assert "rollback --to shop_v2_00000001" in finding.remedy
    assert [each.remedy.split("`")[1] for each in lost([newer, there, old], [])] == [f"rollback --to {NAME}"]
    never = examine(replace(WELL, aliases=(), properties=GOOD.changed(promoted_at=None).properties()))
    assert not [*lost([there, newer], ["shop_prod"]), *lost([never], [])]


def test_the_exit_code_is_for_alerting():
    """0 for healthy and warnings, 1 for an error, 5 where a cluster was not seen."""
    def code(*clusters):
        return HealthReport(clusters, NOW).exit_code

    well, red = ClusterHealth("a", "", (examine(WELL),)), ClusterHealth("b", "", (examine(replace(WELL, load=Load.NOT_LOADED)),))
    assert (code(well), code(well, red), code(well, red, ClusterHealth("c", "", failure="down"))) == (0, 1, 5)
    assert well.status is Status.HEALTHY and ClusterHealth("a", "", unseen=("x",)).status is Status.WARNING


def test_prometheus_text_has_every_known_figure_and_no_other():
    """One line for each, in the text format; what is not known has none, and labels are escaped."""
    odd = replace(WELL, name='a"b\\c', rows=None, replicas=None, segments=None, load=Load.UNKNOWN)
    report = HealthReport((ClusterHealth("eu", "", (examine(WELL), examine(odd))), ClusterHealth("us", "", failure="down")), NOW)
    text = metrics.text(report)
    assert f'promotion_health_collection_rows{{cluster="eu",collection="{NAME}"}} 100000\n' in text
    assert f'promotion_health_index_coverage_ratio{{cluster="eu",collection="{NAME}",field="vector",index="hnsw"}} 1\n' in text
    assert 'promotion_health_cluster_up{cluster="us"} 0\n' in text
    assert r'collection="a\"b\\c"' in text and r'collection_rows{cluster="eu",collection="a\"' not in text
    lines = text.splitlines()
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) and all(line.startswith(("#", "promotion_health_")) for line in lines)


def _report(found) -> HealthReport:
    return HealthReport((ClusterHealth("eu", "http://eu", (found,)),), NOW)


def test_the_stamped_default_is_the_one_that_these_tests_use():
    """HNSW with COSINE, or the fault about another index would be one of the tests."""
    assert (GOOD.layout.index.type, GOOD.layout.index.metric) == (Index().type, Index().metric) == ("HNSW", "COSINE")
