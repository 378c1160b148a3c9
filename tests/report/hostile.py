"""Texts that would be markup, script or another direction, wherever a report took them for more than text."""

from __future__ import annotations

from scripts.assessment import Assessment, SideBySide
from scripts.quality.facts import Change
from scripts.quality.gates import Verdict
from tests.report.sample import hit, index_facts, sample

TEXTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "'); alert(3); ('",
    "</script><script>alert(4)</script>",
    "<!--<script>",
    "]]></style><svg onload=alert(5)>",
    "{{ 7 * 7 }} {% raw %}",
    "مرحبا \u202e desrever \u202c עולם",
    "👩‍🚀 ½ café \u2028 line",
)


def hostile() -> Assessment:
    """An assessment with these texts everywhere that people or other programs write."""
    whole = sample(Verdict.FAIL)
    all_of = " ".join(TEXTS)
    texts = [f"{text} {at}" for at, text in enumerate(TEXTS)] + [row.text for row in whole.queries[len(TEXTS) :]]
    ids = [all_of] + [row.id for row in whole.queries[1:]]
    queries = tuple(
        row.model_copy(update={"text": text, "id": id, "slices": (all_of,)}) for row, text, id in zip(whole.queries, texts, ids, strict=True)
    )
    hits = tuple(hit(at, 1, title=text) for at, text in enumerate(TEXTS))
    beside = SideBySide(query=queries[1].id, change=-0.5, candidate=hits, production=(*hits[2:], hits[0].model_copy(update={"key": all_of})))
    gates = tuple(gate.model_copy(update={"gate": f"{gate.gate} {all_of}", "why": all_of}) for gate in whole.evidence.gates)
    index = index_facts()
    prompts = index.prompts.model_copy(update={"query": all_of, "declared_document": all_of})
    source = index.source.model_copy(update={"skipped": {all_of: 1}, "examples": {all_of: (all_of,)}})
    change = Change(text=all_of, overlap=0, rbo=0, candidate=(TEXTS[0], "1"), production=(TEXTS[1],))
    facts = whole.candidate.model_copy(update={"model": all_of, "index": all_of, "build_url": "javascript:alert(6)"})
    evidence = whole.evidence.model_copy(update={"gates": gates, "why": all_of, "suite": all_of, "production": all_of, "model_digest": all_of})
    return whole.model_copy(
        update={
            "evidence": evidence,
            "candidate": facts,
            "production": None,
            "production_name": all_of,
            "production_unmeasured": all_of,
            "queries": queries,
            "harmed": (beside,),
            "slices": tuple(row.model_copy(update={"name": all_of}) for row in whole.slices),
            "index": index.model_copy(update={"prompts": prompts, "source": source, "coverage": None, "unread": {"coverage": all_of}}),
            "replayed": whole.replayed.model_copy(update={"most_changed": (change,), "log": all_of}),
            "titles": {TEXTS[0]: all_of},
        }
    )
