"""JUnit XML: every gate, and every query with a floor, is a test case, so that CI shows which one is at fault."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from scripts.assessment import Assessment, QueryRow
from scripts.quality.gates import GateResult, Outcome, Verdict
from scripts.report.words import shortened

# What XML 1.0 has no way to write (section 2.2, Char).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(assessment: Assessment) -> str:
    """Suites `verdict`, `gates` and, where a query has a floor, `queries`. Whatever keeps the pair from promotion is a failure; what is
    inconclusive is one of type `inconclusive`."""
    root = ET.Element("testsuites", name="validate")
    _suite(root, "verdict", [_verdict(assessment)])
    _suite(root, "gates", [_gate(gate) for gate in assessment.evidence.gates])
    outcomes = {gate.gate: gate.outcome for gate in assessment.evidence.gates}
    _suite(root, "queries", [_query(row, outcomes, assessment.evidence.suite) for row in assessment.queries if row.floors])
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, name: str, cases: list[ET.Element]) -> None:
    if not cases:
        return
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    suite = ET.SubElement(root, "testsuite", name=name, tests=str(len(cases)))
    for count, tag in counts.items():
        suite.set(count, str(sum(case.find(tag) is not None for case in cases)))
    suite.extend(cases)


def _verdict(assessment: Assessment) -> ET.Element:
    """The whole: it can be withheld though every gate passes, and must not look green then."""
    evidence = assessment.evidence
    case = _case("verdict", evidence.pair)
    if evidence.verdict is not Verdict.PASS:
        _fail(case, evidence.verdict.value, evidence.why)
    return case


def _gate(gate: GateResult) -> ET.Element:
    case = _case(f"gates.{gate.kind}", gate.gate)
    if gate.outcome is Outcome.NOT_APPLICABLE:
        ET.SubElement(case, "skipped", message=_xml(gate.why))
    elif gate.outcome is not Outcome.PASS:
        _fail(case, gate.outcome.value, gate.why)
    return case


def _query(row: QueryRow, outcomes: dict[str, Outcome], suite: str) -> ET.Element:
    case = _case(f"queries.{suite}", f"{shortened(row.text)} ({row.id})")
    if row.below_floor:
        # A floor that is missed among too few judgments is inconclusive, and its queries are with it.
        failed = any(outcomes.get(gate) is Outcome.FAIL for gate in row.below_floor)
        measured = ", ".join(f"{name} {value:.4f}{_against(row, name)}" for name, value in row.candidate.items())
        _fail(case, (Outcome.FAIL if failed else Outcome.INCONCLUSIVE).value, f"below {'; '.join(row.below_floor)}: {measured}")
    return case


def _against(row: QueryRow, name: str) -> str:
    return f" (production {row.production[name]:.4f})" if row.production and name in row.production else ""


def _case(classname: str, name: str) -> ET.Element:
    return ET.Element("testcase", classname=_xml(classname), name=_xml(name), time="0")


def _fail(case: ET.Element, kind: str, why: str) -> None:
    ET.SubElement(case, "failure", type=kind, message=_xml(shortened(why, 500))).text = _xml(why)


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
