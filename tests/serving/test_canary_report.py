"""`canary report`: arms counted, compared with an interval that is in the literature, and no verdict where there is none."""

import json
import math
import time
from array import array

import pytest
from click.testing import CliRunner

from scripts.canary import Arm
from scripts.canary_commands import canary
from scripts.canary_comparison import Tally, Verdict, compare, newcombe
from scripts.canary_outcomes import Event, QueryId, Reading, line
from scripts.errors import UsageError
from scripts.serving.outcomes import Outcomes

CANARY = "0123abcd"


@pytest.mark.parametrize(
    ("ours", "of_ours", "theirs", "of_theirs", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0000),
        (10, 10, 0, 10, 0.6075, 1.0000),
    ],
)
def test_the_interval_is_newcombe_s(ours, of_ours, theirs, of_theirs, low, high):
    """Table II of his paper, method 10."""
    seen = newcombe(ours, of_ours, theirs, of_theirs)
    assert (round(seen.low, 4), round(seen.high, 4)) == (low, high)
    assert seen.of == pytest.approx(ours / of_ours - theirs / of_theirs)


def written(folder, *, arm, queries, clicked=0, errors=0, ms=5.0, canary=CANARY, event=Event.QUERY, **facts):
    """So many queries of an arm, the first of them clicked, in a file of their own."""
    folder.mkdir(exist_ok=True)
    lines = []
    for number in range(queries + errors):
        query = QueryId.new(canary, arm)
        lines.append(line(event, query, pair=f"pair_of_{arm}", ms=ms + number / 1000, **facts, **({"error": "Refused"} if number >= queries else {})))
        if number < clicked:
            lines += [line(Event.FEEDBACK, query, clicked=True)] * 2  # a second click is not another query
    (folder / f"{arm}-{canary}-{time.time_ns()}.jsonl").write_text("".join(lines))
    return folder


def arms(folder, candidate, production):
    written(folder, arm=Arm.CANDIDATE, **candidate)
    return written(folder, arm=Arm.PRODUCTION, **production)


@pytest.mark.parametrize(
    ("candidate", "production", "verdict"),
    [
        ({"queries": 200, "clicked": 120}, {"queries": 1000, "clicked": 400}, Verdict.BETTER),
        ({"queries": 200, "clicked": 40}, {"queries": 1000, "clicked": 400}, Verdict.WORSE),
        ({"queries": 200, "clicked": 84}, {"queries": 1000, "clicked": 400}, Verdict.NO_DIFFERENCE),
        ({"queries": 49, "clicked": 49}, {"queries": 1000, "clicked": 0}, Verdict.TOO_FEW),
        ({"queries": 200}, {"queries": 1000}, None),
    ],
)
def test_the_verdict_is_the_interval_s(tmp_path, candidate, production, verdict):
    """Better or worse only where it leaves out 0; nothing without feedback, and of fewer than fifty queries."""
    seen = compare(Reading.of([arms(tmp_path, candidate, production)]))
    assert seen.verdict is verdict
    assert (seen.candidate.answered, seen.candidate.clicked) == (candidate["queries"], candidate.get("clicked", 0))


def test_how_many_more_queries_it_would_take_is_about_right(tmp_path):
    """With so many more of the same the interval just leaves out 0, and with a tenth fewer it does not."""
    seen = compare(Reading.of([arms(tmp_path, {"queries": 200, "clicked": 90}, {"queries": 800, "clicked": 320})]))
    times = (1000 + seen.more_queries) / 1000

    def with_times(factor):
        return newcombe(round(90 * factor), round(200 * factor), round(320 * factor), round(800 * factor)).verdict

    assert with_times(times * 1.1) is Verdict.BETTER
    assert with_times(times * 0.9) is Verdict.NO_DIFFERENCE


def test_errors_and_latency_are_told_by_arm(tmp_path):
    """A query that failed was not answered: it is in no click rate."""
    facts = report(arms(tmp_path, {"queries": 100, "errors": 7, "ms": 20.0, "clicked": 10}, {"queries": 100, "ms": 5.0}))
    assert facts["candidate"]["errors"] == 7 and facts["production"]["errors"] == 0
    assert facts["candidate"]["click_rate"] == 0.1
    assert 20 <= facts["candidate"]["milliseconds"]["p50"] <= facts["candidate"]["milliseconds"]["p99"] < 21


