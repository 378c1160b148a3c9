"""JUnit XML, as CircleCI reads it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from scripts.quality.gates import Outcome, Verdict
from scripts.report import junit
from tests.report.hostile import hostile
from tests.report.sample import FLOOR, first_pair, sample


def suites(assessment) -> dict[str, ET.Element]:
    return {suite.get("name"): suite for suite in ET.fromstring(junit.render(assessment))}


def named(suite: ET.Element) -> dict[str, ET.Element]:
    return {case.get("name"): case for case in suite}


@pytest.mark.parametrize("verdict", Verdict)
def test_every_gate_is_a_case_with_its_outcome(verdict):
    """Fail and inconclusive are failures of that type, with the gate's reason."""
    assessment = sample(verdict)
    cases = named(suites(assessment)["gates"])
    assert list(cases) == [gate.gate for gate in assessment.evidence.gates]
    for gate in assessment.evidence.gates:
        failure = cases[gate.gate].find("failure")
        assert (failure is not None) == (gate.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE))
        if failure is not None:
            assert (failure.get("type"), failure.text) == (gate.outcome.value, gate.why)


def test_a_gate_that_does_not_apply_is_skipped():
    """With the reason; it is neither good nor bad."""
    skipped = named(suites(first_pair())["gates"])["nDCG@10 >= production - 0.02"].find("skipped")
    assert skipped.get("message") == "there is no production to compare with"


def test_every_query_with_a_floor_is_a_case():
    """Those below it fail, and say by how much; queries without a floor are none."""
    assessment = sample(Verdict.FAIL)
    cases = suites(assessment)["queries"]
    assert len(cases) == sum(bool(row.floors) for row in assessment.queries) == 30
    failed = [case for case in cases if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == [f"{row.text} ({row.id})" for row in assessment.queries if row.below_floor]
    assert failed[0].find("failure").get("message").startswith(f"below {FLOOR}: nDCG@10 0.0000 (production 0.")


def test_queries_without_floors_make_no_suite():
    """An empty one would only puzzle."""
    rows = tuple(row.model_copy(update={"floors": ()}) for row in sample().queries)
    assert set(suites(sample().model_copy(update={"queries": rows}))) == {"verdict", "gates"}


def test_a_floor_that_could_not_be_judged_does_not_fail_its_queries():
    """They are inconclusive with their gate."""
    whole = sample(Verdict.FAIL)
    gates = tuple(gate.model_copy(update={"outcome": Outcome.INCONCLUSIVE}) if gate.kind == "query_floor" else gate for gate in whole.evidence.gates)
    cases = suites(whole.model_copy(update={"evidence": whole.evidence.model_copy(update={"gates": gates})}))["queries"]
    assert {failure.get("type") for failure in cases.iter("failure")} == {"inconclusive"}


def test_a_verdict_that_is_withheld_is_never_green():
    """Though every gate passes, the whole does not."""
    whole = sample()
    withheld = whole.evidence.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "why": "production was not measured"})
    (case,) = suites(whole.model_copy(update={"evidence": withheld}))["verdict"]
    assert (case.find("failure").get("type"), case.find("failure").get("message")) == ("inconclusive", "production was not measured")


def test_the_counts_are_those_of_the_cases():
    """Of each suite, and of all."""
    root = ET.fromstring(junit.render(first_pair()))
    for element in (root, *root):
        assert int(element.get("tests")) == len(list(element.iter("testcase")))
        assert int(element.get("failures")) == len(list(element.iter("failure")))
        assert int(element.get("skipped")) == len(list(element.iter("skipped")))
        assert element.get("errors") == "0"


def test_texts_of_any_kind_are_well_formed():
    """Markup stays text; what XML cannot write at all is replaced."""
    cases = named(suites(hostile())["gates"])
    assert any("<script>alert(1)</script>" in name for name in cases)
    whole = sample(Verdict.FAIL)
    rows = tuple(row.model_copy(update={"text": "a\x00b\x0bc\ud800d\uffff\U0001f600", "id": f"{at}\x1b"}) for at, row in enumerate(whole.queries))
    cases = suites(whole.model_copy(update={"queries": rows}))["queries"]
    assert cases[0].get("name") == "a\ufffdb c\ufffdd\ufffd\U0001f600 (0\ufffd)"
