"""docs/quality-gate.md says of every gate kind what the code has."""

import re

import yaml
from pydantic import TypeAdapter

from scripts.quality.gates import KINDS, Gate, Outcome, all_of
from scripts.quality.seen import Baseline
from scripts.quality.statistics import MIN_QUERIES
from tests.conftest import ROOT
from tests.quality.sights import seen
from tests.quality.test_gates import CASES, made

PAGE = (ROOT / "docs" / "quality-gate.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells
    for line in PAGE.split("\n## Gate kinds\n")[1].splitlines()
    if line.startswith("| `")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}


def test_every_kind_has_its_row():
    """In the order of the code, and none more."""
    assert list(ROWS) == list(KINDS)


def test_fields_and_defaults_are_those_of_the_code():
    """A field without a default is one that the suite must give."""
    for kind, (_, _, fields, *_) in ROWS.items():
        documented = {}
        for field in re.findall(r"`([^`]+)`", fields):
            name, given, default = field.partition(": ")
            documented[name] = yaml.safe_load(default) if given else ...
        model = {name: ... if field.is_required() else field.default for name, field in KINDS[kind].model_fields.items() if name != "gate"}
        assert documented == model, kind


def test_always_on_is_what_stands_guard_of_itself():
    """A suite that names nothing has these."""
    assert {kind for kind, row in ROWS.items() if row[3] == "yes"} == {gate.gate for gate in all_of([])}
    assert {row[3] for row in ROWS.values()} | {row[4] for row in ROWS.values()} == {"yes", "no"}


def test_what_compares_does_not_apply_to_a_first_pair():
    """And nothing else."""
    first = seen(baseline=Baseline())
    outcomes = {kind: made(kind, **CASES[kind].fields).judge(first).outcome for kind in KINDS}
    assert {kind for kind, row in ROWS.items() if row[4] == "yes"} == {kind for kind, outcome in outcomes.items() if outcome is Outcome.NOT_APPLICABLE}


def test_the_example_is_a_suites():
    """Every gate in it is one."""
    (block,) = re.findall(r"```yaml\n(gates:.*?)```", PAGE, re.DOTALL)
    assert len(TypeAdapter(tuple[Gate, ...]).validate_python(yaml.safe_load(block)["gates"])) == block.count("gate: ")


def test_the_number_of_queries_is_the_codes():
    """That a comparison needs."""
    assert f"`max_loss` wants {MIN_QUERIES} queries." in PAGE
