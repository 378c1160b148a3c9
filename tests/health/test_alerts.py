"""docs/alerts.yml: it names what is written, its own tests leave out no alert, and promtool runs them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from scripts.health import metrics
from scripts.health.report import ClusterHealth, HealthReport
from scripts.health.seen import Load
from scripts.health.statuses import examine
from scripts.receiver.metrics import Metrics
from tests.conftest import ROOT, needs
from tests.health.test_judgments import WELL

RULES, TESTS, PAGE = ROOT / "docs" / "alerts.yml", ROOT / "tests" / "health" / "alerts.test.yml", ROOT / "docs" / "operations.md"
SECTION = PAGE.read_text(encoding="utf-8").split("\n## Metrics and alerts\n")[1]
OF_EVERY_TARGET = {"job", "instance"}  # which Prometheus adds
_SERIES = re.compile(r"\b(promotion_(?:health|webhook)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~?)"([^"]*)"')

rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
tests = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
each_rule = pytest.mark.parametrize("rule", rules, ids=lambda rule: rule["alert"])


def health() -> str:
    """With every figure that there can be."""
    looks = (WELL, replace(WELL, name="loading", load=Load.LOADING, progress=50, aliases=()))
    here = ClusterHealth("eu", "", tuple(map(examine, looks)), unseen=("late",))
    return metrics.text(HealthReport((here, ClusterHealth("us", "", failure="down")), datetime.now(UTC)))


def written() -> dict[str, dict[str, set[str]]]:
    """Of each metric the labels, and of each label the values."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, inside in _SERIES.findall(re.sub("^#.*\n", "", health() + Metrics().text(), flags=re.MULTILINE)):
        labels = found[name]
        for label, _, value in _MATCHER.findall(inside):
            labels[label].add(value)
    return found


WRITTEN = written()


def promtool(*words: str, given: str = "") -> str:
    """What it complains of."""
    program = shutil.which("promtool")
    needs(program is not None, "promtool is not installed; it is in Debian's package prometheus")
    done = subprocess.run([str(program), *words], input=given, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@each_rule
def test_an_alert_goes_by_what_is_written(rule):
    """By metrics, labels and values that there are: one that is misspelt would never fire, and nobody would notice."""
    used = _SERIES.findall(rule["expr"])
    labels = OF_EVERY_TARGET.union(*(WRITTEN[name] for name, _ in used if name in WRITTEN))
    for name, inside in used:
        assert name in WRITTEN, name
        for label, operator, value in _MATCHER.findall(inside):
            for one in value.split("|") if operator == "=~" else [re.escape(value)]:
                assert any(re.fullmatch(one, there) for there in WRITTEN[name].get(label, ())), f'{name}{{{label}="{one}"}}'
    joined = re.findall(r"\b(?:on|ignoring|by|without) \(([^)]*)\)", rule["expr"])
    named = {label.strip() for inside in joined for label in inside.split(",") if label.strip()}
    assert named | set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels


@each_rule
def test_an_alert_is_tried_both_ways(rule):
    """When it must fire, and when it must not."""
    tried = [bool(one["exp_alerts"]) for test in tests for one in test["alert_rule_test"] if one["alertname"] == rule["alert"]]
    assert {True, False} == set(tried)


@each_rule
def test_an_alert_leads_to_what_to_do(rule):
    """Its runbook is a heading that there is, and its row in the table leads there as well."""
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    (row,) = re.findall(rf"^\| `{rule['alert']}` \| {rule['labels']['severity']} \| .+$", SECTION, re.MULTILINE)
    here = file == "docs/operations.md"
    assert anchor == "metrics-and-alerts" or f"]({'' if here else file.removeprefix('docs/')}#{anchor})" in row


def test_the_tables_are_complete():
    """Every metric of `health` with its labels, every alert, and no other."""
    rows = re.findall(r"^\| `([a-z_]+)` \| ([a-z, ]*)\|", SECTION, re.MULTILINE)
    of_health = {name: set(labels) for name, labels in WRITTEN.items() if name.startswith(metrics.PREFIX)}
    assert {metrics.PREFIX + name: set(re.findall(r"\w+", labels)) for name, labels in rows} == of_health
    assert re.findall(r"^\| `([A-Z]\w+)` \|", SECTION, re.MULTILINE) == [rule["alert"] for rule in rules]


def _series_of_the_tests() -> Iterator[tuple[str, dict[str, Any]]]:
    for test in tests:
        for given in test["input_series"]:
            ((name, inside),) = _SERIES.findall(given["series"])
            yield name, {label: value for label, _, value in _MATCHER.findall(inside)}


def test_the_alerts_are_tried_on_series_as_they_are_written():
    """With all their labels and no other, or the trial would say nothing; and only alerts that there are."""
    for name, labels in _series_of_the_tests():
        assert set(labels) == OF_EVERY_TARGET | set(WRITTEN[name]), f"{name}{labels}"
        for label in {"serves", "kind", "outcome"} & set(labels):
            assert labels[label] in WRITTEN[name][label], f"{name}{labels}"
    assert {one["alertname"] for test in tests for one in test["alert_rule_test"]} == {rule["alert"] for rule in rules}


def test_prometheus_loads_the_alerts_and_they_fire_when_they_should():
    """And not at a restart, one bad look, a retired pair in error, a promotion to a smaller collection, or a cluster that is not seen for a while."""
    assert promtool("check", "rules", str(RULES)) == ""
    assert promtool("test", "rules", str(TESTS)) == ""


@pytest.mark.parametrize("text", [health(), Metrics().text()], ids=["health", "receiver"])
def test_prometheus_has_nothing_against_the_metrics(text):
    """Neither their grammar nor their names, units, types and help."""
    assert promtool("check", "metrics", given=text) == ""
    assert promtool("check", "metrics", given=text.replace("# HELP", "# NO", 1)) != ""
