"""What a measurement says, for people and for machines."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from scripts.layout import Column, FieldType, Metric
from scripts.perf import choice, files
from scripts.perf.load import Level
from scripts.perf.percentiles import latency
from scripts.perf.plan import Plan
from scripts.perf.ports import Target
from scripts.perf.report import Report, Swept
from scripts.perf.sweep import Sweep

TARGET = Target("shop_v1_00000001", "shop_prod", "vector", 8, Column(name="id", type=FieldType.INT64), Metric.COSINE, "HNSW")


def level(failed=0, **changes):
    seconds = [0.001 * n for n in range(1, 201)]
    failures = {"UNAVAILABLE": failed} if failed else {}
    return replace(Level(4, 2.0, 200 + failed, 200, latency(seconds, failed), failures), **changes)


def swept(recalls=(0.8, 0.96, 1.0)):
    points = [
        choice.judged(choice.timed(value, level(), served=value == 64), np.tile([recall - 0.01, recall], 100))
        for value, recall in zip((16, 32, 64), recalls, strict=True)
    ]
    return Swept(Sweep("ef", (16, 32, 64)), 200, 1_000, tuple(points), choice.choose(points, 0.9, "ef"))


def report(*levels, **changes):
    return replace(Report(TARGET, Plan(), 1_000, 1_000, "10 queries", {"ef": 64}, levels or (level(),)), **changes)


def test_failures_are_never_hidden():
    """They are in the table, in the remarks by kind, and a percentile that falls among them is no figure."""
    text = "\n".join(report(level(failed=20)).lines())
    (row,) = [line.split() for line in text.splitlines() if line.lstrip().startswith("4 ")]
    assert row == ["4", "100.0", "110.0", "failed", "failed", "200.0", "220", "20", "0.00"]
    assert "20 searches failed: UNAVAILABLE" in text


def test_a_hundred_kinds_of_failures_are_few_lines():
    """The most frequent ones first; what is left is added up."""
    many = level(failures={f"kind {n}": n for n in range(1, 101)}, searches=200 + 5_050)
    lines = [line for line in report(many).lines() if "searches failed" in line]
    assert lines[0] == "100 searches failed: kind 100" and lines[-1] == "4,560 searches failed in 95 other ways." and len(lines) == 6


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cpu": 0.95}, "This client used 0.95 cores: it, not the server, is the limit"),
        ({"silence": 2.5}, "Nothing was answered for 2.5 s at 4 workers"),
        ({"repeated": 3}, "Some queries were asked again"),
        ({"short": 7}, "7 answers had fewer than 10 hits."),
    ],
)
def test_what_makes_figures_doubtful_is_said(changes, told):
    """And only then."""
    assert any(line.startswith(told) for line in report(level(**changes)).lines())
    assert report().remarks() == []


def test_a_busy_process_is_no_remark_where_milvus_is_part_of_it():
    """milvus-lite's own work is done there."""
    embedded = report(level(cpu=1.5), target=replace(TARGET, embedded=True))
    assert not embedded.is_busy and embedded.remarks() == ["milvus-lite is part of this process: the client's cores are its own as well."]


def test_the_files_say_the_same_as_the_lines(tmp_path):
    """A page without any other file, a plot with a point for each setting and a ring for the choice, tables that a spreadsheet reads, JSON."""
    made = report(level(failed=20), swept=swept())
    files.write(made, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["levels.csv", "perf.json", "recall_latency.svg", "report.html", "sweep.csv"]
    (one,) = csv.DictReader((tmp_path / "levels.csv").open())
    assert (one["p50_ms"], one["p99_ms"], one["failures"]) == ("110.0", "", "20 UNAVAILABLE")
    assert [row["recall"] for row in csv.DictReader((tmp_path / "sweep.csv").open())] == ["0.795", "0.955", "0.995"]
    facts = json.loads((tmp_path / "perf.json").read_text())
    assert facts["levels"][0]["p99_ms"] is None and facts["sweep"]["choice"] == 32
    drawing = ElementTree.parse(tmp_path / "recall_latency.svg").getroot()
    kinds = [each.get("class") for each in drawing.iter()]
    assert (kinds.count("point"), kinds.count("choice"), kinds.count("target")) == (3, 1, 1)
    for each in drawing.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(each.get("cx")) < 720 and 0 < float(each.get("cy")) < 400
    page = (tmp_path / "report.html").read_text()
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "") and made.swept.choice.why in page


def test_a_filter_is_never_markup(tmp_path):
    """Nor does it move the cursor of a terminal."""
    made = report(plan=Plan(where="name == '<script>\x1b[2J'"))
    files.write(made, tmp_path)
    assert "<script>" not in (tmp_path / "report.html").read_text() and "\x1b" not in "\n".join(made.lines())


@pytest.mark.parametrize("recalls", [(1.0, 1.0, 1.0), (0.02, 0.5, 1.0)])
def test_points_are_drawn_within_the_picture(recalls, tmp_path):
    """Also where all of them are alike."""
    files.write(report(swept=swept(recalls)), tmp_path)
    parts = list(ElementTree.parse(tmp_path / "recall_latency.svg").iter())
    numbers = [float(each.get(name)) for each in parts for name in ("x1", "x2", "cx", "y1", "y2", "cy") if each.get(name)]
    assert numbers and all(math.isfinite(number) and -1 <= number <= 721 for number in numbers)


def test_what_ended_it_decides_the_exit_code():
    """A failure before an interruption before the choice."""
    assert report(failure="gone").exit_code == 5 and report(failure="refused", code=4).exit_code == 4
    assert report(interrupted=True, swept=swept()).exit_code == 130 and report(swept=swept()).exit_code == 0
    assert report(swept=swept((0.1, 0.2, 0.3))).exit_code == 1
