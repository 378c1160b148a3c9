"""Reports as files."""

from __future__ import annotations

import json

import pytest

from scripts.errors import UsageError
from scripts.evidence import Evidence
from scripts.quality.gates import Verdict
from scripts.report import files, html, junit, text
from tests.report.hostile import hostile
from tests.report.sample import sample


def test_every_report_is_written(tmp_path):
    """As it is rendered, in UTF-8, and nothing else is left."""
    assessment = hostile()
    files.write(assessment, tmp_path / "new" / "folder")
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new" / "folder").iterdir()}
    assert set(written) == {"report.html", "junit.xml", "summary.txt", "validation.json", "evidence.json"}
    assert written["report.html"] == html.render(assessment)
    assert written["junit.xml"] == junit.render(assessment)
    assert written["summary.txt"].splitlines() == text.render(assessment)


def test_the_evidence_reads_back_with_its_digest(tmp_path):
    """evidence.json is the evidence and nothing more; validation.json is all of it, with the digest."""
    assessment = sample()
    files.write(assessment, tmp_path)
    evidence = Evidence.model_validate_json((tmp_path / "evidence.json").read_text())
    assert evidence == assessment.evidence
    assert json.loads((tmp_path / "validation.json").read_text()) == assessment.facts()


def test_a_second_report_replaces_the_first(tmp_path):
    """Whole, with no draft left behind."""
    files.write(sample(Verdict.FAIL), tmp_path)
    files.write(sample(Verdict.PASS), tmp_path)
    assert "PASS" in (tmp_path / "summary.txt").read_text().splitlines()[0]
    assert len(list(tmp_path.iterdir())) == 5


def test_a_file_is_replaced_not_written_over(tmp_path):
    """Who is reading the old report reads it to its end."""
    files.write(sample(Verdict.FAIL), tmp_path)
    with (tmp_path / "summary.txt").open() as reading:
        files.write(sample(Verdict.PASS), tmp_path)
        assert "FAIL" in reading.read()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    """In one line."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UsageError, match=r"The reports cannot be written to .*taken: File exists\."):
        files.write(sample(), tmp_path / "taken")


def test_half_a_character_does_not_lose_the_report(tmp_path):
    """A log can hold a lone surrogate, which UTF-8 cannot."""
    whole = sample()
    rows = (whole.queries[0].model_copy(update={"text": "half \ud83d emoji"}), *whole.queries[1:])
    files.write(whole.model_copy(update={"queries": rows}), tmp_path)
    assert "half ? emoji" in (tmp_path / "report.html").read_text(encoding="utf-8")
