"""The short text."""

from __future__ import annotations

import pytest

from scripts.quality.gates import Outcome, Verdict
from scripts.report import text
from tests.report.hostile import hostile
from tests.report.sample import first_pair, sample


@pytest.mark.parametrize("assessment", [sample(), sample(Verdict.FAIL), sample(Verdict.INCONCLUSIVE), first_pair(), hostile()])
def test_the_text_is_short(assessment):
    """At most 25 lines, each of them one, with nothing that a terminal would obey."""
    lines = text.render(assessment)
    assert len(lines) <= text.MOST_LINES
    assert all(line.isprintable() for line in lines)


def test_a_lost_production_is_no_first_pair():
    """The line says what would be replaced, and why nothing can be said of it."""
    why = "the alias shop_prod points to nothing, though it has served"
    lines = text.render(sample(production=None, production_unmeasured=why))
    assert lines[1].endswith(f"would replace product_embeddings_v11_03be77d2, which could not be compared with: {why}")


def test_the_text_begins_with_the_verdict_and_ends_with_the_digest():
    """And says against what, and who lost most."""
    whole = sample(Verdict.FAIL)
    lines = text.render(whole)
    assert lines[0].startswith("product_embeddings_v12_af8c1904: FAIL – nDCG@10 >= production - 0.02 (")
    assert "would replace product_embeddings_v11_03be77d2 (product-embedding-model version 11)" in lines[1]
    assert lines[2] == "  60 judged queries of suite products: 9 better, 30 worse, 21 the same by nDCG@10"
    assert lines[-1] == f"  evidence {whole.evidence.digest}"
    texts = {row.id: row.text for row in whole.queries}
    assert [line for line in lines if line.startswith("  harmed ")] == [
        f"  harmed {side.change:+.4f} {texts[side.query]!r}" for side in whole.harmed[:3]
    ]


def test_what_keeps_a_pair_from_passing_is_shown_first_and_always():
    """Gates that pass are left out when there are too many, and counted."""
    whole = sample()
    one = whole.evidence.gates[0]
    gates = tuple(one.model_copy(update={"gate": f"gate {at}"}) for at in range(40)) + (
        one.model_copy(update={"gate": "the last", "outcome": Outcome.FAIL}),
    )
    lines = text.render(whole.model_copy(update={"evidence": whole.evidence.model_copy(update={"gates": gates})}))
    assert lines[3].split() == ["fail", "the", "last:", *one.why.split()]
    assert len(lines) == text.MOST_LINES
    shown = sum(line.startswith("  pass ") for line in lines)
    assert f"  … and {40 - shown} gates more: {40 - shown} pass" in lines


def test_measures_stand_beside_productions():
    """With the change; alone where there is no production."""
    whole = sample()
    ours, theirs = whole.evidence.means["nDCG@10"], whole.evidence.production_means["nDCG@10"]
    assert f"  nDCG@10        candidate {ours:.4f}, production {theirs:.4f} ({ours - theirs:+.4f})" in text.render(whole)
    assert f"  nDCG@10        candidate {ours:.4f}" in text.render(first_pair())
