"""The candidate's collection beside what its stamp says, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.quality.facts import IndexFacts
from scripts.report.words import counted, measure, share, whole


@dataclass(frozen=True)
class Check:
    """`as_expected` is None where there is nothing that the figure has to equal; the gates judge those."""

    what: str
    found: str
    expected: str = ""
    as_expected: bool | None = None


def checks(facts: IndexFacts) -> tuple[Check, ...]:
    return (
        Check("Rows", whole(facts.rows), whole(facts.stamped_rows), facts.rows == facts.stamped_rows),
        Check("Distinct keys", whole(facts.distinct_keys), whole(facts.rows), facts.distinct_keys == facts.rows),
        Check("Content", "as stamped" if facts.content_as_stamped else "other than stamped", "as stamped", facts.content_as_stamped),
        Check("Dimension", str(facts.dimension), str(facts.stamped_dimension), facts.dimension == facts.stamped_dimension),
        Check("Metric", facts.metric, facts.stamped_metric, facts.metric == facts.stamped_metric),
        Check("Loaded", "yes" if facts.loaded else "no", "yes", facts.loaded),
        Check("Rows that no index covers", whole(facts.unindexed), "0", facts.unindexed == 0),
        Check("Vectors that are not finite", whole(facts.not_finite), "0", facts.not_finite == 0),
        Check("Vectors that are zero", whole(facts.zero), "0", facts.zero == 0),
        Check("Length of vectors", f"{facts.shortest:.4g} to {facts.longest:.4g}; {share(facts.unlike_one)} unlike 1"),
        Check("Mean cosine of random pairs", measure(facts.parallel)),
        _recall(facts),
        _reencoded(facts),
    )


def _recall(facts: IndexFacts) -> Check:
    what, recall = "Recall of the exact answer", facts.recall
    if recall is None:
        return Check(what, _unread(facts, "recall"))
    worst = f", at worst {recall.worst:.2f}" + (f" (query {recall.worst_query})" if recall.worst_query else "")
    return Check(what, f"{recall.mean:.4f} of the top {recall.k} over {counted(recall.queries, 'query', 'queries')}{worst}")


def _reencoded(facts: IndexFacts) -> Check:
    what, again = "Rows encoded again", facts.reencoded
    if again is None:
        return Check(what, _unread(facts, "reencoded"))
    keys = f" (keys {', '.join(again.unlike[:5])})" if again.unlike else ""
    return Check(what, f"{again.compared:,} compared, the least similar {again.worst:.4f}{keys}")


def _unread(facts: IndexFacts, part: str) -> str:
    return f"not looked at: {facts.unread.get(part, 'no reason was given')}"