def test_a_percentile_of_an_arm_is_a_latency_that_somebody_had():
    """By nearest rank, as `perf` has it. An answer that does not say how long it took is in none, and of such alone there is none."""
    some, none = Tally(milliseconds=array("f", [2, math.nan, 40, 1])), Tally(milliseconds=array("f", [math.nan]))
    assert some.latency() == {"p50": 2, "p95": 40, "p99": 40}
    assert none.latency() is None is Tally().latency()


def report(*places, code=0, words=()):
    result = CliRunner().invoke(canary, ["report", *map(str, places), *words, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_mirror_is_compared_by_its_answers_alone(tmp_path):
    """Nobody saw them, so clicks say nothing."""
    written(tmp_path, arm=Arm.PRODUCTION, queries=60, clicked=30)
    written(tmp_path, arm=Arm.PRODUCTION, queries=59, errors=1, event=Event.MIRROR, overlap=0.5, k=10)
    written(tmp_path, arm=Arm.PRODUCTION, queries=1, event=Event.MIRROR, overlap=1.0, k=10)
    facts = report(tmp_path)
    assert facts["mode"] == "mirror" and facts["verdict"] is None and facts["click_rate_difference"] is None
    assert facts["overlap"] == {"mean": pytest.approx(30.5 / 60), "alike": pytest.approx(1 / 60), "queries": 60}
    assert facts["candidate"]["errors"] == 1


def test_too_little_data_is_inconclusive(tmp_path):
    """Exit 3, with what there is."""
    facts = report(arms(tmp_path, {"queries": 3}, {"queries": 500}), code=3)
    assert facts["verdict"] == "too few queries"


def test_half_a_line_and_what_is_no_outcome_are_left_out_and_counted(tmp_path):
    """A process that was killed while it wrote."""
    folder = arms(tmp_path, {"queries": 60}, {"queries": 60})
    forged = b'{"event":"query","query":"forged","canary":"0123abcd","arm":"candidate"}'
    (folder / "torn.jsonl").write_bytes(b'{"event":"query","quer\n[]\n7\n\xff\xfe\n' + forged + b'\n{"event":"q')
    facts = report(folder)
    assert facts["candidate"]["answered"] == 60 and facts["unreadable_lines"] == 5


def test_the_canary_that_was_asked_last_is_told_and_others_by_their_id(tmp_path):
    """Arms of two canaries are never added up."""
    arms(tmp_path, {"queries": 60, "canary": "aaaaaaaa"}, {"queries": 60, "canary": "aaaaaaaa"})
    time.sleep(0.01)
    arms(tmp_path, {"queries": 70}, {"queries": 70})
    facts = report(tmp_path)
    assert facts["canary"] == CANARY and facts["others"] == ["aaaaaaaa"] and facts["candidate"]["answered"] == 70
    assert report(tmp_path, words=("--id", "aaaaaaaa"))["candidate"]["answered"] == 60


@pytest.mark.parametrize(("words", "told"), [([], "no outcomes"), (["--id", "ffffffff"], "nothing of canary")])
def test_files_that_tell_nothing_are_told_in_one_line(tmp_path, words, told):
    """Exit 2."""
    (tmp_path / "empty").mkdir()
    folder = arms(tmp_path / "full", {"queries": 60}, {"queries": 60}) if words else tmp_path / "empty"
    with pytest.raises(UsageError, match=told):
        CliRunner().invoke(canary, ["report", str(folder), *words], catch_exceptions=False)


def test_the_report_reads_for_people(tmp_path):
    """One line an arm, the difference with its interval, and what follows from it."""
    result = CliRunner().invoke(canary, ["report", str(arms(tmp_path, {"queries": 200, "clicked": 120}, {"queries": 1000, "clicked": 400}))])
    assert result.exit_code == 0
    assert "+20.00 points (95% interval +12.4" in result.output
    assert "The candidate is better: the interval leaves out 0." in result.output


def test_lines_of_many_threads_are_never_cut(tmp_path):
    """Each is one append."""
    from concurrent.futures import ThreadPoolExecutor

    outcomes = Outcomes(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: outcomes.write(line(Event.QUERY, QueryId.new(CANARY, Arm.CANDIDATE), ms=1.0)), range(2_000)))
    outcomes.close()
    reading = Reading.of([tmp_path])
    assert sum(1 for _ in reading) == 2_000 and reading.unreadable == 0
