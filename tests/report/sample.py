"""Assessments as a shop's validation would have them, of every verdict and any size. The same arguments always give the same one."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from scripts.assessment import Assessment, PairFacts, QueryRow, ShownHit, SideBySide, SliceRow
from scripts.evidence import Evidence
from scripts.quality.facts import (
    Change,
    Coverage,
    IndexFacts,
    Latency,
    Metered,
    Prompts,
    Recall,
    Reencoded,
    Replayed,
    SourceFacts,
)
from scripts.quality.gates import DECISIVE, GateResult, Outcome, Verdict
from scripts.quality.statistics import Interval

CANDIDATE = "product_embeddings_v12_af8c1904"
PRODUCTION = "product_embeddings_v11_03be77d2"
MEASURES = ("nDCG@10", "R@100", "RR@10")
FLOOR = "every query's nDCG@10 >= 0.2"

_KINDS = (
    "trail running shoes",
    "office chair",
    "espresso machine",
    "4k monitor",
    "rain jacket",
    "usb-c hub",
    "desk lamp",
    "yoga mat",
    "cordless drill",
    "noise cancelling headphones",
)
_MANNERS = ("", "cheap ", "best ", "black ", "for small rooms ", "under 100 € ")
_MAKERS = ("Nordvik", "Halden", "Castor", "Mirelle", "Ostara", "Tamsin")
_SHIFT = {Verdict.PASS: 0.03, Verdict.FAIL: -0.07, Verdict.INCONCLUSIVE: -0.01}


def sample(verdict: Verdict = Verdict.PASS, *, queries: int = 60, **changes: Any) -> Assessment:
    """An assessment with this verdict over this many judged queries; `changes` replace its fields."""
    rng = random.Random(7)
    rows = tuple(_query(rng, at, _SHIFT[verdict]) for at in range(queries))
    ordered = sorted(rows, key=_gain)
    whole = Assessment(
        evidence=evidence(verdict, rows),
        candidate=_pair(CANDIDATE, 12),
        production=_pair(PRODUCTION, 11),
        production_name=PRODUCTION,
        leading="nDCG@10",
        queries=rows,
        improved=tuple(_beside(rng, row) for row in reversed(ordered[-10:]) if _gain(row) > 0),
        harmed=tuple(_beside(rng, row) for row in ordered[:10] if _gain(row) < 0),
        slices=tuple(_slice(name, [row for row in rows if name in row.slices]) for name in ("head", "tail", "with price")),
        index=index_facts(),
        latency=LATENCY,
        replayed=_replayed(rng),
        titles={str(key): _title(key) for key in range(1000, 1040)},
    )
    return whole.model_copy(update=changes)


def first_pair() -> Assessment:
    """No production, so nothing to compare with."""
    whole = sample()
    absent = "there is no production to compare with"
    comparing = ("max_loss", "latency_ratio", "complete", "overlap")
    gates = tuple(
        GateResult(gate=gate.gate, kind=gate.kind, outcome=Outcome.NOT_APPLICABLE, why=absent) if gate.kind in comparing else gate
        for gate in whole.evidence.gates
    )
    why = _why(Verdict.PASS, gates)
    return whole.model_copy(
        update={
            "evidence": whole.evidence.model_copy(update={"production": "", "production_means": {}, "gates": gates, "why": why}),
            "production": None,
            "production_name": "",
            "queries": tuple(row.model_copy(update={"production": None}) for row in whole.queries),
            "slices": tuple(row.model_copy(update={"production": None}) for row in whole.slices),
            "improved": (),
            "harmed": (),
            "replayed": None,
            "latency": LATENCY.model_copy(update={"production": None}),
            "index": index_facts().model_copy(update={"coverage": None, "unread": {"coverage": absent}}),
        }
    )


def evidence(verdict: Verdict, rows: tuple[QueryRow, ...]) -> Evidence:
    means, before = _means([row.candidate for row in rows]), _means([row.production for row in rows])
    results = gates(verdict, (means.get("nDCG@10", 0.0), before.get("nDCG@10", 0.0)), tuple(row.id for row in rows if row.below_floor), len(rows))
    return Evidence(
        kit="0.1.0",
        pair=CANDIDATE,
        model_digest="9b1f" * 16,
        embedding_fingerprint="47ac" * 16,
        source_fingerprint="5d0e77f1c2a94b36",
        rows=148_213,
        suite="products",
        suite_digest="c3d2" * 16,
        queries=len(rows),
        means=means,
        production=PRODUCTION,
        production_means=before,
        gates=results,
        verdict=verdict,
        why=_why(verdict, results),
        judged_at=datetime(2026, 11, 20, 14, 32, tzinfo=UTC),
    )


def gates(verdict: Verdict, means: tuple[float, float] = (0.64, 0.61), below: tuple[str, ...] = (), queries: int = 60) -> tuple[GateResult, ...]:
    """One of most kinds, where candidate and production have these means. That on the loss against production has this verdict's outcome;
    `below` are queries that miss their floor."""
    good = Outcome.PASS
    ours, theirs = means
    mean = ours - theirs
    width = 0.04 if verdict is Verdict.INCONCLUSIVE else 0.022
    low, high = mean - width, mean + width
    needs = "; about 140 more judged queries would settle it" if verdict is Verdict.INCONCLUSIVE else ""
    interval = f"95% interval {low:+.4f} to {high:+.4f} over {queries} queries"
    loss = f"{ours:.4f} against production's {theirs:.4f}: a change of {mean:+.4f}, {interval}{needs}"
    found = [
        _gate("nDCG@10 >= 0.5", "floor", good, f"{ours:.4f} against a floor of 0.5", candidate=ours),
        _gate(
            "nDCG@10 >= production - 0.02",
            "max_loss",
            Outcome(verdict.value),
            loss,
            candidate=ours,
            production=theirs,
            interval=Interval(low=low, high=high, confidence=0.95),
            limit=-0.02,
        ),
        _gate("Judged@10 >= 0.6", "judged", good, "83% of what the candidate shows is judged", candidate=0.83),
        _gate(
            "the collection holds what it was built with",
            "contents",
            good,
            "148,213 rows, distinct keys, the content it was built with",
            candidate=148_213,
        ),
        _gate("every vector is usable", "vectors", good, "148,213 of dimension 384, finite and not zero"),
        _gate("the index is as stamped and covers every row", "index", good, "COSINE, all rows covered, loaded"),
        _gate("mean cosine of random pairs <= 0.95", "collapse", good, "0.1432", candidate=0.1432),
        _gate(
            "the index' recall of the exact answer >= 0.95",
            "ann_recall",
            good,
            "0.9931 of the exact top 10 over 200 queries, at worst 0.80",
            candidate=0.9931,
        ),
        _gate(
            "stored vectors and the model's agree >= 0.999", "same_vectors", good, "256 rows encoded again, the least similar 1.0000", candidate=1.0
        ),
        _gate("rows that differ from the source <= 1.00%", "fresh", good, "0.31% differ (312 new, 140 changed, 7 vanished)", candidate=0.0031),
        _gate(
            "production's documents that are missing <= 1.00%",
            "complete",
            good,
            "12 of 147,020 are missing (keys 88121, 88122, 90017)",
            candidate=0.00008,
        ),
        _gate("p95 latency <= 50 ms", "latency", good, "11.8 ms over 60 queries", candidate=11.8),
        _gate(
            "p95 latency <= 1.2 x production",
            "latency_ratio",
            good,
            "11.8 ms against production's 11.1 ms, 1.06 times, over 60 queries",
            candidate=11.8,
            production=11.1,
        ),
        _gate("overlap with production >= 0.4", "overlap", good, "0.6210 of the top 10 over 2000 queries", candidate=0.621),
    ]
    if verdict is Verdict.FAIL:
        why = f"{len(below)} of {queries // 2} queries are below 0.2" + (f", first of all {below[0]!r} with 0.0000" if below else "")
        found.insert(2, _gate(FLOOR, "query_floor", Outcome.FAIL if below else good, why, candidate=0.0, worst=below))
    return tuple(found)


def index_facts() -> IndexFacts:
    return IndexFacts(
        rows=148_213,
        stamped_rows=148_213,
        distinct_keys=148_213,
        content_as_stamped=True,
        dimension=384,
        stamped_dimension=384,
        not_finite=0,
        zero=0,
        unlike_one=0.0,
        shortest=0.99998,
        longest=1.00001,
        parallel=0.1432,
        metric="COSINE",
        stamped_metric="COSINE",
        loaded=True,
        unindexed=0,
        recall=Recall(k=10, queries=200, mean=0.9931, worst=0.8, worst_query="q17"),
        reencoded=Reencoded(compared=256, worst=0.99999, unlike=("71180", "20417")),
        source=SourceFacts(
            rows=148_518,
            new=312,
            changed=140,
            vanished=7,
            skipped={"missing_text": 41, "bad_value": 3},
            examples={
                "missing_text": tuple(
                    f"key {key} in products-03.parquet, row {row}: every column of the text is empty" for key, row in ((10233, 1201), (10999, 4410))
                ),
                "bad_value": ("key 55810 in products-07.parquet, row 17: price_cents 'n/a' is not a whole number",),
            },
        ),
        coverage=Coverage(production_rows=147_020, missing=12, examples=("88121", "88122", "90017")),
        prompts=Prompts(query="query: ", document="passage: ", configured_query="query: ", configured_document="passage: ", declared_query="query: "),
    )


LATENCY = Latency(queries=60, depth=100, candidate=Metered(p50=4.2, p95=11.8, p99=16.4), production=Metered(p50=4.0, p95=11.1, p99=17.2))


def _why(verdict: Verdict, gates: tuple[GateResult, ...]) -> str:
    """As `validate` words it."""
    decisive = [gate for gate in gates if gate.outcome == verdict.value]
    told = [gate for gate in decisive if verdict is not Verdict.PASS or gate.kind in DECISIVE]
    others = len(decisive) - len(told)
    return "; ".join([*(f"{gate.gate} ({gate.why})" for gate in told), *([f"{others} other gate{'s' if others > 1 else ''} pass{'' if others > 1 else 'es'}"] if others else [])])


def hit(key: int, grade: int | None = None, title: str | None = None) -> ShownHit:
    return ShownHit(key=str(key), title=_title(key) if title is None else title, grade=grade)


def _gate(gate: str, kind: str, outcome: Outcome, why: str, **figures: Any) -> GateResult:
    return GateResult(gate=gate, kind=kind, outcome=outcome, why=why, **figures)


def _pair(name: str, version: int) -> PairFacts:
    return PairFacts(
        pair=name,
        model="product-embedding-model",
        version=version,
        model_digest=f"{version:02d}1f" * 16,
        embedding_fingerprint=f"{version:02d}ac" * 16,
        index="HNSW COSINE M=16 efConstruction=200 ef=64",
        rows=148_213 if version == 12 else 147_020,
        built_at=datetime(2026, 11, 20, 9, 4, tzinfo=UTC),
        build_url="https://app.circleci.com/pipelines/github/shop/search/412",
    )


def _query(rng: random.Random, at: int, shift: float) -> QueryRow:
    text = f"{_MANNERS[at // len(_KINDS) % len(_MANNERS)]}{_KINDS[at % len(_KINDS)]}" + (f" {at}" if at >= 60 else "")
    before, after = {}, {}
    unchanged = rng.random() < 0.35
    for name, level in zip(MEASURES, (0.6, 0.85, 0.7), strict=True):
        before[name] = _share(rng.gauss(level, 0.18))
        after[name] = before[name] if unchanged else _share(before[name] + rng.gauss(shift * 1.6, 0.16))
    guarded = at % 2 == 0
    if shift < -0.05 and at % 30 == 4:
        after = dict.fromkeys(MEASURES, 0.0)
    return QueryRow(
        id=f"q{at + 1}",
        text=text,
        slices=("head" if at % 3 else "tail", *(("with price",) if "€" in text else ())),
        weight=3.0 if at % 20 == 0 else 1.0,
        candidate=after,
        production=before,
        floors=(FLOOR,) if guarded else (),
        below_floor=(FLOOR,) if guarded and shift < -0.05 and after["nDCG@10"] < 0.2 else (),
    )


def _slice(name: str, rows: list[QueryRow]) -> SliceRow:
    candidate, production = _means([row.candidate for row in rows]), _means([row.production for row in rows])
    return SliceRow(name=name, queries=len(rows), candidate=candidate, production=production)


def _means(figures: list[dict[str, float]]) -> dict[str, float]:
    return {name: fmean(each[name] for each in figures) for name in MEASURES} if figures else {}


def _gain(row: QueryRow) -> float:
    return row.candidate["nDCG@10"] - row.production["nDCG@10"]


def _beside(rng: random.Random, row: QueryRow) -> SideBySide:
    kind = next(at for at, name in enumerate(_KINDS) if name in row.text)
    fitting = [key for key in range(1000, 1200) if key % len(_KINDS) == kind]
    keys = [*rng.sample(fitting, 9), *rng.sample([key for key in range(1000, 1200) if key not in fitting], 5)]
    rng.shuffle(keys)
    grades = {key: rng.choice((None, 1, 2, 3)) if key in fitting else rng.choice((None, 0)) for key in keys}
    after = rng.sample(keys, 10)
    return SideBySide(
        query=row.id,
        change=_gain(row),
        candidate=tuple(hit(key, grades[key]) for key in after),
        production=tuple(hit(key, grades[key]) for key in keys[:10]),
    )


def _replayed(rng: random.Random) -> Replayed:
    changes = []
    for at in range(10):
        keys = [str(key) for key in rng.sample(range(1000, 1040), 16)]
        text = f"{_MANNERS[at % 6]}{_KINDS[at]} logged"
        changes.append(Change(text=text, overlap=at / 20, rbo=at / 18, candidate=tuple(keys[6:]), production=tuple(keys[:10])))
    return Replayed(
        log="searches.jsonl",
        log_digest="e81b" * 16,
        queries=2000,
        k=10,
        overlap=0.621,
        rbo=0.684,
        top_changed=0.238,
        empty=0.0015,
        production_empty=0.002,
        latency=LATENCY,
        most_changed=tuple(changes),
    )


def _title(key: int) -> str:
    return f"{_MAKERS[key % len(_MAKERS)]} {_KINDS[key % len(_KINDS)].title()}, {('black', 'graphite', 'sand', 'forest green')[key % 4]}, model {key}"


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
